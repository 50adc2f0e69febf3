"""Journal: tickets come in once and end once, and all of it is there when it is opened again."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from modelslab_async import (
    Failed,
    JournalError,
    Processing,
    Report,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._journal import exports
from modelslab_async._journal.tickets import Completion, PollUpdate
from modelslab_async._journal.writer import connect
from modelslab_async.journal import Journal, PendingSubmit

A, B, C = Ticket("images", 1), Ticket("images", "00x"), Ticket("video", 1)
RAW = {"status": "success", "output": ["https://a"]}


def done(ticket):
    return Success(ticket=ticket, output=("https://a",), raw=RAW)


def given_up(ticket):
    return Unresolved(ticket=ticket, cause=WaitTimeout("late", ticket=ticket))


async def claim(journal, run, *, most=10, before=None):
    """The tickets that a run gets, with their numbers."""
    got = await journal.leases.claim(run, before_run=before or run, limit=most, lease=60)
    return {ticket: number for number, ticket in got.tickets}


async def test_a_ticket_comes_in_once(journal):
    """Those that are there already are ignored, in one call and in the next."""
    assert 2 == await journal.add([A, "images:1", ("images", 1), B])
    assert 1 == await journal.add([B, C])
    assert 3 == (await journal.report()).tickets


@pytest.mark.parametrize(
    "id_", ["1", "0", "007", "-1", "1e3", "9" * 18, "9" * 19, "٣", "a/b", "0x10", "é", "1.0"]
)
async def test_an_id_comes_back_as_it_was(journal, id_):
    """Numbers are kept as numbers only where they are the same text again."""
    ticket = Ticket("images", id_)
    assert 1 == await journal.add([ticket])
    assert 0 == await journal.add([ticket])
    assert [ticket] == list(await claim(journal, await journal.leases.begin_run(lease=60)))


async def test_an_ill_formed_ticket_adds_nothing(journal):
    """A chunk is added as a whole or not at all."""
    with pytest.raises(ValueError, match="family:id"):
        await journal.add([A, "nonsense"])
    assert 0 == (await journal.report()).tickets


async def test_an_outcome_is_there_when_it_is_opened_again(path, clock):
    """What was settled comes back, with its polls and its times."""
    async with Journal.open(path, clock=clock) as journal:
        await journal.add([A, B, C])
        run = await journal.leases.begin_run(lease=60)
        held = await claim(journal, run)
        clock.now += 5
        failed = Failed(ticket=B, message="no")
        ends = [
            Completion(held[A], 3, done(A)),
            Completion(held[B], 1, failed),
            Completion(held[C], 2, given_up(C)),
        ]
        assert [True] * 3 == await journal.leases.complete(run, ends)
    async with Journal.open(path, clock=clock) as journal:
        found = [each async for each in journal.recorded_outcomes()]
        assert [done(A), failed] == [each.outcome for each in found[:2]]
        assert (C, "late") == (found[2].outcome.ticket, found[2].outcome.cause.message)
        assert [3, 1, 2] == [each.polls for each in found]
        assert {(clock.now - 5, clock.now)} == {
            (each.added_at, each.completed_at) for each in found
        }
        expected = Report(
            tickets=3,
            open=0,
            running=0,
            unresolved=1,
            success=1,
            failed=1,
            polls=6,
            files=0,
            save_pending=0,
            unsaved=0,
            saved=0,
            uncertain=0,
        )
        report = await journal.report()
        assert (expected, 2) == (report, report.finished)
        assert done(A) == await journal.last(A)
        assert await journal.last("audio:1") is None


async def test_many_pages_are_one_list(journal, monkeypatch):
    """Outcomes are read a page at a time, each once, whatever is open between them."""
    monkeypatch.setattr("modelslab_async.journal._PAGE_SIZE", 3)
    tickets = [Ticket("images", number) for number in range(1, 21)]
    await journal.add(tickets)
    run = await journal.leases.begin_run(lease=60)
    held = await claim(journal, run, most=20)
    ends = [Completion(held[ticket], 1, done(ticket)) for ticket in tickets if int(ticket.id) % 3]
    await journal.leases.complete(run, ends)
    assert [end.outcome for end in ends] == [
        each.outcome async for each in journal.recorded_outcomes()
    ]


async def test_two_runs_share_the_work(journal):
    """No ticket belongs to two runs, and each says whether the other has some."""
    await journal.add([A, B, C])
    first, second = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=60),
    )
    assert first < second
    mine, other = await claim(journal, first, most=2), await claim(journal, second, most=2)
    assert {A, B, C} == {*mine, *other}
    assert set() == {*mine} & {*other}
    got = await journal.leases.claim(first, before_run=first, limit=9, lease=60)
    assert ([], True) == (got.tickets, got.has_others)
    assert [True] == await journal.leases.complete(second, [Completion(other[C], 1, done(C))])
    got = await journal.leases.claim(first, before_run=first, limit=9, lease=60)
    assert ([], False) == (got.tickets, got.has_others)
    got = await journal.leases.claim(second, before_run=second, limit=9, lease=60)
    assert ([], True) == (got.tickets, got.has_others)


async def test_a_dead_run_loses_its_tickets_in_time(journal, clock):
    """Not before its lease is over; a renewed lease is over later."""
    await journal.add([A])
    dead, heir = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    held = await claim(journal, dead)
    clock.now += 40
    assert await journal.leases.renew(dead, lease=60)
    clock.now += 59
    assert {} == await claim(journal, heir)
    assert 1 == (await journal.report()).running
    clock.now += 1
    assert 0 == (await journal.report()).running
    assert held == await claim(journal, heir)
    assert not await journal.leases.renew(dead, lease=60)
    assert await journal.leases.claim(dead, before_run=dead, limit=1, lease=60) is None


async def test_who_comes_too_late_changes_nothing(journal, clock):
    """The outcome of a run that lost its ticket is not written, those beside it are."""
    await journal.add([A, B])
    slow, fast = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    held = await claim(journal, slow, most=1)
    clock.now += 60
    taken = await claim(journal, fast)
    mine = await claim(journal, again := await journal.leases.begin_run(lease=60))
    assert ({A, B}, {}) == (taken.keys(), mine)
    assert [True] == await journal.leases.complete(fast, [Completion(taken[A], 1, done(A))])
    assert [False] == await journal.leases.complete(slow, [Completion(held[A], 1, given_up(A))])
    assert [False, True] == await journal.leases.complete(
        fast, [Completion(taken[A], 5, given_up(A)), Completion(taken[B], 1, done(B))]
    )
    await journal.leases.record_polls(slow, [PollUpdate(held[A], 7, Processing(ticket=A))])
    await journal.leases.end_run(again)
    assert [done(A), done(B)] == [each.outcome async for each in journal.recorded_outcomes()]
    assert 2 == (await journal.report()).polls


async def test_unresolved_is_open_for_the_next_run_alone(journal):
    """The run that gave a ticket up does not get it again; one that begins later does."""
    await journal.add([A, B])
    first = await journal.leases.begin_run(lease=60)
    held = await claim(journal, first)
    await journal.leases.complete(
        first, [Completion(held[A], 1, given_up(A)), Completion(held[B], 1, done(B))]
    )
    assert {} == await claim(journal, first)
    assert 1 == (await journal.report()).unresolved
    second = await journal.leases.begin_run(lease=60)
    assert held[A] == (await claim(journal, second))[A]
    report = await journal.report()
    assert (1, 1, 0) == (report.open, report.running, report.unresolved)
    assert await journal.last(A) is None
    assert [True] == await journal.leases.complete(second, [Completion(held[A], 1, done(A))])
    assert {done(A), done(B)} == {each.outcome async for each in journal.recorded_outcomes()}


async def test_a_run_that_ends_leaves_the_rest(journal):
    """What it did not settle is anybody's at once, and its last notes are kept."""
    await journal.add([A])
    first, second = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=60),
    )
    held = await claim(journal, first)
    last = Processing(ticket=A, status="queued", eta=4.0, raw={"status": "queued", "eta": 4})
    await journal.leases.end_run(first, [PollUpdate(held[A], 4, last)])
    assert last == await journal.last(A)
    assert held == await claim(journal, second)
    assert 4 == (await journal.report()).polls


async def test_what_waits_together_is_committed_together(journal):
    """A hundred calls at once cost a few commits, not one each."""
    said = []
    await journal._store.write(lambda db: db.set_trace_callback(said.append))
    tickets = [Ticket("images", number) for number in range(100)]
    await asyncio.gather(*(journal.add([ticket]) for ticket in tickets))
    assert 100 == (await journal.report()).tickets
    assert 1 <= said.count("COMMIT") < 50


async def test_a_group_has_an_end(journal, monkeypatch):
    """However many calls wait, a commit takes a part of them, and the next one the next part."""
    monkeypatch.setattr("modelslab_async._journal.writer._MAX_OPERATIONS_PER_COMMIT", 3)
    tickets = [Ticket("images", number) for number in range(20)]
    assert [1] * 20 == await asyncio.gather(*(journal.add([ticket]) for ticket in tickets))


async def test_a_bad_call_does_not_spoil_the_others(journal):
    """Of those that wait together, the one that is wrong is told so, and the rest is done."""
    results = await asyncio.gather(
        journal.add([A]),
        journal.record_file("images:77", 0, path="x", sha256="0", size=1, url="u"),
        journal.add([B]),
        return_exceptions=True,
    )
    assert (1, 1) == (results[0], results[2])
    assert "images:77 is not in this journal" in str(results[1])
    assert 2 == (await journal.report()).tickets


async def test_a_caller_who_is_cancelled_harms_nothing(journal):
    """What was given to the writer is done, whoever waits for it."""
    task = asyncio.create_task(journal.add([A]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == await journal.add([A])


async def test_a_closed_journal_says_so(path):
    """Calls after the block are refused, reading ones and writing ones; what waited is done."""
    async with Journal.open(path) as journal:
        waiting = asyncio.ensure_future(journal.add([A]))
        await asyncio.sleep(0)
    assert 1 == await waiting
    with pytest.raises(JournalError, match="closed"):
        await journal.add([A])
    with pytest.raises(JournalError, match="closed"):
        await journal.report()
    assert str(path) == journal.path


async def test_reading_waits_for_no_writer(journal, path):
    """A report comes while another process is in the midst of a write."""
    await journal.add([A])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert 1 == (await journal.report()).tickets
        other.execute("ROLLBACK")


async def test_the_questions_of_a_run_cost_no_scan(journal, path):
    """Claims and renewals go by an index, however many tickets are over."""
    asked = []
    await journal._store.write(lambda db: db.set_trace_callback(asked.append))
    await journal.add([A, B])
    run = await journal.leases.begin_run(lease=60)
    held = await claim(journal, run, most=1)
    await journal.leases.complete(run, [Completion(held[A], 1, done(A))])
    await journal.leases.end_run(run)
    with closing(connect(str(path), 5)) as db:
        for statement in asked:
            if " tickets " in statement and not statement.startswith("INSERT OR IGNORE"):
                plan = db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                assert not [row for row in plan if row[3].startswith("SCAN tickets")], statement


async def test_files_are_remembered(journal, clock):
    """By ticket, in the order of its outputs; a second download replaces the first."""
    await journal.add([A])
    for number, size in ((1, 10), (0, 5), (1, 11)):
        await journal.record_file(
            *(A, number),
            path=f"out/{number}.png",
            sha256="ab" * 32,
            size=size,
            url="https://a",
            is_length_verified=number == 0,
        )
    found = await journal.files("images:1")
    assert [(0, "out/0.png", 5, True), (1, "out/1.png", 11, False)] == [
        (each.output_index, each.path, each.size, each.is_length_verified) for each in found
    ]
    assert found == [each async for each in journal.all_files()]
    assert (A, "ab" * 32, "https://a", clock.now) == (
        *(found[0].ticket, found[0].sha256, found[0].url, found[0].recorded_at),
    )
    assert 2 == (await journal.report()).files
    with pytest.raises(ValueError, match="not in this journal"):
        await journal.files(B)


async def test_a_submit_is_doubtful_until_it_is_confirmed(journal, clock):
    """It is written before it is sent; its ticket joins the batch when it is known."""
    await journal.record_submit("t-1", endpoint="images/text2img", payload_hash="ab")
    clock.now += 1
    await journal.record_submit("t-2", endpoint="images/text2img", payload_hash="cd")
    first, second = await journal.uncertain()
    assert ("t-1", "images/text2img", clock.now - 1) == (
        first.track_id,
        first.endpoint,
        first.recorded_at,
    )
    assert ("ab", "cd") == (first.payload_hash, second.payload_hash)
    await journal.confirm("t-1", A)
    assert [second] == await journal.uncertain()
    assert 1 == (await journal.report()).uncertain
    assert [A] == list(await claim(journal, await journal.leases.begin_run(lease=60)))
    await journal.withdraw("t-2")
    assert [] == await journal.uncertain()


async def test_a_submit_of_a_living_run_is_not_doubtful(journal, clock):
    """Only when the run that sends it has died does anybody need to look for it."""
    run = await journal.leases.begin_run(lease=60)
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab", run_id=run)
    assert [] == await journal.uncertain()
    clock.now += 60
    assert ["t-1"] == [each.track_id for each in await journal.uncertain()]


async def test_a_submit_has_its_own_mark(journal):
    """A track_id is used once; unknown ones are refused; a confirmed one is not withdrawn."""
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    with pytest.raises(ValueError, match="'t-1' is in this journal already"):
        await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    with pytest.raises(ValueError, match="no uncertain submit"):
        await journal.confirm("t-2", A)
    assert 0 == (await journal.report()).tickets
    await journal.confirm("t-1", A)
    with pytest.raises(ValueError, match="no uncertain submit"):
        await journal.withdraw("t-1")


async def test_a_submit_is_found_by_its_mark(journal, clock):
    """With what it started, and the result if the reply brought it; withdrawn ones are gone."""
    assert await journal.find_submit("t-1") is None
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    assert (await journal.find_submit("t-1")).ticket is None
    await journal.confirm("t-1", A, result=done(A))
    assert PendingSubmit(
        track_id="t-1", endpoint="e", payload_hash="ab", recorded_at=clock.now, ticket=A
    ) == await journal.find_submit("t-1")
    assert done(A) == await journal.last(A)
    assert {} == await claim(journal, await journal.leases.begin_run(lease=60))
    await journal.record_submit("t-2", endpoint="e", payload_hash="cd")
    await journal.withdraw("t-2")
    assert await journal.find_submit("t-2") is None


async def test_a_dead_run_loses_its_saves_in_time(journal, clock):
    """Also to a run that asks for nothing but saves."""
    await journal.add([A])
    dead, heir = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    held = await claim(journal, dead)
    await journal.leases.complete(dead, [Completion(held[A], 1, done(A))], save_files=True)

    async def saves(run):
        return (await journal.leases.claim_saves(run, before_run=run, limit=9, lease=60)).pending

    assert [A] == [each.success.ticket for each in await saves(dead)]
    clock.now += 59
    assert [] == await saves(heir)
    clock.now += 1
    assert [A] == [each.success.ticket for each in await saves(heir)]


async def test_an_export_is_of_one_moment(journal, path, monkeypatch):
    """What is settled while it goes on is not in it, wherever it stands in the file."""
    monkeypatch.setattr("modelslab_async._journal.exports._PAGE_SIZE", 1)
    await journal.add([A, B, C])
    run = await journal.leases.begin_run(lease=60)
    held = await claim(journal, run)
    await journal.leases.complete(
        run, [Completion(held[A], 1, done(A)), Completion(held[B], 1, done(B))]
    )
    with closing(connect(str(path), 5)) as db:
        pages = exports._pages(db)
        first = next(pages)
        await journal.leases.complete(run, [Completion(held[C], 1, done(C))])
        rest = list(pages)
    assert [A, B] == [each.outcome.ticket for page in (first, *rest) for each in page]


async def test_anyone_can_read_it(journal, path):
    """The view tells in plain words what the tables hold."""
    await journal.add([A, B])
    run = await journal.leases.begin_run(lease=60)
    held = await claim(journal, run)
    await journal.leases.complete(run, [Completion(held[A], 2, done(A))])
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT ticket, state, polls, added_at, body FROM overview").fetchall()
    moment = "2027-01-15 08:00:00"
    assert ("images:1", "success", 2, moment) == rows[0][:4]
    assert '{"status":"success","output":["https://a"]}' == rows[0][4]
    assert ("images:00x", "open", 0, moment, None) == rows[1]
