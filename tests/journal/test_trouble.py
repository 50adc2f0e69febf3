"""Whatever is wrong with the file, the error says so, and the content stays."""

import asyncio
import errno
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from contextlib import closing
from pathlib import Path

import pytest

from modelslab_async import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    Success,
    Ticket,
    WrongJournal,
)
from modelslab_async._journal import schema
from modelslab_async._journal.read_only_connection import _read_immutable, read
from modelslab_async._journal.sqlite_errors import to_journal_error
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async._journal.writer import connect
from modelslab_async.journal import Journal
from tests.unprivileged_user import unprivileged_user

A = Ticket("images", 1)


@pytest.fixture
def path(file_path):
    """A file, because these tests are about files."""
    return file_path


async def filled(path, count=1000):
    """Make a journal with some tickets, and close it."""
    async with Journal.open(path) as journal:
        await journal.add([Ticket("images", number) for number in range(count)])


async def count_tickets(path):
    async with Journal.open(path) as journal:
        return (await journal.report()).tickets


async def test_write_to_a_locked_journal_times_out(path):
    """The error names the file. After the lock is released, writes succeed."""
    async with Journal.open(path, lock_timeout=0.05) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalLocked, match="another process holds") as caught:
                await journal.add([A])
            assert str(path) == caught.value.path
            assert str(caught.value).startswith(str(path))
            other.execute("ROLLBACK")
        assert 1 == await journal.add([A])


async def test_opening_a_locked_journal_times_out(path):
    """It is the same error as for a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalLocked):
            async with Journal.open(path, lock_timeout=0.05):
                pass
        other.execute("ROLLBACK")
    assert 0 == await count_tickets(path)


OUT_OF_FILES = """
import asyncio, concurrent.futures.thread, os, resource, sys
from modelslab_async.journal import Journal

async def main(path):
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError:
        pass
    try:
        async with Journal.open(path):
            pass
    except Exception as error:
        print(type(error).__name__, error)

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("exists", [True, False])
async def test_process_without_file_descriptors_is_told_so(path, exists):
    """A permission or a folder has nothing to do with it, so the error names neither."""
    if exists:
        await filled(path, count=1)
    command = [sys.executable, "-c", OUT_OF_FILES, str(path)]
    run = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, encoding="utf-8")

    assert run.stdout.startswith(f"JournalError {path}: no more files may be open"), run.stdout


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_system_error_of_too_many_files_gets_its_advice(number):
    """It is the advice for SQLite's own error."""
    error = to_journal_error(OSError(number, os.strerror(number)), "j.db")
    assert "raise the limit (`ulimit -n`), or lower `concurrency` (system: " in str(error)


async def test_new_journal_is_created_once_by_many(path):
    """One of them creates it, and the others use it."""

    async def one(number):
        async with Journal.open(path) as journal:
            await journal.add([("images", number)])

    await asyncio.gather(*(one(number) for number in range(8)))
    assert 8 == await count_tickets(path)


async def test_opening_a_missing_journal_creates_it_although_it_is_only_read(path):
    """So the page on journals says that a misspelt path looks like an empty batch."""
    async with Journal.open(path) as journal:
        assert path.exists()
        assert 0 == (await journal.report()).tickets
        assert [] == [each async for each in journal.recorded_outcomes()]


async def test_full_disk_writes_nothing_partially(path):
    """SQLite's limit on pages stands for a full disk."""
    await filled(path, 10)
    async with Journal.open(path) as journal:
        await journal._store.write(_no_more_pages)
        with pytest.raises(JournalFull, match="no room"):
            await journal.add([Ticket("images", number) for number in range(100_000, 200_000)])
        assert 10 == (await journal.report()).tickets
    assert 10 == await count_tickets(path)


def _no_more_pages(db):
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 1}")


LIMITED = """
import asyncio, resource, sys
from modelslab_async import JournalFull
from modelslab_async.journal import Journal

async def main():
    added = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    async with Journal.open(sys.argv[1]) as journal:
        try:
            for start in range(0, 1_000_000, 100):
                await journal.add([("images", start + number) for number in range(100)])
                added += 100
        except JournalFull as error:
            assert "could not be written" in str(error), error
            assert added == (await journal.report()).tickets
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            assert 1 == await journal.add(["video:1"])
            print(added)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no RLIMIT_FSIZE")
def test_file_size_limit_loses_nothing_committed(path):
    """Under a limit of the system, committed tickets stay; a higher limit lets it go on."""
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=False
    )
    assert "" == child.stderr
    assert int(child.stdout) >= 100
    assert int(child.stdout) + 1 == asyncio.run(count_tickets(path))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_unwritable_journal_is_refused_and_unchanged():
    """The file of another user can be neither used nor damaged."""
    # In a folder that others may enter, which those of pytest are not.
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(filled(folder / "journal"))
        before = (folder / "journal").read_bytes()
        (folder / "journal").chmod(0o444)
        folder.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(JournalReadOnly):
                asyncio.run(_add(folder / "journal"))
            with pytest.raises(JournalError, match="no journal can be made here"):
                asyncio.run(_add(folder / "new"))
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert before == (folder / "journal").read_bytes()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def foreign_journal():
    """A journal of another user, in a folder that all users may read."""
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(filled(folder / "journal"))
        (folder / "journal").chmod(0o444)
        folder.chmod(0o555)
        yield folder / "journal"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_read_only_journal_answers_every_question(foreign_journal, open_elsewhere):
    """With or without its owner's open connection, and no file is created."""

    async def read():
        async with Journal.open(foreign_journal) as journal:
            with pytest.raises(JournalReadOnly, match=r"may not write|not written"):
                await journal.add([A])
            ended = [each async for each in journal.recorded_outcomes()]
            return (await journal.report()).tickets, ended, await journal.last(A)

    with closing(sqlite3.connect(foreign_journal)) as owner:
        if open_elsewhere:
            owner.execute("INSERT INTO families (name) VALUES ('video')")
            owner.commit()
        before = sorted(foreign_journal.parent.iterdir())
        with unprivileged_user():
            assert (1000, [], None) == asyncio.run(read())
        assert before == sorted(foreign_journal.parent.iterdir())
        assert (3 if open_elsewhere else 1) == len(before)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_unclean_read_only_journal_is_refused(foreign_journal):
    """Its write-ahead log is not ignored. The error says what to do."""
    foreign_journal.with_name("journal-wal").write_bytes(b"something that waits")
    with unprivileged_user(), pytest.raises(JournalReadOnly, match="not closed cleanly"):
        asyncio.run(_add(foreign_journal))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_read_during_a_write_without_a_log_is_an_error(foreign_journal):
    """The file changed, so the result may mix two states."""

    def work(_db):
        os.utime(foreign_journal, (1, 1))

    with pytest.raises(JournalError, match="read it again"):
        _read_immutable(str(foreign_journal), 1.0, work)


def test_reading_another_kind_of_file_is_an_error(path):
    """Reading raises the same error as opening."""
    path.write_bytes(b"ticket,state\n" * 100)
    with pytest.raises(WrongJournal):
        read(str(path), 1.0, lambda db: db.execute("SELECT 1").fetchone())


async def test_older_read_only_journal_cannot_be_migrated(path):
    """The error says who can."""
    await filled(path, 1)
    with closing(sqlite3.connect(path)) as db:
        step = ("ALTER TABLE tickets ADD COLUMN colour TEXT",)
        with pytest.raises(JournalReadOnly, match="who may write it"):
            schema.check_current(db, str(path), (*schema.MIGRATIONS, step))


@pytest.mark.parametrize("again", [False, True])
async def test_deleted_journal_is_an_error(path, again):
    """The next write or read raises, and the end of the block at the latest. No file is created."""
    opened = Journal.open(path)
    journal = await opened.__aenter__()
    await journal.add([A])
    path.unlink()
    if again:
        path.write_bytes(b"")
    gone = pytest.raises(JournalError, match="deleted or replaced")
    with gone:
        await journal.add([Ticket("images", 2)])
    if not again:
        with gone:
            await journal.report()
        assert not path.exists()
    with gone:
        await opened.__aexit__(None, None, None)


async def test_error_of_the_block_is_raised_though_the_file_is_gone(path):
    """The first error is the one to raise."""

    async def broken():
        async with Journal.open(path):
            path.unlink()
            raise KeyError

    with pytest.raises(KeyError):
        await broken()


async def test_emptied_journal_is_damage(path):
    """Its write-ahead log tells it from a new file. Both are left as they are."""
    await filled(path)
    beside = path.with_name(f"{path.name}-wal")
    path.write_bytes(b"")
    beside.write_bytes(b"what waits")
    with pytest.raises(JournalDamaged, match="empty, though"):
        await _add(path)
    assert (b"", b"what waits") == (path.read_bytes(), beside.read_bytes())


async def _add(path):
    async with Journal.open(path) as journal:
        await journal.add([A])


async def test_truncated_journal_is_damage(path):
    """The file is not truncated any further."""
    await filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalDamaged, match=r"\.recover"):
        await _add(path)
    assert whole[: len(whole) // 2] == path.read_bytes()


async def test_damaged_page_is_an_error_when_it_is_read(path):
    """Other pages are read."""
    await filled(path, 20_000)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)
    with pytest.raises(JournalDamaged):
        await _scan(path)


async def _scan(path):
    async with Journal.open(path) as journal:
        run = await journal.leases.begin_run(lease=60)
        await journal.report()
        while (await journal.leases.claim(run, before_run=run, limit=5000, lease=60)).tickets:
            pass


@pytest.mark.parametrize(
    "content", [b"ticket,state\n" * 100, b"x", b"SQLite format 3\0" + b"x" * 9]
)
async def test_file_of_another_kind_is_refused_and_unchanged(path, content):
    """It is no journal."""
    path.write_bytes(content)
    with pytest.raises(WrongJournal):
        await _add(path)
    assert content == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


async def test_database_of_another_program_is_refused_and_unchanged(path):
    """It keeps its tables."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE tickets (a)")
    before = path.read_bytes()
    with pytest.raises(WrongJournal, match="another program"):
        await _add(path)
    assert before == path.read_bytes()


async def test_folder_and_missing_folder_are_refused(path):
    """Each error says which it is."""
    with pytest.raises(WrongJournal, match="folder"):
        await _add(path.parent)
    with pytest.raises(JournalError, match="no journal can be made here"):
        await _add(path / "missing" / "journal")


async def test_empty_file_becomes_a_journal(path):
    """`mktemp` makes such files."""
    path.touch()
    assert 0 == await count_tickets(path)


async def test_newer_version_is_refused_and_unchanged(path):
    """This package does not know it."""
    await filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(WrongJournal, match="has version 99, and this package knows"):
        await _add(path)
    assert before == path.read_bytes()


async def test_unreleased_version_is_refused_and_unchanged(path):
    """Version 1 had other columns, and no release wrote it."""
    await filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 1")
    before = path.read_bytes()
    with pytest.raises(WrongJournal, match="has version 1, which no release"):
        await _add(path)
    assert before == path.read_bytes()


async def test_older_version_is_migrated_once(path):
    """It keeps its content."""
    await filled(path)
    step = ("ALTER TABLE tickets ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'",)
    with closing(connect(str(path), 5)) as db:
        version = schema.newest_version()
        for _ in range(2):
            schema.prepare(db, str(path), (*schema.MIGRATIONS, step))
        assert ("blue", 1000) == db.execute("SELECT colour, count(*) FROM tickets").fetchone()
        assert version + 1 == db.execute("PRAGMA user_version").fetchone()[0]
        with pytest.raises(WrongJournal, match="upgrade"):
            schema.prepare(db, str(path))


async def test_version_2_is_migrated(path):
    """Its tickets and submits are there, without columns, and new ones may have some."""
    with closing(connect(str(path), 5)) as db:
        schema.prepare(db, str(path), schema.MIGRATIONS[:1])
        db.executescript(
            "INSERT INTO families VALUES (1, 'images');"
            "INSERT INTO tickets (family, id, state, added_at, completed_at) "
            "VALUES (1, 1, 2, 9, 9);"
            "INSERT INTO replies VALUES (1, 2, '{}', NULL);"
            "INSERT INTO submits (track_id, endpoint, payload_hash, recorded_at, state, ticket) "
            "VALUES ('my-1', 'realtime/text2img', '0', 9, 'confirmed', 1)"
        )
    async with Journal.open(path) as journal:
        assert 1 == await journal.add([("images:1", {"n": 1}), ("images:2", {"n": 2})])
        (recorded,) = [each async for each in journal.recorded_outcomes()]
        assert ("my-1", {"n": 1}) == (recorded.track_id, recorded.columns)
        assert {} == (await journal.find_submit("my-1")).columns


async def test_version_3_is_migrated(path):
    """Its files are there, without the names of their hosts, and new ones have such a name."""
    with closing(connect(str(path), 5)) as db:
        schema.prepare(db, str(path), schema.MIGRATIONS[:2])
        assert 3 == db.execute("PRAGMA user_version").fetchone()[0]
        db.executescript(
            "INSERT INTO families VALUES (1, 'images');"
            "INSERT INTO tickets (family, id, state, added_at, completed_at) "
            "VALUES (1, 1, 2, 9, 9);"
            "INSERT INTO replies VALUES (1, 2, '{}', NULL);"
            "INSERT INTO files VALUES (1, 0, '/out/a.png', 'ab', 5, 'https://a', 1, 9.0)"
        )
    async with Journal.open(path) as journal:
        (old,) = await journal.files(A)
        assert ("/out/a.png", "ab", 5, 9.0, None) == (
            *(old.path, old.sha256, old.size, old.recorded_at, old.host),
        )
        await journal.record_file(A, 1, path="/out/b.png", sha256="cd", size=6, url="https://b")
        assert [None, platform.node()] == [each.host async for each in journal.all_files()]
        (recorded,) = [each async for each in journal.recorded_outcomes()]
        assert [None, platform.node()] == [each.host for each in recorded.files]


async def test_version_4_is_migrated(path):
    """Its uncertain submits are there, without tickets of their replies."""
    with closing(connect(str(path), 5)) as db:
        schema.prepare(db, str(path), schema.MIGRATIONS[:3])
        assert 4 == db.execute("PRAGMA user_version").fetchone()[0]
        db.executescript(
            "INSERT INTO submits (track_id, endpoint, payload_hash, recorded_at) "
            "VALUES ('my-1', 'realtime/text2img', '0', 9)"
        )
    async with Journal.open(path) as journal:
        (old,) = await journal.uncertain()
        assert ("my-1", 9.0, None) == (old.track_id, old.recorded_at, old.named_ticket)


async def test_named_ticket_that_is_no_ticket_is_damage(path):
    """SQLite does not enforce the type of a column."""
    async with Journal.open(path) as journal:
        await journal.record_submit("my-1", endpoint="e", payload_hash="ab")
        for damage in ("x'00'", "7", "'images'"):
            with closing(sqlite3.connect(path)) as db, db:
                db.execute(f"UPDATE submits SET named_ticket = {damage}")
            with pytest.raises(JournalDamaged, match="the named ticket of my-1 makes no sense"):
                await journal.uncertain()


async def test_host_that_is_no_text_is_damage(path):
    """SQLite does not enforce the type of a column."""
    async with Journal.open(path) as journal:
        await journal.add([A])
        await journal.record_file(A, 0, path="/out/a.png", sha256="ab", size=5, url="https://a")
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE files SET host = x'00'")
        with pytest.raises(JournalDamaged, match="images:1"):
            await journal.files(A)


async def test_failed_migration_changes_nothing(path):
    """Its first statements are rolled back."""
    await filled(path)
    bad = ("CREATE TABLE extra (a)", "CREATE TABLE tickets (a)")
    with closing(connect(str(path), 5)) as db:
        with pytest.raises(sqlite3.OperationalError):
            schema.prepare(db, str(path), (*schema.MIGRATIONS, bad))
        assert [] == db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'extra'").fetchall()
    assert 1000 == await count_tickets(path)


async def test_commits_are_durable(journal):
    """The file has a write-ahead log, and each commit is synced."""

    def settings(db):
        return [
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]

    assert ["wal", 2] == await journal._store.write(settings)


async def test_outcome_without_room_leaves_its_ticket_open(path):
    """The run keeps the ticket, and can write the outcome later."""
    async with Journal.open(path) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        ((number, _),) = (
            await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        ).tickets
        await journal._store.write(_no_more_pages)
        end = OutcomeRow(
            number, 1, Success(ticket=A, raw={"status": "success", "output": "x" * 100_000})
        )
        with pytest.raises(JournalFull):
            await journal.leases.complete(run, [end])
        report = await journal.report()
        assert (1, 1, 0) == (report.open, report.running, report.success)
        await journal._store.write(lambda db: db.execute("PRAGMA max_page_count = 100000"))
        assert [True] == await journal.leases.complete(run, [end])


@pytest.mark.parametrize("body", ['{"cut', "5", '{"output": 1}}', "[" * 5000])
async def test_damaged_reply_names_its_ticket_everywhere(path, body):
    """Each read of the reply names file and ticket, and the documented repair works."""
    async with Journal.open(path) as journal:
        of_other_family = Ticket("voice", A.id)
        await journal.add([A, of_other_family])
        run = await journal.leases.begin_run(lease=60)
        claimed = (await journal.leases.claim(run, before_run=run, limit=2, lease=60)).tickets
        await journal.leases.complete(
            run,
            [OutcomeRow(number, 1, Success(ticket=ticket, raw={})) for number, ticket in claimed],
            save_files=True,
        )
        damage = f"UPDATE replies SET body = ? WHERE ticket = {claimed[0].row_id}"
        await journal._store.write(lambda db: db.execute(damage, (body,)))

        async def page():
            return [each async for each in journal.recorded_outcomes()]

        for met in (journal.last(A), page()):
            with pytest.raises(JournalDamaged, match=r"images:1 makes no sense") as caught:
                await met
            assert (A, str(path)) == (caught.value.ticket, caught.value.path)
        claim = await journal.leases.claim_saves(run, before_run=run, limit=1, lease=60)
        assert ([], [A]) == (claim.pending, [each.ticket for each in claim.damaged])
        assert ["the reply of images:1 makes"] == [
            each.error[:27] for each in await journal.unsaved()
        ]
        [repair] = re.findall(r'sqlite3 cats\.journal "(UPDATE .*?)"', PAGE.read_text())
        statements = repair.replace("101", A.id).split(";")
        await journal._store.write(lambda db: [db.execute(each) for each in statements])
        assert (1, 1) == ((await journal.report()).open, (await journal.report()).success)
        assert await journal.last(A) is None
        assert isinstance(await journal.last(of_other_family), Success)


PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "batch.md"


def test_unknown_sqlite_error_keeps_its_message():
    """It becomes a JournalError with SQLite's words."""
    error = to_journal_error(sqlite3.OperationalError("gremlins"), "a/b")
    assert type(error) is JournalError
    assert "a/b: the journal could not be read or written (SQLite: gremlins)" == str(error)


def test_program_can_end_without_closing(path):
    """The writer does not hold it up, and no committed ticket is lost."""
    program = (
        "import asyncio, sys\n"
        "from modelslab_async.journal import Journal\n"
        "async def main():\n"
        "    journal = await Journal.open(sys.argv[1]).__aenter__()\n"
        "    print(await journal.add(['images:1']))\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, path],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "1" == child.stdout.strip()
    assert 1 == asyncio.run(count_tickets(path))


async def test_new_journal_waits_for_a_reader_of_the_empty_file(path):
    """It waits until the lock timeout."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM sqlite_schema").fetchall()
        with pytest.raises(JournalLocked):
            async with Journal.open(path, lock_timeout=0.1):
                pass
        opening = asyncio.create_task(_add(path))
        await asyncio.sleep(0.1)
        assert not opening.done()
        other.execute("ROLLBACK")
        await opening
    assert 1 == await count_tickets(path)


async def test_folder_in_place_of_the_log_is_an_error(path):
    """The error names the files beside the journal."""
    await filled(path, 1)
    path.with_name(f"{path.name}-wal").mkdir()
    with pytest.raises(JournalReadOnly, match="two files beside"):
        await _add(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_forked_child_is_refused(path):
    """It has no writer thread, and must not share the file's locks."""
    async with Journal.open(path) as journal:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            try:
                await journal.add([A])
            except RuntimeError:
                os._exit(7)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert 7 == os.waitstatus_to_exitcode(status)
        assert 1 == await journal.add([A])


@pytest.mark.parametrize("body", ["{", "[]", "[1]", '"text"'])
async def test_damaged_reply_is_an_error_of_the_journal(tmp_path, body):
    """It says what to do, and is no error of a parser."""
    path = tmp_path / "batch.journal"
    async with Journal.open(path) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        await journal.leases.complete(
            run, [OutcomeRow(claim.tickets[0][0], 1, Success(ticket=A, raw={"id": 1}))]
        )
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE replies SET body = ?", (body,))
        with pytest.raises(JournalDamaged, match="the reply of images:1 makes no sense"):
            await journal.last(A)
        with pytest.raises(JournalDamaged, match="delete that row of the table replies"):
            await journal.export(tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()
