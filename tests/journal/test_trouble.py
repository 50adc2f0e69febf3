"""Trouble: whatever is wrong with the file, the error says so, and what it held stays."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from contextlib import closing, contextmanager
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
from modelslab_async._journal.reader import _read_immutable, read
from modelslab_async._journal.sqlite_errors import to_journal_error
from modelslab_async._journal.tickets import Completion
from modelslab_async._journal.writer import connect
from modelslab_async.journal import Journal

A = Ticket("images", 1)


async def filled(path, count=1000):
    """A closed journal with so many tickets."""
    async with Journal.open(path) as journal:
        await journal.add([Ticket("images", number) for number in range(count)])


async def counted(path):
    async with Journal.open(path) as journal:
        return (await journal.report()).tickets


async def test_a_locked_journal(path):
    """Who holds it too long is an error that names the file; afterwards it goes on."""
    async with Journal.open(path, lock_timeout=0.05) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalLocked, match="another process holds") as caught:
                await journal.add([A])
            assert str(path) == caught.value.path
            assert str(caught.value).startswith(str(path))
            other.execute("ROLLBACK")
        assert 1 == await journal.add([A])


async def test_a_journal_that_is_locked_when_it_is_opened(path):
    """The same error, from the opening."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalLocked):
            async with Journal.open(path, lock_timeout=0.05):
                pass
        other.execute("ROLLBACK")
    assert 0 == await counted(path)


async def test_many_open_a_new_journal_at_once(path):
    """One of them makes it, and the others find it made."""

    async def one(number):
        async with Journal.open(path) as journal:
            await journal.add([("images", number)])

    await asyncio.gather(*(one(number) for number in range(8)))
    assert 8 == await counted(path)


async def test_a_full_file(path):
    """SQLite's own limit on pages stands for a full disk: nothing is half written."""
    await filled(path, 10)
    async with Journal.open(path) as journal:
        await journal._store.write(_no_more_pages)
        with pytest.raises(JournalFull, match="no room"):
            await journal.add([Ticket("images", number) for number in range(100_000, 200_000)])
        assert 10 == (await journal.report()).tickets
    assert 10 == await counted(path)


def _no_more_pages(db):
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 1}")


LIMITED = """
import asyncio, resource, sys
from modelslab_async import JournalFull
from modelslab_async.journal import Journal

async def main():
    told = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    async with Journal.open(sys.argv[1]) as journal:
        try:
            for start in range(0, 1_000_000, 100):
                await journal.add([("images", start + number) for number in range(100)])
                told += 100
        except JournalFull as error:
            assert "could not be written" in str(error), error
            assert told == (await journal.report()).tickets
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            assert 1 == await journal.add(["video:1"])
            print(told)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no RLIMIT_FSIZE")
def test_a_file_that_may_not_grow(path):
    """Under a real limit of the system, what was told is there, and room makes it go on."""
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=False
    )
    assert "" == child.stderr
    assert int(child.stdout) >= 100
    assert int(child.stdout) + 1 == asyncio.run(counted(path))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_a_journal_that_may_not_be_written():
    """A file of somebody else can neither be used nor spoiled."""
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
def theirs():
    """A journal of somebody else, in a folder of theirs, that everybody may read."""
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(filled(folder / "journal"))
        (folder / "journal").chmod(0o444)
        folder.chmod(0o555)
        yield folder / "journal"
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def nobody():
    """A user who owns nothing."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_a_journal_that_may_only_be_read(theirs, open_elsewhere):
    """It is asked everything, at rest and while its owner has it open; no file is made."""

    async def read():
        async with Journal.open(theirs) as journal:
            with pytest.raises(JournalReadOnly, match=r"may not write|not written"):
                await journal.add([A])
            ended = [each async for each in journal.recorded_outcomes()]
            return (await journal.report()).tickets, ended, await journal.last(A)

    with closing(sqlite3.connect(theirs)) as owner:
        if open_elsewhere:
            owner.execute("INSERT INTO families (name) VALUES ('video')")
            owner.commit()
        before = sorted(theirs.parent.iterdir())
        with nobody():
            assert (1000, [], None) == asyncio.run(read())
        assert before == sorted(theirs.parent.iterdir())
        assert (3 if open_elsewhere else 1) == len(before)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_a_journal_that_was_not_closed_and_may_only_be_read(theirs):
    """What waits beside it is not left out in silence: the error says what to do."""
    theirs.with_name("journal-wal").write_bytes(b"something that waits")
    with nobody(), pytest.raises(JournalReadOnly, match="not closed cleanly"):
        asyncio.run(_add(theirs))


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no such users")
def test_a_journal_that_is_written_while_it_is_read(theirs):
    """Where that cannot be seen in another way, what was read is not taken for whole."""

    def work(_db):
        os.utime(theirs, (1, 1))

    with pytest.raises(JournalError, match="read it again"):
        _read_immutable(str(theirs), 1.0, work)


def test_a_file_that_became_something_else(path):
    """Reading tells it as opening does."""
    path.write_bytes(b"ticket,state\n" * 100)
    with pytest.raises(WrongJournal):
        read(str(path), 1.0, lambda db: db.execute("SELECT 1").fetchone())


async def test_an_older_journal_that_may_only_be_read(path):
    """It cannot be migrated, and the error says who can."""
    await filled(path, 1)
    with closing(sqlite3.connect(path)) as db:
        step = ("ALTER TABLE tickets ADD COLUMN colour TEXT",)
        with pytest.raises(JournalReadOnly, match="who may write it"):
            schema.check_current(db, str(path), (*schema.MIGRATIONS, step))


@pytest.mark.parametrize("again", [False, True])
async def test_a_journal_that_is_deleted_while_it_is_open(path, again):
    """The next write tells it, the next reading, and the end at the latest; no file is made."""
    opened = Journal.open(path)
    journal = await opened.__aenter__()
    await journal.add([A])
    path.unlink()
    if again:
        path.write_bytes(b"")
    told = pytest.raises(JournalError, match="deleted or replaced")
    with told:
        await journal.add([Ticket("images", 2)])
    if not again:
        with told:
            await journal.report()
        assert not path.exists()
    with told:
        await opened.__aexit__(None, None, None)


async def test_a_journal_that_is_deleted_hides_no_other_error(path):
    """What ended the block is what is raised."""

    async def broken():
        async with Journal.open(path):
            path.unlink()
            raise KeyError

    with pytest.raises(KeyError):
        await broken()


async def test_an_emptied_journal(path):
    """What waits beside it tells it from a new file; both are left as they are."""
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


async def test_a_torn_journal(path):
    """A file that was cut short is told as that, and is not cut any further."""
    await filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(JournalDamaged, match=r"\.recover"):
        await _add(path)
    assert whole[: len(whole) // 2] == path.read_bytes()


async def test_a_page_that_makes_no_sense(path):
    """Damage in the middle is told when it is met, and what is not on that page is read."""
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
async def test_a_file_of_another_kind(path, content):
    """It is no journal, and is left as it was."""
    path.write_bytes(content)
    with pytest.raises(WrongJournal):
        await _add(path)
    assert content == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


async def test_a_database_of_another_program(path):
    """It is left as it was, tables and all."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE tickets (a)")
    before = path.read_bytes()
    with pytest.raises(WrongJournal, match="another program"):
        await _add(path)
    assert before == path.read_bytes()


async def test_a_folder_and_a_missing_folder(path):
    """Each is told as what it is."""
    with pytest.raises(WrongJournal, match="folder"):
        await _add(path.parent)
    with pytest.raises(JournalError, match="no journal can be made here"):
        await _add(path / "missing" / "journal")


async def test_an_empty_file_becomes_a_journal(path):
    """Such as one that `mktemp` made."""
    path.touch()
    assert 0 == await counted(path)


async def test_a_newer_journal_is_refused(path):
    """A version that this package does not know is not touched."""
    await filled(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(WrongJournal, match="has version 99, and this package knows"):
        await _add(path)
    assert before == path.read_bytes()


async def test_an_older_journal_migrates(path):
    """It goes the steps that it has not gone, once, with all that it holds."""
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


async def test_a_migration_that_fails_changes_nothing(path):
    """Half a step is no step."""
    await filled(path)
    bad = ("CREATE TABLE extra (a)", "CREATE TABLE tickets (a)")
    with closing(connect(str(path), 5)) as db:
        with pytest.raises(sqlite3.OperationalError):
            schema.prepare(db, str(path), (*schema.MIGRATIONS, bad))
        assert [] == db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'extra'").fetchall()
    assert 1000 == await counted(path)


async def test_a_commit_is_on_the_disk(journal):
    """The settings that the promise stands on: write-ahead, and a sync with each commit."""

    def settings(db):
        return [
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]

    assert ["wal", 2] == await journal._store.write(settings)


async def test_a_settled_ticket_fails_to_be_written(path):
    """Where there is no room for an outcome, the ticket stays open, and its run's."""
    async with Journal.open(path) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        ((number, _),) = (
            await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        ).tickets
        await journal._store.write(_no_more_pages)
        end = Completion(
            number, 1, Success(ticket=A, raw={"status": "success", "output": "x" * 100_000})
        )
        with pytest.raises(JournalFull):
            await journal.leases.complete(run, [end])
        report = await journal.report()
        assert (1, 1, 0) == (report.open, report.running, report.success)
        await journal._store.write(lambda db: db.execute("PRAGMA max_page_count = 100000"))
        assert [True] == await journal.leases.complete(run, [end])


@pytest.mark.parametrize("body", ['{"cut', "5", '{"output": 1}}', "[" * 5000])
async def test_a_reply_that_cannot_be_read(path, body):
    """The error names the file and the ticket, wherever it is met, and what to do."""
    async with Journal.open(path) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        ((number, _),) = (
            await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        ).tickets
        await journal.leases.complete(
            run, [Completion(number, 1, Success(ticket=A, raw={}))], save_files=True
        )
        await journal._store.write(lambda db: db.execute("UPDATE replies SET body = ?", (body,)))

        async def page():
            return [each async for each in journal.recorded_outcomes()]

        for met in (
            journal.last(A),
            page(),
            journal.leases.claim_saves(run, before_run=run, limit=1, lease=60),
        ):
            with pytest.raises(JournalDamaged, match=r"images:1 makes no sense") as caught:
                await met
            assert (A, str(path)) == (caught.value.ticket, caught.value.path)
        # What the page on batches says.
        await journal._store.write(lambda db: [db.execute(each) for each in MENDED.split(";")])
        assert (1, 0) == ((await journal.report()).open, (await journal.report()).success)
        assert await journal.last(A) is None


MENDED = """
UPDATE tickets SET state = 0, run = 0, completed_at = NULL WHERE id = 1;
DELETE FROM replies WHERE ticket IN (SELECT ticket FROM tickets WHERE id = 1)
"""


def test_what_sqlite_says_is_kept():
    """Whatever is not foreseen is an error of ours too, with SQLite's words."""
    error = to_journal_error(sqlite3.OperationalError("gremlins"), "a/b")
    assert type(error) is JournalError
    assert "a/b: the journal could not be read or written (SQLite: gremlins)" == str(error)


def test_it_ends_with_its_program(path):
    """A program that never closes its journal is not held up, and loses nothing it was told."""
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
        timeout=60,
        check=True,
    )
    assert "1" == child.stdout.strip()
    assert 1 == asyncio.run(counted(path))


async def test_a_new_journal_waits_for_who_reads_the_file(path):
    """Whoever has an empty database open delays it, for as long as its patience lasts."""
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
    assert 1 == await counted(path)


async def test_something_stands_where_sqlite_keeps_its_files(path):
    """The error tells of the files beside the journal."""
    await filled(path, 1)
    path.with_name(f"{path.name}-wal").mkdir()
    with pytest.raises(JournalReadOnly, match="two files beside"):
        await _add(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_a_fork_is_told_so(path):
    """The child of a fork has no writer thread, and must not share the file's locks."""
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
async def test_a_reply_that_makes_no_sense(tmp_path, body):
    """It is told with its ticket and with what to do, not as an error of a parser."""
    path = tmp_path / "batch.journal"
    async with Journal.open(path) as journal:
        await journal.add([A])
        run = await journal.leases.begin_run(lease=60)
        claim = await journal.leases.claim(run, before_run=run, limit=1, lease=60)
        await journal.leases.complete(
            run, [Completion(claim.tickets[0][0], 1, Success(ticket=A, raw={"id": 1}))]
        )
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE replies SET body = ?", (body,))
        with pytest.raises(JournalDamaged, match="the reply of images:1 makes no sense"):
            await journal.last(A)
        with pytest.raises(JournalDamaged, match="delete that row of the table replies"):
            await journal.export(tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()
