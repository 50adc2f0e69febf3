"""A path that cannot be that of a journal, and a file that breaks the writer, give an error."""

import asyncio
import os
import socket
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from modelslab_async import Batch, JournalDamaged, JournalError, Success, Ticket, WrongJournal
from modelslab_async._journal.journal_copy import copy_journal
from modelslab_async._journal.read_only_connection import read
from modelslab_async._journal.sqlite_path import check_journal_path
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async.journal import Journal

# An open that never returns fails here, instead of holding the suite.
TIMEOUT_S = 300


@pytest.fixture
def path(file_path):
    """A file, because these tests are about files."""
    return file_path


class Stop(BaseException):
    """An exception that no handler of `Exception` sees."""


async def open_and_count(path):
    """Open a journal and count it."""
    async with asyncio.timeout(TIMEOUT_S), Batch.open(path) as batch:
        return await batch.report()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "is empty"),
        (":memory:", "in memory"),
        ("file:x?mode=memory", "is a URI"),
        ("a\0b", "NUL"),
        ("a\ud800b", "lone surrogate"),
    ],
)
async def test_path_that_names_no_file_is_refused(path, message, monkeypatch, tmp_path):
    """The error says what is wrong with the path, and no file is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        await open_and_count(path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "path",
    [
        "postgresql+asyncpg://app:a-secret@db.example/production?batch=cats",
        "PostgreSQL://app:a-secret@db.example/production?batch=cats",
        " postgresql://app:a-secret@db.example/production?batch=cats",
        "'postgresql://app:a-secret@db.example/production?batch=cats'",
        "DATABASE_URL=postgresql://app:a-secret@db.example/production?batch=cats",
        "mysql:\\\\app:a-secret@db.example/production",
        Path("postgresql+psycopg://app:a-secret@db.example/production?batch=cats"),
    ],
    ids=str,
)
async def test_url_in_place_of_a_path_is_refused_and_not_shown(path, monkeypatch, tmp_path):
    """It may contain a password. The error says how to write an address, and makes no file."""
    monkeypatch.chdir(tmp_path)
    message = "got a URL.* begins with 'postgresql://'"
    with pytest.raises(ValueError, match=message) as caught:
        await open_and_count(path)
    with pytest.raises(ValueError, match=message):
        await copy_journal(path, "new.journal")
    assert "a-secret" not in "".join(traceback.format_exception(caught.value))
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["a:b", "c:/cats.journal", "./cats:/x", "C:\\cats.journal"])
def test_colon_in_a_path_is_allowed(path):
    """A drive of Windows has one letter."""
    assert str(Path(path).absolute()) == check_journal_path(path)


@pytest.mark.parametrize("path", [b"cats.journal", 5, None])
async def test_path_of_wrong_type_is_refused(path):
    """A path is a str or a path object of one."""
    with pytest.raises(TypeError, match=r"path of a journal is a str or a pathlib\.Path"):
        await open_and_count(path)


async def test_relative_path_in_a_deleted_folder_is_an_error(tmp_path, monkeypatch):
    """The error names the path as it was given."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(JournalError, match=r"^cats\.journal: "):
        await open_and_count("cats.journal")


async def test_name_too_long_for_the_file_system_is_an_error(tmp_path):
    """The error carries what the system said."""
    with pytest.raises(JournalError, match="too long"):
        await open_and_count(tmp_path / ("x" * 256))


async def test_path_below_a_file_is_an_error(tmp_path):
    """A file cannot be a folder."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError):
        await open_and_count(tmp_path / "file" / "cats.journal")


def plant_socket(path):
    """Put a socket at a path."""
    with closing(socket.socket(socket.AF_UNIX)) as planted:
        planted.bind(str(path))


@pytest.mark.parametrize("plant", [os.mkfifo, plant_socket])
async def test_path_of_a_fifo_or_a_socket_is_refused(path, plant):
    """It is no file, and the error says so."""
    plant(path)
    with pytest.raises(WrongJournal, match="a FIFO, a socket"):
        await open_and_count(path)


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
async def test_what_is_no_file_beside_a_journal_is_named(path, suffix):
    """SQLite would wait for ever for the other end of a FIFO."""
    async with Journal.open(path) as journal:
        await journal.add(["images:1"])
    os.mkfifo(f"{path}{suffix}")
    with pytest.raises(JournalError, match=f"{path.name}{suffix} is none; move it away"):
        await open_and_count(path)


async def test_read_where_sqlite_can_open_nothing_raises_a_journal_error(path, monkeypatch):
    """No error of SQLite reaches the caller, also where the file vanishes between two opens."""

    def fail(*_args):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    async with Journal.open(path):
        pass
    monkeypatch.setattr("modelslab_async._journal.read_only_connection._open_read_only", fail)
    with pytest.raises(JournalError, match="unable to open"):
        await asyncio.to_thread(read, str(path), 1.0, list)


async def test_schema_that_is_not_utf8_is_damage(path):
    """SQLite quotes the damaged schema in its message, which Python cannot decode."""
    async with Journal.open(path) as journal:
        await journal.add(["images:1"])
    content = path.read_bytes()
    assert content.count(b"CREATE TABLE tickets") == 1
    path.write_bytes(content.replace(b"CREATE TABLE tickets", b"CREATE TABL\xff \xfe\xffckets"))
    with pytest.raises(JournalDamaged, match="is damaged"):
        await open_and_count(path)


@pytest.mark.parametrize("error", [OSError("foreign"), RuntimeError("foreign"), Stop("foreign")])
async def test_opening_answers_whatever_the_thread_dies_of(path, monkeypatch, error):
    """An exception of any kind in the writer's thread reaches the caller of `open`."""

    def fail(*_args):
        raise error

    monkeypatch.setattr("modelslab_async._journal.writer.prepare", fail)
    with pytest.raises(JournalError, match="foreign"):
        await open_and_count(path)


async def test_dead_thread_answers_all_that_wait_and_all_later_calls(path):
    """The operation that killed the thread, those behind it, and later calls get one error each."""

    def stop(_db):
        raise Stop("foreign")

    async with asyncio.timeout(TIMEOUT_S):
        async with Journal.open(path) as journal:
            calls = [journal._store.write(stop), *(journal.add([f"images:{n}"]) for n in range(3))]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [JournalError] * 4 == [type(result) for result in results]
            assert 4 == len({id(result) for result in results})
            with pytest.raises(JournalError, match="has died"):
                await journal.add(["images:9"])
            assert 0 == (await journal.report()).tickets


async def test_foreign_error_of_one_operation_spares_the_others(path):
    """Operations that wait beside it are committed."""

    def fail(_db):
        raise KeyError("foreign")

    async with Journal.open(path) as journal:
        failed = journal._store.write(fail)
        assert 1 == await journal.add(["images:1"])
        with pytest.raises(KeyError):
            await failed


async def complete_one(journal):
    """Add a ticket, and complete it."""
    ticket = Ticket("images", 1)
    await journal.add([ticket])
    run = await journal.leases.begin_run(lease=60)
    (claimed,) = (await journal.leases.claim(run, before_run=run, limit=1, lease=60)).tickets
    success = Success(ticket=ticket, output=("https://a",), raw={"status": "success"})
    await journal.leases.complete(run, [OutcomeRow(claimed.row_id, 1, success)])


DAMAGES = {
    "unknown family": "UPDATE tickets SET family = 99",
    "time out of range": "UPDATE tickets SET completed_at = 1e300",
    "time that is a text": "UPDATE tickets SET added_at = 'soon'",
    "count that is a text": "UPDATE tickets SET polls = 'many'",
    "id that is no text": "UPDATE tickets SET id = x'ff00'",
    "text that is not UTF-8": "UPDATE replies SET body = CAST(x'7bff7d' AS TEXT)",
    "unknown state": "UPDATE replies SET state = 9",
    "fields that are none": "UPDATE replies SET other_fields = '[1]'",
    "columns that are none": "INSERT INTO inputs VALUES (1, '[1]')",
    "columns cut off": "INSERT INTO inputs VALUES (1, '{')",
    "unknown field": """UPDATE replies SET other_fields = '{"colour": 1}'""",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
async def test_damaged_row_is_told_as_damage(path, tmp_path, damage, file_format):
    """Outcomes and exports raise `JournalDamaged` with the journal's path, and no foreign error."""
    async with Journal.open(path) as journal:
        await complete_one(journal)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(damage)
    async with Journal.open(path) as journal:
        with pytest.raises(JournalDamaged) as caught:
            async for _ in journal.recorded_outcomes():
                pass
        assert str(path) == caught.value.path
        with pytest.raises(JournalDamaged):
            await journal.export(tmp_path / f"all.{file_format}")
    assert not (tmp_path / f"all.{file_format}").exists()


async def test_damaged_file_record_names_its_ticket(path):
    """SQLite enforces no types, so a path can be a number."""
    async with Journal.open(path) as journal:
        await complete_one(journal)
        await journal.record_file("images:1", 0, path="x", sha256="0", size=1, url="https://a")
        await journal._store.write(lambda db: db.execute("UPDATE files SET path = x'ff'"))
        with pytest.raises(JournalDamaged, match="file 0 of images:1 makes no sense") as caught:
            await journal.files("images:1")
    assert Ticket("images", 1) == caught.value.ticket


def test_reading_a_path_that_is_too_long_is_an_error(tmp_path):
    """Reading raises what opening raises."""
    with pytest.raises(JournalError, match="too long"):
        read(str(tmp_path / ("x" * 256)), 1.0, lambda _: None)


async def test_failure_between_two_commits_answers_queued_calls(path, monkeypatch):
    """The thread can die outside of an operation, with calls still in its queue."""

    def fail(*_args):
        raise RuntimeError("foreign")

    async with asyncio.timeout(TIMEOUT_S), Journal.open(path) as journal:
        await journal.add(["images:1"])
        monkeypatch.setattr("modelslab_async._journal.writer._MAX_OPERATIONS_PER_COMMIT", 1)
        monkeypatch.setattr("modelslab_async._journal.writer.transaction", fail)
        monkeypatch.setattr("modelslab_async._journal.writer.Writer._resolve_all", fail)
        calls = [journal.add([f"images:{n}"]) for n in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [JournalError] * 3 == [type(result) for result in results]
        assert 3 == len({id(result) for result in results})


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tickets SET state = 0",
        "UPDATE tickets SET state = 0, run = 99",
        "UPDATE tickets SET state = 0; DELETE FROM runs",
        "UPDATE tickets SET state = 0; UPDATE runs SET process = x'ff', lease_until = 1",
        "UPDATE tickets SET state = 0, run = 0; UPDATE runs SET process = 7, lease_until = 9e15",
    ],
)
async def test_open_ticket_of_a_run_that_is_none_is_claimed(path, damage):
    """A run does not wait for ever for a run that has ended or that the journal does not know."""
    async with Journal.open(path) as journal:
        await complete_one(journal)
        first = await journal.leases.begin_run(lease=60)
        await journal.leases.end_run(first, [])
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE runs SET lease_until = NULL")
            db.commit()
            db.executescript(damage)
        run = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(run, before_run=run, limit=9, lease=60)
    assert [Ticket("images", 1)] == [each.ticket for each in claim.tickets]
