"""A copy has everything that its source had, is made once, and leaves one journal to run."""

import asyncio
import itertools
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest
from attrs import asdict
from journal_states import run_sql

from modelslab_async import (
    Batch,
    Failed,
    JournalDamaged,
    JournalError,
    JournalLocked,
    JournalReadOnly,
    Processing,
    Submission,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
    WrongJournal,
)
from modelslab_async._journal import (
    copy_rows,
    page_size,
    postgres_copy_source,
    postgres_statement_rows,
    postgres_writer,
    sqlite_copy_source,
)
from modelslab_async._journal.journal_copy import copy_journal
from modelslab_async._journal.postgres_copy_connection import PostgresCopyConnection
from modelslab_async._journal.postgres_copy_target import PostgresCopyTarget
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async._journal.sqlite_copy_file import SqliteCopyFile
from modelslab_async._journal.sqlite_copy_target import SqliteCopyTarget
from modelslab_async._journal.submits import PendingSubmit
from modelslab_async._journal.tickets import OutcomeRow, PollUpdate
from modelslab_async.journal import Journal

SOURCES = (sqlite_copy_source.SqliteCopySource, postgres_copy_source.PostgresCopySource)
TARGETS = (SqliteCopyTarget, PostgresCopyTarget)
LEASE_S = 3600.0
DEADLINE_S = 300.0


@pytest.fixture
def new_path(request, tmp_path):
    """Return a function that gives the path or the address of a new journal of a kind."""
    numbers = itertools.count()

    def make(kind):
        number = next(numbers)
        if kind == "sqlite":
            return tmp_path / f"copy {number}.journal"
        return f"{request.getfixturevalue('address')}%20copy%20{number}"

    return make


@pytest.fixture(params=["sqlite to postgres", "postgres to sqlite"])
def paths(request, new_path):
    """Two new journals: the source and the target of a copy."""
    return tuple(new_path(kind) for kind in request.param.split(" to "))


def done(ticket, text="a"):
    return Success(
        ticket=ticket, output=(f"https://{text}",), raw={"status": "success", "output": [text]}
    )


def going(ticket):
    return Processing(ticket=ticket, eta=7.0, raw={"status": "processing", "eta": 7})


async def claimed(journal, *, lease=LEASE_S):
    """Begin a run that claims all open tickets. Return it and the rows of the tickets."""
    run = await journal.leases.begin_run(lease=lease)
    claim = await journal.leases.claim(run, before_run=run, limit=10_000, lease=lease)
    return run, {ticket: row for row, ticket in claim.tickets}


async def fill(journal):
    """Add rows of every kind, and leave no run active."""
    # A failed ticket that is open again keeps its former outcome.
    reopened = Ticket("images", "reopened-1")
    await journal.add([reopened])
    run, rows = await claimed(journal)
    failed = Failed(ticket=reopened, message="no")
    await journal.leases.complete(run, [OutcomeRow(rows[reopened], 4, failed)])
    await journal.leases.end_run(run)
    assert 1 == await journal.reopen_failed()

    ids = [7, "007", "9" * 30, "a/b-1", "lost-1", "late-1", "queued-1", "bad-1"]
    tickets = [Ticket("images" if n % 2 else "video", id_) for n, id_ in enumerate(ids)]
    saved, failing, missing, other, lost, late, queued, unsaved = tickets
    await journal.add([(ticket, {"row": n, "nöte": None}) for n, ticket in enumerate(tickets)])
    run, rows = await claimed(journal)
    raw = {"status": "failed", "messege": "x" * 100}
    late_cause = WaitTimeout("late", ticket=late)
    completions = [
        OutcomeRow(rows[saved], 3, done(saved), max_lag=1.5),
        OutcomeRow(rows[failing], 1, Failed(ticket=failing, message="no", raw=raw)),
        OutcomeRow(rows[missing], 1, Failed(ticket=missing, message="?", reason="not_found")),
        OutcomeRow(rows[late], 9, Unresolved(ticket=late, cause=late_cause, last=going(late))),
        OutcomeRow(rows[queued], 1, done(queued)),
        OutcomeRow(rows[unsaved], 1, done(unsaved)),
    ]
    assert all(await journal.leases.complete(run, completions, save_files=True))
    assert all(await journal.leases.complete(run, [OutcomeRow(rows[other], 1, done(other))]))
    await journal.leases.record_polls(run, [PollUpdate(rows[lost], 2, going(lost))])
    for index in (1, 0):
        await journal.record_file(
            *(saved, index),
            path=f"/out/{index}.png",
            sha256=str(index) * 64,
            size=5_000_000_000 + index,
            url="https://a",
            is_length_verified=bool(index),
        )
    await journal.leases.claim_saves(run, before_run=run, limit=10, lease=LEASE_S)
    await journal.leases.complete_save(run, rows[saved], error=None)
    await journal.leases.complete_save(run, rows[unsaved], error="too big", argument="max_bytes")
    await journal.leases.end_run(run)

    settings = {"endpoint": "realtime/text2img", "payload_hash": "ab"}
    await journal.record_submit("t1", key="k1", columns={"row": 1}, **settings)
    await journal.confirm("t1", Ticket("realtime", 1))
    await journal.record_submit("t2", **settings)
    await journal.record_submit("t3", key="k3", columns={"row": 3}, **settings)
    await journal.confirm("t3", Ticket("realtime", 3), result=done(Ticket("realtime", 3)))
    # The reply to this submit is an error, and names a ticket nevertheless.
    refused = PendingSubmit(track_id="t5", recorded_at=journal.clock(), **settings)
    run = await journal.leases.begin_run(lease=LEASE_S)
    own = await journal.leases.record_own(refused, run, lease=LEASE_S)
    await journal.leases.mark_uncertain(own, named_ticket=Ticket("realtime", 5))
    await journal.leases.end_run(run)
    # The process of this run is gone: its lease is over, and it had a ticket and a submit.
    gone, _ = await claimed(journal, lease=0.0)
    await journal.record_submit("t4", key="k4", run_id=gone, columns={"row": 4}, **settings)
    await journal.save_pace({"images": [1, 2.5]})


async def content(path):
    """Return everything that a program can read in a journal."""
    async with Journal.open(path) as journal:
        tickets = [*await every_ticket(journal)]
        return {
            "report": asdict(await journal.report()),
            "outcomes": [each async for each in journal.recorded_outcomes()],
            "last": {ticket: await journal.last(ticket) for ticket in tickets},
            "files": [each async for each in journal.all_files()],
            "unsaved": await journal.unsaved(),
            "uncertain": await journal.uncertain(),
            "orphaned": await journal.leases.orphaned_submits(),
            "keys": await journal.leases.submitted_keys(saves_files=True),
            "pace": await journal.load_pace(),
        }


async def every_ticket(journal):
    """Return all tickets in their order, and free them again."""
    run, rows = await claimed(journal)
    await journal.leases.end_run(run)
    outcomes = [each.outcome.ticket async for each in journal.recorded_outcomes()]
    return [*outcomes, *rows]


@pytest.mark.parametrize(
    "kinds",
    [
        ("sqlite", "postgres"),
        ("postgres", "sqlite"),
        ("sqlite", "sqlite"),
        ("postgres", "postgres"),
    ],
    ids=" to ".join,
)
async def test_copy_has_everything(new_path, kinds, monkeypatch):
    """Every kind of row arrives, over many pages, and so it does on the way back."""
    for module in (sqlite_copy_source, postgres_copy_source):
        monkeypatch.setattr(module, "PAGE_ROWS", 2)
    monkeypatch.setattr(postgres_copy_source, "_NEXT_SUBMITS", "FETCH 2 FROM submits_to_copy")
    for name in ("_SELECT_TICKETS", "_SELECT_FILES"):
        statement = getattr(postgres_copy_source, name)
        short = statement.replace(str(copy_rows.PAGE_ROWS), "2")
        assert short != statement
        monkeypatch.setattr(postgres_copy_source, name, short)
    source, target, back, original = map(new_path, (*kinds, kinds[0], kinds[0]))
    for path in (source, original):
        async with Journal.open(path) as journal:
            await fill(journal)
    # The tickets of unfinished runs are free in a copy, so read the original only after it.
    assert await copy_journal(source, target)
    assert await copy_journal(target, back)
    expected, copied = await content(original), await content(back)
    assert 11 == copied["report"]["tickets"]
    assert Ticket("realtime", 5) in [each.named_ticket for each in copied["uncertain"]]
    assert comparable(expected) == comparable(copied)
    assert [each.files for each in copied["outcomes"] if each.files]


def comparable(read):
    """Return what was read without the times, which differ between two fillings."""

    def without_times(value):
        match value:
            case dict():
                return {
                    name: without_times(each)
                    for name, each in value.items()
                    if not str(name).endswith("_at")
                }
            case list() | tuple():
                return [without_times(each) for each in value]
            case _ if hasattr(value, "__attrs_attrs__"):
                return without_times(asdict(value, recurse=False)) | {"type": type(value)}
            case BaseException():
                return repr(value)
            case _:
                return value

    return without_times(read)


async def test_times_are_those_of_the_source(paths):
    """A ticket, an outcome, a file and a submit keep the times at which they were recorded."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
        files = [each async for each in journal.all_files()]
        outcomes = [each async for each in journal.recorded_outcomes()]
        submits = await journal.uncertain()
    await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert files == [each async for each in journal.all_files()]
        assert [(each.added_at, each.completed_at) for each in outcomes] == [
            (each.added_at, each.completed_at) async for each in journal.recorded_outcomes()
        ]
        assert [(each.track_id, each.recorded_at) for each in submits] == [
            (each.track_id, each.recorded_at) for each in await journal.uncertain()
        ]


async def test_run_goes_on_in_the_copy(paths):
    """The next run claims open tickets, unresolved ones, pending saves and failed saves."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
    await copy_journal(source, target)
    async with Journal.open(target) as journal:
        # New rows get numbers of their own.
        assert 1 == await journal.add([("images", "new-1"), ("images", "007")])
        run = await journal.leases.begin_run(lease=LEASE_S)
        claim = await journal.leases.claim(run, before_run=run, limit=100, lease=LEASE_S)
        ids = {ticket.id for _, ticket in claim.tickets}
        assert {"reopened-1", "lost-1", "late-1", "1", "new-1"} == ids
        saves = await journal.leases.claim_saves(run, before_run=run, limit=100, lease=LEASE_S)
        assert {"queued-1", "bad-1"} == {each.success.ticket.id for each in saves.pending}
        (lost,) = (row for row, ticket in claim.tickets if ticket.id == "lost-1")
        outcome = done(Ticket("video", "lost-1"))
        assert [True] == await journal.leases.complete(run, [OutcomeRow(lost, 1, outcome)])
        with pytest.raises(ValueError, match="already"):
            await journal.record_submit("t9", key="k4", endpoint="e", payload_hash="")


async def test_source_is_read_and_not_run_any_more(paths, new_path):
    """No run begins there and no submit is sent. What it holds can be read."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
        before = await journal.report()
    await copy_journal(source, target)
    async with Journal.open(source) as journal:
        assert before == await journal.report()
        with pytest.raises(JournalReadOnly, match=r"was copied to .*use that one"):
            await journal.leases.begin_run(lease=LEASE_S)
        # No run would ever get to what is queued there.
        for queue in (
            journal.record_submit("t9", endpoint="e", payload_hash=""),
            journal.add([("images", "new-1")]),
            journal.reopen_failed(),
            journal.requeue_saves([Ticket("images", "7")]),
        ):
            with pytest.raises(JournalReadOnly, match="was copied to"):
                await queue
        # A submit that was sent before the copy is not lost.
        await journal.confirm("t2", Ticket("realtime", 2))
        assert before.tickets + 1 == (await journal.report()).tickets
    with pytest.raises(JournalReadOnly, match="was copied to"):
        await copy_journal(source, new_path("sqlite"))


async def test_batch_sends_nothing_from_a_copied_journal(paths, world):
    """A program that goes on with the source gets an error for each submission."""
    source, target = paths
    async with Batch.open(source):
        pass
    await copy_journal(source, target)
    async with world() as here, Batch.open(source, client=here.client) as batch:
        submission = Submission("realtime/text2img", {"prompt": "a cat"})
        with pytest.raises(JournalReadOnly, match="was copied"):
            _ = [each async for each in batch.generate_many([submission])]
        with pytest.raises(JournalReadOnly, match="was copied"):
            await batch.submit("realtime/text2img", prompt="a cat")
        assert not here.emulator.submits


async def test_active_run_keeps_its_journal(paths):
    """The source of a copy is at rest, so that no outcome of a run is left behind."""
    source, target = paths
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
        run, _ = await claimed(journal)
        with pytest.raises(JournalLocked, match=f"run {run} is active"):
            await copy_journal(source, target)
        # The run is as it was.
        assert await journal.leases.renew(run, lease=LEASE_S)
        await journal.leases.end_run(run)
        assert await copy_journal(source, target)
        assert not await journal.leases.renew(run, lease=LEASE_S)


async def test_run_of_a_stopped_process_is_over(paths):
    """A process that goes on after its lease finds its run ended, and sends no submit."""
    source, target = paths
    async with Journal.open(source, clock=lambda: time.time() - 2 * LEASE_S) as journal:
        run, _ = await claimed(journal)
        await copy_journal(source, target)
        assert not await journal.leases.renew(run, lease=LEASE_S)
        with pytest.raises(JournalReadOnly):
            await journal.record_submit("t1", endpoint="e", payload_hash="", run_id=run)


async def test_process_resumed_during_the_copy_records_the_ticket_of_a_paid_submit(
    new_path, monkeypatch
):
    """Its run has ended, so it renews no lease. Neither write waits for the end of the copy."""
    source, target = new_path("postgres"), new_path("sqlite")
    ticket, add_tickets, renewed = Ticket("realtime", 2), SqliteCopyTarget.add_tickets, []

    async def resume(self, tickets):
        async with asyncio.timeout(DEADLINE_S):
            renewed.append(await journal.leases.renew(run, lease=LEASE_S))
            await journal.leases.confirm_sent(own, ticket)
        await add_tickets(self, tickets)

    monkeypatch.setattr(SqliteCopyTarget, "add_tickets", resume)
    # The lease of the run is over on the clock of the server.
    async with Journal.open(source, clock=lambda: time.time() - 2 * LEASE_S) as journal:
        await journal.add([("images", 1)])
        run, _ = await claimed(journal)
        submit = PendingSubmit(track_id="t", endpoint="e", payload_hash="", recorded_at=0.0)
        own = await journal.leases.record_own(submit, run, lease=LEASE_S)
        assert await copy_journal(source, target)
        assert [False] == renewed
        assert 2 == (await journal.report()).tickets


async def test_run_that_renews_its_lease_as_the_copy_begins_stops_the_copy(new_path, monkeypatch):
    """The run is active again, so the source is not marked."""
    source, target = new_path("postgres"), new_path("sqlite")
    expire_runs, now = postgres_copy_source.expire_runs, [time.time() - 2 * LEASE_S]

    async def expire_late(*arguments):
        now[0] = time.time()
        assert await journal.leases.renew(run, lease=LEASE_S)
        await expire_runs(*arguments)

    monkeypatch.setattr(postgres_copy_source, "expire_runs", expire_late)
    async with Journal.open(source, clock=lambda: now[0]) as journal:
        run, _ = await claimed(journal)
        with pytest.raises(JournalLocked, match=f"run {run} is active"):
            await copy_journal(source, target)
        await journal.add([("images", 1)])
        assert await journal.leases.renew(run, lease=LEASE_S)


@pytest.mark.parametrize("rows", ["ticket", "submit", "mark"])
async def test_target_with_rows_is_left_as_it_is(paths, new_path, rows):
    """The source is not marked then, and can be run."""
    source, target = paths
    for path in paths:
        async with Journal.open(path) as journal:
            if rows != "submit":
                await journal.add([("images", 1)] if path is source or rows == "ticket" else [])
            else:
                await journal.record_submit("t1", endpoint="e", payload_hash="")
    if rows == "mark":
        await copy_journal(target, new_path("sqlite"))
    with pytest.raises(WrongJournal, match="has rows already"):
        await copy_journal(source, target)
    async with Journal.open(source) as journal:
        await claimed(journal)


async def test_rows_that_come_during_the_copy_are_refused(paths, monkeypatch):
    """Another program filled the target just before the transaction."""
    source, target = paths
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    for kind in TARGETS:
        begin = kind.begin

        async def late(self, begin=begin):
            async with Journal.open(target) as journal:
                await journal.add([("images", 2)])
            await begin(self)

        monkeypatch.setattr(kind, "begin", late)
    with pytest.raises(WrongJournal, match="has rows already"):
        await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert 1 == (await journal.report()).tickets


class Killed(BaseException):
    """The process ends here, without any clean-up."""


@contextmanager
def kill_at(name, *, after):
    """End a copy at a method of its target as a kill would: nothing is undone or marked after."""

    async def nothing(self):
        pass

    with pytest.MonkeyPatch.context() as patch:
        for kind in TARGETS:
            method = getattr(kind, name)

            async def killed(self, *arguments, method=method):
                if after:
                    await method(self, *arguments)
                raise Killed

            patch.setattr(kind, name, killed)
        for kind in SOURCES:
            patch.setattr(kind, "roll_back", nothing)
        yield


@pytest.mark.parametrize(
    ("name", "after"),
    [("add_tickets", False), ("add_files", True), ("commit", False), ("commit", True)],
)
async def test_killed_copy_is_started_again(paths, name, after):
    """Nothing is there twice and nothing is lost. Two journals never have the same open tickets."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
        before = await journal.report()
    with kill_at(name, after=after), pytest.raises(Killed):
        await copy_journal(source, target)
    async with Journal.open(target) as journal:
        expected = before.tickets if (name, after) == ("commit", True) else 0
        assert expected == (await journal.report()).tickets
    async with Journal.open(source) as journal:
        if name == "commit":
            with pytest.raises(JournalReadOnly, match="start the same `batch copy` again"):
                await journal.leases.begin_run(lease=LEASE_S)
        else:
            await journal.leases.end_run(await journal.leases.begin_run(lease=LEASE_S))
    assert ((name, after) != ("commit", True)) == await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert before == await journal.report()
    async with Journal.open(source) as journal:
        with pytest.raises(JournalReadOnly, match="use that one"):
            await journal.leases.begin_run(lease=LEASE_S)


async def test_failed_copy_leaves_the_source_to_run(paths, monkeypatch):
    """An error before the commit takes the mark away, and the target stays empty."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
    for kind in TARGETS:

        async def fail(_self, _submits):
            raise JournalError("no room")

        monkeypatch.setattr(kind, "add_submits", fail)
    with pytest.raises(JournalError, match="no room"):
        await copy_journal(source, target)
    async with Journal.open(source) as journal, Journal.open(target) as other:
        assert 0 == (await other.report()).tickets
        assert (await claimed(journal))[1]


@contextmanager
def fail_at(number, commits):
    """Let the given step of a copy fail. Add the paths of the journals that it commits."""
    steps = itertools.count(1)
    with pytest.MonkeyPatch.context() as patch:
        for kind in (SqliteCopyFile, PostgresCopyConnection):

            def run(self, work, run=kind.run):
                if next(steps) == number:
                    raise JournalLocked("another process has the lock")
                return run(self, work)

            def commit(self, commit=kind.commit):
                commits.append(self.path)
                return commit(self)

            patch.setattr(kind, "run", run)
            patch.setattr(kind, "commit", commit)
        yield


async def test_copy_that_fails_at_any_step_leaves_one_journal_to_run(paths):
    """It is the source until the rows of the target are committed, and then the target."""
    source, target = paths
    async with Journal.open(source) as journal, Journal.open(target) as other:
        await journal.add([("images", 1)])
        may_be_copied, failures = False, 0
        for number in itertools.count(1):
            commits = []
            with fail_at(number, commits):
                try:
                    await copy_journal(source, target)
                    break
                except JournalLocked:
                    failures += 1
            may_be_copied |= other.path in commits
            if may_be_copied:
                with pytest.raises(JournalReadOnly, match="copy of this journal"):
                    await journal.leases.begin_run(lease=LEASE_S)
            else:
                assert 0 == (await other.report()).tickets
                await journal.leases.end_run(await journal.leases.begin_run(lease=LEASE_S))
        assert may_be_copied
        assert failures > 10
        assert 1 == (await other.report()).tickets


async def test_two_copies_at_once_make_one(paths):
    """One copies, and the other is refused. The mark of the first stays."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
        before = await journal.report()
    first = asyncio.create_task(copy_journal(source, target))
    results = await asyncio.gather(
        first, asyncio.to_thread(asyncio.run, copy_journal(source, target)), return_exceptions=True
    )
    assert True in results
    (other,) = (each for each in results if each is not True)
    assert other is False or isinstance(other, JournalError), other
    async with Journal.open(target) as journal:
        assert before == await journal.report()
    async with Journal.open(source) as journal:
        with pytest.raises(JournalReadOnly, match="use that one"):
            await journal.leases.begin_run(lease=LEASE_S)


async def test_copy_that_waited_for_the_same_copy_has_nothing_to_do(paths, monkeypatch):
    """The other call has copied everything, so this one succeeds as well."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
        before = await journal.report()
    others = []
    for kind in SOURCES:

        async def begin(self, path, begin=kind.begin):
            if not others:
                others.append(None)
                others[0] = await copy_journal(source, target)
            await begin(self, path)

        monkeypatch.setattr(kind, "begin", begin)
    assert not await copy_journal(source, target)
    assert [True] == others
    async with Journal.open(target) as journal:
        assert before == await journal.report()


async def test_repeated_copy_of_an_empty_journal_has_nothing_to_do(paths):
    """The target is empty after the first copy, too, but it names the source as its origin."""
    source, target = paths
    async with Journal.open(source):
        pass
    assert await copy_journal(source, target)
    assert not await copy_journal(source, target)


async def test_rows_that_come_after_a_killed_copy_of_an_empty_journal_are_copied(new_path):
    """The target names the source as its origin already, and the mark was deleted by hand."""
    source, target = new_path("sqlite"), new_path("sqlite")
    async with Journal.open(source):
        pass
    with kill_at("commit", after=True), pytest.raises(Killed):
        await copy_journal(source, target)
    with closing(sqlite3.connect(source)) as db, db:
        db.execute("DELETE FROM runs WHERE process LIKE 'copying to %'")
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    assert await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert 1 == (await journal.report()).tickets


async def test_copy_is_not_repeated_to_a_target_that_was_lost(new_path):
    """A run may have gone on in the lost file, so its old rows are not paid for a second time."""
    source, target = new_path("sqlite"), new_path("sqlite")
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    assert await copy_journal(source, target)
    for file in target.parent.glob(f"{target.name}*"):
        file.unlink()
    with pytest.raises(JournalReadOnly, match="was copied to"):
        await copy_journal(source, target)


@pytest.fixture
def waits_for_copy(monkeypatch):
    """An event that is set when an operation finds a copy, for whose end it waits for long."""
    monkeypatch.setattr(postgres_writer, "_COPY_PATIENCE_S", DEADLINE_S)
    found, fetch = asyncio.Event(), PostgresSession.fetch

    async def watched(self, statement, *arguments, **more):
        rows = await fetch(self, statement, *arguments, **more)
        if "lock_shared" in statement and not rows[0][0]:
            found.set()
        return rows

    monkeypatch.setattr(PostgresSession, "fetch", watched)
    return found


async def test_submit_to_the_target_waits_for_the_end_of_the_copy(
    new_path, monkeypatch, waits_for_copy
):
    """A submit with the same key is in the source, and is not paid for a second time."""
    source, target = new_path("sqlite"), new_path("postgres")
    submit = {"endpoint": "e", "payload_hash": "", "key": "k"}
    add_submits, recording = PostgresCopyTarget.add_submits, []

    async def add(self, submits):
        recording.append(asyncio.ensure_future(journal.record_submit("t2", **submit)))
        recording[0].add_done_callback(lambda _: waits_for_copy.set())
        await waits_for_copy.wait()
        assert not recording[0].done()
        await add_submits(self, submits)

    monkeypatch.setattr(PostgresCopyTarget, "add_submits", add)
    async with Journal.open(source) as journal:
        await journal.record_submit("t1", **submit)
    async with Journal.open(target) as journal:
        assert await copy_journal(source, target)
        with pytest.raises(ValueError, match="already"):
            await recording[0]


@pytest.fixture
def during_copy(monkeypatch):
    """Return a function that lets a copy call a function before it adds the first ticket."""

    def let(act):
        for kind in TARGETS:

            async def add(self, tickets, add_tickets=kind.add_tickets):
                async with asyncio.timeout(DEADLINE_S):
                    await act()
                await add_tickets(self, tickets)

            monkeypatch.setattr(kind, "add_tickets", add)

    return let


async def of_database(paths):
    """Add a ticket to the source. Return which of the two journals is in a database."""
    source, target = paths
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    return source if isinstance(source, str) else target


async def test_addition_waits_for_the_end_of_a_copy_for_a_limited_time(
    paths, monkeypatch, during_copy
):
    """In a database too, a journal that is locked for too long is a `JournalLocked`."""
    path, refused = await of_database(paths), []
    monkeypatch.setattr(postgres_writer, "_COPY_PATIENCE_S", 0.0)

    async def visit():
        for operation in (
            journal.add([("images", 2)]),
            journal.leases.begin_run(lease=LEASE_S),
            journal.record_submit("t", endpoint="e", payload_hash=""),
        ):
            with pytest.raises(JournalLocked, match=r"batch.*: this batch is being copied") as got:
                await operation
            refused.append(got)

    during_copy(visit)
    async with Journal.open(path) as journal:
        assert await copy_journal(*paths)
        assert 3 == len(refused)
        assert 1 == (await journal.report()).tickets


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_journal_that_waits_for_a_copy_can_be_left(
    paths, during_copy, waits_for_copy, is_cancelled
):
    """Nothing is added then, not even after the copy."""
    path, additions = await of_database(paths), []

    async def visit():
        async with Journal.open(path) as journal:
            additions.append(asyncio.create_task(journal.add([("images", 2)])))
            await waits_for_copy.wait()
            if is_cancelled:
                additions[0].cancel()
        expected = asyncio.CancelledError if is_cancelled else JournalLocked
        with pytest.raises(expected):
            await additions[0]

    during_copy(visit)
    assert await copy_journal(*paths)
    assert 1 == len(additions)
    async with Journal.open(path) as journal:
        assert 1 == (await journal.report()).tickets


async def test_other_writes_do_not_wait_for_an_addition_that_waits_for_a_copy(
    paths, during_copy, waits_for_copy
):
    """A paid submit gets its ticket, in the same transaction as the addition or in another one."""
    path, additions = await of_database(paths), []

    async def visit():
        additions.append(asyncio.create_task(other.add([("images", 1), ("images", 2)])))
        await other.save_pace({"images": [1, 2.5]})
        await waits_for_copy.wait()
        await other.save_pace({"images": [2, 2.5]})
        assert not additions[0].done()

    during_copy(visit)
    async with Journal.open(path) as journal, Journal.open(path) as other:
        assert await copy_journal(*paths)
        if path is paths[0]:
            with pytest.raises(JournalReadOnly, match=r"has begun|was copied"):
                await additions[0]
        else:
            assert 1 == await additions[0]
            assert 2 == (await journal.report()).tickets


async def test_active_run_keeps_its_journal_from_being_a_target(paths):
    """Nothing else is in that journal yet. The source can still be run."""
    source, target = paths
    async with Journal.open(source) as journal, Journal.open(target) as other:
        await journal.add([("images", 1)])
        run = await other.leases.begin_run(lease=LEASE_S)
        with pytest.raises(JournalLocked, match=f"run {run} is active"):
            await copy_journal(source, target)
        assert (await claimed(journal, lease=0.0))[1]
        await other.leases.end_run(run)
    assert await copy_journal(source, target)


async def test_batch_is_copied_to_another_schema(address):
    """The batches of both have the same number."""
    paths = [f"{address}&schema={name}" for name in ("first", "second")]
    source, target = paths
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    try:
        assert await copy_journal(source, target)
        async with Journal.open(target) as journal:
            assert 1 == (await journal.report()).tickets
    finally:
        run_sql(source, "DROP SCHEMA first CASCADE", "DROP SCHEMA second CASCADE")


async def test_killed_copy_to_a_target_of_several_origins_is_started_again(paths, new_path):
    """An empty journal was copied there before."""
    source, target = paths
    empty = new_path("sqlite")
    async with Journal.open(source) as journal, Journal.open(empty):
        await journal.add([("images", 1)])
    assert await copy_journal(empty, target)
    with kill_at("commit", after=True), pytest.raises(Killed):
        await copy_journal(source, target)
    assert not await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert 1 == (await journal.report()).tickets


async def test_run_that_begins_during_the_copy_is_refused(new_path, monkeypatch, waits_for_copy):
    """In a database, such a run waits for the mark of the copy, and then finds it."""
    source, target = new_path("postgres"), new_path("sqlite")
    marks = postgres_copy_source.copy_marks
    set_mark, begun = marks.set_mark, []

    async def set_late(db, mark):
        if not mark.is_complete:
            begun.append(asyncio.ensure_future(journal.leases.begin_run(lease=LEASE_S)))
            await waits_for_copy.wait()
        await set_mark(db, mark)

    monkeypatch.setattr(marks, "set_mark", set_late)
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
        assert await copy_journal(source, target)
        with pytest.raises(JournalReadOnly, match=r"has begun|was copied"):
            await begun[0]


async def test_copy_that_begins_between_the_two_commits_has_nothing_to_do(paths, monkeypatch):
    """The mark of the first copy is committed then, and its rows are not yet there."""
    source, target = paths
    async with Journal.open(source) as journal:
        await fill(journal)
    others, waits, is_committed = [], asyncio.Event(), asyncio.Event()
    for kind in TARGETS:

        async def begin(self, begin=kind.begin):
            if others:
                waits.set()
                await is_committed.wait()
            await begin(self)

        async def commit(self, commit=kind.commit):
            others.append(asyncio.create_task(copy_journal(source, target)))
            others[0].add_done_callback(lambda _: waits.set())
            await waits.wait()
            await commit(self)
            is_committed.set()
            assert not await others[0]

        monkeypatch.setattr(kind, "begin", begin)
        monkeypatch.setattr(kind, "commit", commit)
    assert await copy_journal(source, target)
    async with Journal.open(source) as journal:
        with pytest.raises(JournalReadOnly, match="use that one"):
            await journal.leases.begin_run(lease=LEASE_S)


async def test_ticket_that_is_added_while_a_copy_waits_for_its_lock_is_copied(
    new_path, monkeypatch
):
    """In a database, a snapshot from before the lock would lack it."""
    source, target = new_path("postgres"), new_path("sqlite")
    keep_runs_out = postgres_copy_source.copy_marks.keep_runs_out

    async def add_and_lock(db):
        await journal.add([("images", 2)])
        await keep_runs_out(db)

    monkeypatch.setattr(postgres_copy_source.copy_marks, "keep_runs_out", add_and_lock)
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
        assert await copy_journal(source, target)
    async with Journal.open(target) as journal:
        assert 2 == (await journal.report()).tickets


async def test_page_is_bounded_by_the_size_of_its_replies(new_path, monkeypatch):
    """Large replies are copied a few at a time, so memory does not grow with their number."""
    monkeypatch.setattr(sqlite_copy_source, "PAGE_BYTES", 1_000_000)
    statement = postgres_copy_source._SELECT_TICKETS
    small = statement.replace(str(page_size.PAGE_BYTES), "1000000")
    assert small != statement
    monkeypatch.setattr(postgres_copy_source, "_SELECT_TICKETS", small)
    pages = []
    for kind in TARGETS:
        add = kind.add_tickets

        async def counted(self, tickets, add=add):
            pages.append(len(tickets))
            await add(self, tickets)

        monkeypatch.setattr(kind, "add_tickets", counted)
    source, middle, target = new_path("sqlite"), new_path("postgres"), new_path("sqlite")
    async with Journal.open(source) as journal:
        await journal.add([("images", number) for number in range(12)])
        run, rows = await claimed(journal)
        for ticket, row in rows.items():
            # The text is in two columns.
            await journal.leases.complete(run, [OutcomeRow(row, 1, done(ticket, "x" * 150_000))])
        await journal.leases.end_run(run)
    await copy_journal(source, middle)
    await copy_journal(middle, target)
    assert [4, 4, 4] * 2 == pages


async def test_page_is_bounded_by_the_size_of_all_its_texts(new_path, monkeypatch):
    """Rows of the input table, links and other texts can be as large as replies."""
    monkeypatch.setattr(sqlite_copy_source, "PAGE_BYTES", 1_000_000)
    monkeypatch.setattr(postgres_copy_source, "PAGE_BYTES", 1_000_000)
    monkeypatch.setattr(postgres_copy_source, "_NEXT_SUBMITS", "FETCH 1 FROM submits_to_copy")
    for name in ("_SELECT_TICKETS", "_SELECT_FILES"):
        statement = getattr(postgres_copy_source, name)
        small = statement.replace(str(page_size.PAGE_BYTES), "1000000")
        assert small != statement
        monkeypatch.setattr(postgres_copy_source, name, small)
    pages = {}
    for kind, name in itertools.product(TARGETS, ("add_tickets", "add_files", "add_submits")):
        add = getattr(kind, name)

        async def counted(self, rows, add=add, name=name):
            pages.setdefault((self.path, name), []).append(len(rows))
            await add(self, rows)

        monkeypatch.setattr(kind, name, counted)
    source, middle, target = new_path("sqlite"), new_path("postgres"), new_path("sqlite")
    text = "x" * 300_000
    async with Journal.open(source) as journal:
        await journal.add([(("images", number), {"a": text}) for number in range(6)])
        for number in range(6):
            more = {"sha256": "0" * 64, "size": 1, "path": "/a"}
            await journal.record_file(("images", number), 0, url=f"https://a/{text}", **more)
            submit = {"endpoint": "e", "payload_hash": "", "columns": {"a": text}}
            await journal.record_submit(f"t{number}", **submit)
    await copy_journal(source, middle)
    await copy_journal(middle, target)
    assert [[4, 2]] * 6 == [*pages.values()]


async def test_page_is_written_in_statements_of_limited_size(new_path, monkeypatch):
    """A slow network has the timeout of a statement for each of them."""
    monkeypatch.setattr(postgres_statement_rows, "_MAX_STATEMENT_CHARS", 1_000_000)
    sizes, fetch = [], PostgresSession.fetch

    async def counted(self, statement, *arguments, **more):
        texts = (text for each in arguments if isinstance(each, list) for text in each)
        sizes.append(sum(len(text) for text in texts if isinstance(text, str)))
        return await fetch(self, statement, *arguments, **more)

    source, target = new_path("sqlite"), new_path("postgres")
    async with Journal.open(source) as journal:
        columns = {"a": "x" * 300_000}
        await journal.add([(("images", number), columns) for number in range(6)])
        await journal.record_submit("t", endpoint="e", payload_hash="", columns=columns)
    monkeypatch.setattr(PostgresSession, "fetch", counted)
    await copy_journal(source, target)
    assert [3, 3, 1] == [each // 300_000 for each in sizes if each >= 300_000]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", "the url of 'images:1' has a NUL"),
        ("submit", r"the track_id of 'submit a\\x00b' has a NUL"),
    ],
)
async def test_text_that_a_database_cannot_store_is_named(new_path, place, message):
    """The source can still be run, and copied to a file."""
    source, target = new_path("sqlite"), new_path("postgres")
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
        if place == "file":
            more = {"sha256": "0" * 64, "size": 1, "path": "/a"}
            await journal.record_file(("images", 1), 0, url="https://a/\0", **more)
        else:
            await journal.record_submit("a\0b", endpoint="e", payload_hash="")
    with pytest.raises(JournalError, match=message):
        await copy_journal(source, target)
    async with Journal.open(source) as journal:
        assert (await claimed(journal, lease=0.0))[1]
    assert await copy_journal(source, new_path("sqlite"))


async def test_number_that_a_database_cannot_store_is_an_error_of_the_journal(new_path):
    """A file holds any number, also one that no method writes."""
    source, target = new_path("sqlite"), new_path("postgres")
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
        more = {"sha256": "0" * 64, "size": 1, "path": "/a", "url": "https://a"}
        await journal.record_file(("images", 1), 0, **more)
    with closing(sqlite3.connect(source)) as db, db:
        db.execute("UPDATE files SET output_index = ?", (2**40,))
    with pytest.raises(JournalError, match="cannot store a value of the source"):
        await copy_journal(source, target)


async def test_copy_reads_each_row_of_a_database_about_once(address, new_path, monkeypatch):
    """A page does not read the rows of other pages, however many there are."""
    path, count = f"{address}&schema=copying", 20_000
    async with Journal.open(path):
        pass
    rows = f"FROM copying.batches, generate_series(1, {count}) AS number"
    inserts = {
        "tickets (ticket, added_at, batch, family, id)": "number, 1, batch, 'images', number",
        "replies (ticket, completed_at, batch, state)": "number, 1, batch, 2",
        "inputs (ticket, batch, columns)": "number, batch, '{}'",
        "saves (ticket, batch, state)": "number, batch, 2",
        "files (ticket, size, recorded_at, batch, output_index, is_length_verified, path, sha256, "
        "url)": "number, 1, 1, batch, 0, true, '', '', ''",
        "submits (ticket, recorded_at, batch, track_id, endpoint, payload_hash)": (
            "number, 1, batch, number, '', ''"
        ),
    }
    reads = {}
    finish = postgres_copy_source.PostgresCopySource.finish

    async def counted(self):
        counts = await self._fetch(
            "SELECT relname, seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables "
            "WHERE schemaname = 'copying' AND $1::integer IS NOT NULL"
        )
        reads.update(map(tuple, counts))
        await finish(self)

    monkeypatch.setattr(postgres_copy_source.PostgresCopySource, "finish", counted)
    try:
        run_sql(
            path,
            *(
                f"INSERT INTO copying.{table} SELECT {columns} {rows}"
                for table, columns in inserts.items()
            ),
        )
        assert await copy_journal(path, new_path("sqlite"))
    finally:
        run_sql(path, "DROP SCHEMA copying CASCADE")
    # The files and the submits look their tickets up, too.
    limits = {name.partition(" ")[0]: count * 2 for name in inserts} | {"tickets": count * 4}
    assert {} == {name: reads[name] for name in limits if not count <= reads[name] <= limits[name]}


async def test_damaged_row_stops_the_copy(new_path):
    """The error names the ticket, and the source can still be run."""
    source, target = new_path("sqlite"), new_path("sqlite")
    async with Journal.open(source) as journal:
        await fill(journal)
    with closing(sqlite3.connect(source)) as db:
        db.execute("DELETE FROM replies WHERE state = 2")
        db.commit()
    with pytest.raises(JournalDamaged, match="video:7"):
        await copy_journal(source, target)
    async with Journal.open(source) as journal:
        await claimed(journal)


async def test_password_is_not_in_an_error(new_path):
    """The errors of a copy name the hosts, the database and the batch."""
    source, target = new_path("sqlite"), new_path("postgres")
    async with Journal.open(source) as journal:
        await journal.add([("images", 1)])
    missing = target.replace("host=/tmp/", "host=/tmp/missing-")
    with pytest.raises(JournalError, match="server runs") as caught:
        await copy_journal(source, missing)
    assert "a-secret-password" not in repr(caught.value)
    assert caught.value.__context__ is None
    await copy_journal(source, target)
    with closing(sqlite3.connect(source)) as db:
        ((process,),) = db.execute("SELECT process FROM runs WHERE lease_until > 1e300")
    assert process.startswith("copied to postgresql:///postgres?batch=")
