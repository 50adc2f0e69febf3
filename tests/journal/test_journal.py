"""A journal adds each ticket once, completes it once, and keeps all of it for the next open."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

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
from modelslab_async._journal import exports, lease_rows, queries, save_queue, submits
from modelslab_async._journal.tickets import OutcomeRow, PollUpdate
from modelslab_async._journal.writer import connect
from modelslab_async.journal import Journal, PendingSubmit

A, B, C = Ticket("images", 1), Ticket("images", "00x"), Ticket("video", 1)
RAW = {"status": "success", "output": ["https://a"]}


def done(ticket):
    return Success(ticket=ticket, output=("https://a",), raw=RAW)


def unresolved(ticket):
    return Unresolved(ticket=ticket, cause=WaitTimeout("late", ticket=ticket))


async def claim(journal, run, *, limit=10, before=None):
    """Claim tickets for a run. Return their numbers by ticket."""
    got = await journal.leases.claim(run, before_run=before or run, limit=limit, lease=60)
    return {ticket: number for number, ticket in got.tickets}


async def test_known_tickets_are_not_added_again(journal):
    """Duplicates in one call and in later calls are ignored."""
    assert 2 == await journal.add([A, "images:1", ("images", 1), B])
    assert 1 == await journal.add([B, C])
    assert 3 == (await journal.report()).tickets


@pytest.mark.parametrize(
    "id_", ["1", "0", "007", "-1", "1e3", "9" * 18, "9" * 19, "٣", "a/b", "0x10", "é", "1.0"]
)
async def test_id_comes_back_as_the_same_text(journal, id_):
    """An id is stored as a number only if the same text can be read back."""
    ticket = Ticket("images", id_)
    assert 1 == await journal.add([ticket])
    assert 0 == await journal.add([ticket])
    assert [ticket] == list(await claim(journal, await journal.leases.begin_run(lease=60)))


async def test_ill_formed_ticket_adds_none(journal):
    """Tickets of one call are added as a whole or not at all."""
    with pytest.raises(ValueError, match="family:id"):
        await journal.add([A, "nonsense"])
    assert 0 == (await journal.report()).tickets


async def test_outcomes_are_there_after_reopening(path, clock):
    """Outcomes come back with their polls and times."""
    async with Journal.open(path, clock=clock) as journal:
        await journal.add([A, B, C])
        run = await journal.leases.begin_run(lease=60)
        claimed = await claim(journal, run)
        clock.now += 5
        failed = Failed(ticket=B, message="no")
        completions = [
            OutcomeRow(claimed[A], 3, done(A)),
            OutcomeRow(claimed[B], 1, failed),
            OutcomeRow(claimed[C], 2, unresolved(C)),
        ]
        assert [True] * 3 == await journal.leases.complete(run, completions)
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


async def test_outcomes_of_many_pages_come_once_each(journal, monkeypatch):
    """Open tickets between them do not matter."""
    monkeypatch.setattr("modelslab_async.journal._PAGE_SIZE", 3)
    tickets = [Ticket("images", number) for number in range(1, 21)]
    await journal.add(tickets)
    run = await journal.leases.begin_run(lease=60)
    claimed = await claim(journal, run, limit=20)
    completions = [
        OutcomeRow(claimed[ticket], 1, done(ticket)) for ticket in tickets if int(ticket.id) % 3
    ]
    await journal.leases.complete(run, completions)
    assert [end.outcome for end in completions] == [
        each.outcome async for each in journal.recorded_outcomes()
    ]


async def test_page_of_large_outcomes_ends_early(journal):
    """A reply can have up to 14 MB, so memory must not grow with the number of rows on a page."""
    text = "x" * 3_000_000
    await journal.add([("images:1", {"prompt": text}), ("images:2", {"prompt": text}), C])
    run = await journal.leases.begin_run(lease=60)
    rows = [
        OutcomeRow(row_id, 1, Success(ticket=ticket, output=(), raw={"text": text}))
        for ticket, row_id in (await claim(journal, run)).items()
    ]
    await journal.leases.complete(run, rows)
    first, cursor = await journal._store.read(queries.outcome_page, 0, 10)
    second, end = await journal._store.read(queries.outcome_page, cursor, 10)
    assert ([2, 1], None) == ([len(first), len(second)], end)
    assert [row.outcome for row in rows] == [each.outcome for each in (*first, *second)]


async def test_two_runs_claim_different_tickets(journal):
    """No ticket belongs to two runs, and each run learns whether the other has some."""
    await journal.add([A, B, C])
    first, second = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=60),
    )
    assert first < second
    own, other = await claim(journal, first, limit=2), await claim(journal, second, limit=2)
    assert {A, B, C} == {*own, *other}
    assert set() == {*own} & {*other}
    got = await journal.leases.claim(first, before_run=first, limit=9, lease=60)
    assert ([], True) == (got.tickets, got.has_others)
    assert [True] == await journal.leases.complete(second, [OutcomeRow(other[C], 1, done(C))])
    got = await journal.leases.claim(first, before_run=first, limit=9, lease=60)
    assert ([], False) == (got.tickets, got.has_others)
    got = await journal.leases.claim(second, before_run=second, limit=9, lease=60)
    assert ([], True) == (got.tickets, got.has_others)


async def test_run_loses_its_tickets_when_its_lease_is_over(journal, clock):
    """A renewed lease is over later."""
    await journal.add([A])
    dead, successor = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    claimed = await claim(journal, dead)
    clock.now += 40
    assert await journal.leases.renew(dead, lease=60)
    clock.now += 59
    assert {} == await claim(journal, successor)
    assert 1 == (await journal.report()).running
    clock.now += 1
    assert 0 == (await journal.report()).running
    assert claimed == await claim(journal, successor)
    assert not await journal.leases.renew(dead, lease=60)
    assert await journal.leases.claim(dead, before_run=dead, limit=1, lease=60) is None


async def test_outcome_of_a_lost_ticket_is_not_written(journal, clock):
    """The outcomes beside it in the same call are written."""
    await journal.add([A, B])
    slow, fast = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    claimed = await claim(journal, slow, limit=1)
    clock.now += 60
    taken = await claim(journal, fast)
    own = await claim(journal, again := await journal.leases.begin_run(lease=60))
    assert ({A, B}, {}) == (taken.keys(), own)
    assert [True] == await journal.leases.complete(fast, [OutcomeRow(taken[A], 1, done(A))])
    assert [False] == await journal.leases.complete(
        slow, [OutcomeRow(claimed[A], 1, unresolved(A))]
    )
    assert [False, True] == await journal.leases.complete(
        fast, [OutcomeRow(taken[A], 5, unresolved(A)), OutcomeRow(taken[B], 1, done(B))]
    )
    await journal.leases.record_polls(slow, [PollUpdate(claimed[A], 7, Processing(ticket=A))])
    await journal.leases.end_run(again)
    assert [done(A), done(B)] == [each.outcome async for each in journal.recorded_outcomes()]
    assert 2 == (await journal.report()).polls


async def test_unresolved_ticket_is_claimed_by_later_runs_only(journal):
    """The run that gave a ticket up does not get it again."""
    await journal.add([A, B])
    first = await journal.leases.begin_run(lease=60)
    claimed = await claim(journal, first)
    await journal.leases.complete(
        first, [OutcomeRow(claimed[A], 1, unresolved(A)), OutcomeRow(claimed[B], 1, done(B))]
    )
    assert {} == await claim(journal, first)
    assert 1 == (await journal.report()).unresolved
    second = await journal.leases.begin_run(lease=60)
    assert claimed[A] == (await claim(journal, second))[A]
    report = await journal.report()
    assert (1, 1, 0) == (report.open, report.running, report.unresolved)
    assert await journal.last(A) is None
    assert [True] == await journal.leases.complete(second, [OutcomeRow(claimed[A], 1, done(A))])
    assert {done(A), done(B)} == {each.outcome async for each in journal.recorded_outcomes()}


async def test_ended_run_releases_its_tickets(journal):
    """Other runs can claim them at once, and the last updates are written."""
    await journal.add([A])
    first, second = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=60),
    )
    claimed = await claim(journal, first)
    last = Processing(ticket=A, status="queued", eta=4.0, raw={"status": "queued", "eta": 4})
    await journal.leases.end_run(first, [PollUpdate(claimed[A], 4, last)])
    assert last == await journal.last(A)
    assert claimed == await claim(journal, second)
    assert 4 == (await journal.report()).polls


async def test_waiting_calls_share_a_commit(file_journal):
    """A hundred calls at once take a few commits."""
    statements = []
    await file_journal._store.write(lambda db: db.set_trace_callback(statements.append))
    tickets = [Ticket("images", number) for number in range(100)]
    await asyncio.gather(*(file_journal.add([ticket]) for ticket in tickets))
    assert 100 == (await file_journal.report()).tickets
    assert 1 <= statements.count("COMMIT") < 50


async def test_commit_takes_a_limited_number_of_calls(file_journal, monkeypatch):
    """The next commit takes the next calls."""
    monkeypatch.setattr("modelslab_async._journal.writer._MAX_OPERATIONS_PER_COMMIT", 3)
    tickets = [Ticket("images", number) for number in range(20)]
    assert [1] * 20 == await asyncio.gather(*(file_journal.add([ticket]) for ticket in tickets))


async def test_failing_call_does_not_fail_calls_in_its_commit(journal):
    """It gets its error, and the others are committed."""
    results = await asyncio.gather(
        journal.add([A]),
        journal.record_file("images:77", 0, path="x", sha256="0", size=1, url="u"),
        journal.add([B]),
        return_exceptions=True,
    )
    assert (1, 1) == (results[0], results[2])
    assert "images:77 is not in this journal" in str(results[1])
    assert 2 == (await journal.report()).tickets


@pytest.mark.parametrize(
    "bad", [{"sha256": None}, {"size": object()}, {"size": 10**30}, {"path": "\udcff"}]
)
async def test_value_that_cannot_be_stored_fails_its_call_alone(journal, bad):
    """The ticket of paid work, which shares the commit, is recorded."""
    await journal.add([A])
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    file = {"path": "/a", "sha256": "x", "size": 1, "url": "", **bad}
    results = await asyncio.gather(
        journal.record_file(A, 0, **file),
        journal.confirm("t-1", B),
        journal.add([C]),
        return_exceptions=True,
    )
    assert isinstance(results[0], Exception)
    assert [None, 1] == results[1:]
    assert B == (await journal.find_submit("t-1")).ticket


async def test_cancelled_call_is_still_committed(journal):
    """The writer finishes what it was given."""
    task = asyncio.create_task(journal.add([A]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == await journal.add([A])


async def test_closed_journal_refuses_calls(path):
    """Reads and writes after the block raise; calls that waited are done."""
    async with Journal.open(path) as journal:
        waiting = asyncio.ensure_future(journal.add([A]))
        await asyncio.sleep(0)
    assert 1 == await waiting
    with pytest.raises(JournalError, match="closed"):
        await journal.add([A])
    with pytest.raises(JournalError, match="closed"):
        await journal.report()
    assert "a-secret-password" not in journal.path
    if isinstance(path, Path):
        assert str(path) == journal.path


async def test_report_does_not_wait_for_a_writer(file_journal, file_path):
    """It comes while another process holds the write lock."""
    await file_journal.add([A])
    with closing(sqlite3.connect(file_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert 1 == (await file_journal.report()).tickets
        other.execute("ROLLBACK")


async def test_queries_of_a_run_scan_no_table(file_journal, file_path):
    """Claims and renewals use an index, however many tickets are complete."""
    statements = []
    await file_journal._store.write(lambda db: db.set_trace_callback(statements.append))
    await file_journal.add([A, B])
    run = await file_journal.leases.begin_run(lease=60)
    claimed = await claim(file_journal, run, limit=1)
    await file_journal.leases.complete(run, [OutcomeRow(claimed[A], 1, done(A))])
    await file_journal.leases.end_run(run)
    with closing(connect(str(file_path), 5)) as db:
        for statement in statements:
            if " tickets " in statement and not statement.startswith("INSERT OR IGNORE"):
                plan = db.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                assert not [row for row in plan if row[3].startswith("SCAN tickets")], statement


@pytest.mark.parametrize(
    ("unfinished", "add_own_row"),
    [
        (
            f"tickets WHERE {lease_rows._OPEN_TICKETS}",
            "INSERT INTO tickets (family, id, run, added_at) VALUES (1, ?, 2, 0.0)",
        ),
        (f"saves WHERE {save_queue._PENDING}", "INSERT INTO saves (ticket, run) VALUES (?, 2)"),
    ],
    ids=["tickets", "saves"],
)
@pytest.mark.usefixtures("file_journal")
async def test_search_for_claims_of_other_runs_reads_no_claims_of_this_run(
    file_path, unfinished, add_own_row
):
    """SQLite runs a few instructions for it, though this run has claimed a thousand rows."""
    instructions = []
    with closing(connect(str(file_path), 5)) as db:
        db.execute("INSERT INTO families VALUES (1, 'images')")
        db.executemany(add_own_row, [(number,) for number in range(1, 1001)])
        db.set_progress_handler(lambda: instructions.append(None), 1)
        assert not lease_rows.others_have_some(db, unfinished, 2)
        assert len(instructions) < 200
        assert lease_rows.others_have_some(db, unfinished, 1)
        assert lease_rows.others_have_some(db, unfinished, 3)


async def test_files_come_in_the_order_of_outputs(journal, clock):
    """A second download of an output replaces the first."""
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


async def test_file_has_the_name_of_the_host_that_saved_it(journal, monkeypatch):
    """It is that of the machine, or that of the environment. A later download replaces it."""
    await journal.add([A])
    monkeypatch.setattr("platform.node", lambda: "machine")
    file = {"path": "out/1.png", "sha256": "ab" * 32, "size": 1, "url": "https://a"}
    hosts = []
    for name in ("", "pod-\udcff 2", "web-1"):
        monkeypatch.setenv("MODELSLAB_HOST_NAME", name)
        await journal.record_file(A, 0, **file)
        hosts += [each.host for each in await journal.files(A)]
        assert hosts[-1:] == [each.host async for each in journal.all_files()]
    assert ["machine", "pod-? 2", "web-1"] == hosts


def own_submit(track_id, clock):
    return PendingSubmit(track_id=track_id, endpoint="e", payload_hash="ab", recorded_at=clock.now)


async def test_submit_is_uncertain_until_confirmed(journal, clock):
    """Its ticket joins the batch when it is known."""
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


async def test_columns_of_a_known_ticket_stay(journal):
    """A ticket keeps its first columns. One that has none gets them."""
    await journal.add(["images:1", ("images:2", {"n": 2})])
    assert 1 == await journal.add(
        [
            ("images:1", {"n": 1}),
            ("images:2", {"n": 3}),
            ("images:4", {}),
            (("images", 1), {"n": 5}),
        ]
    )
    run = await journal.leases.begin_run(lease=60)
    claimed = await claim(journal, run)
    rows = [OutcomeRow(number, 1, done(ticket)) for ticket, number in claimed.items()]
    await journal.leases.complete(run, rows)
    columns = {str(each.outcome.ticket): each.columns async for each in journal.recorded_outcomes()}
    assert {"images:1": {"n": 1}, "images:2": {"n": 2}, "images:4": {}} == columns


@pytest.mark.parametrize(
    "columns", [{"x": float("nan")}, {"x": {1, 2}}, {1: "x"}, {"x": object()}, {"x": b"x"}]
)
async def test_columns_that_json_cannot_hold_add_nothing(journal, columns):
    """The error names the ticket."""
    with pytest.raises(ValueError, match=r"images:2"):
        await journal.add(["images:1", ("images:2", columns)])
    assert 0 == (await journal.report()).tickets


async def test_ticket_gets_the_columns_of_its_submit(journal):
    """An uncertain submit has its columns, and so has the outcome of its ticket."""
    columns = {"key": "row 7", "prompt": "a cat"}
    await journal.record_submit(
        "my-7", endpoint="realtime/text2img", payload_hash="0", columns=columns
    )
    assert [columns] == [each.columns for each in await journal.uncertain()]
    result = Success(ticket=Ticket("realtime", 7), raw={"status": "success"})
    await journal.confirm("my-7", "realtime:7", result=result)
    (recorded,) = [each async for each in journal.recorded_outcomes()]
    assert (columns, "my-7") == (recorded.columns, recorded.track_id)


async def test_submit_of_a_living_run_is_not_uncertain(journal, clock):
    """Once the run is dead, the submit is listed."""
    run = await journal.leases.begin_run(lease=60)
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab", run_id=run)
    assert [] == await journal.uncertain()
    assert 0 == (await journal.report()).uncertain
    clock.now += 60
    assert ["t-1"] == [each.track_id for each in await journal.uncertain()]
    assert 1 == (await journal.report()).uncertain


async def test_sender_of_a_submit_neither_lists_nor_withdraws_it(journal, clock):
    """Its lease is over, but the sender still waits for its reply, or has it in memory."""
    run = await journal.leases.begin_run(lease=60)
    own = await journal.leases.record_own(own_submit("t-1", clock), run, lease=60)
    clock.now += 60
    assert [] == await journal.uncertain()
    with pytest.raises(ValueError, match="cannot be withdrawn now"):
        await journal.withdraw("t-1")
    await journal.leases.mark_uncertain(own)
    assert ["t-1"] == [each.track_id for each in await journal.uncertain()]
    await journal.withdraw("t-1")


@pytest.mark.parametrize("ending", ["lease over", "run ended", "no reply"])
async def test_submit_in_flight_is_withdrawn_by_its_sender_alone(journal, other, clock, ending):
    """Another process could submit the same key otherwise, and both would be paid for."""
    run = await journal.leases.begin_run(lease=60)
    first, second = [
        await journal.leases.record_own(own_submit(track_id, clock), run, lease=60)
        for track_id in ("t-1", "t-2")
    ]
    with pytest.raises(ValueError, match="'t-1' is in flight in another process or task"):
        await other.withdraw("t-1")
    assert await journal.find_submit("t-1") is not None
    await journal.leases.withdraw_own(second)
    assert await journal.find_submit("t-2") is None
    match ending:
        case "lease over":
            clock.now += 60
        case "run ended":
            await journal.leases.end_run(run)
        case "no reply":
            await journal.leases.mark_uncertain(first)
    await other.withdraw("t-1")
    assert await journal.find_submit("t-1") is None


async def test_sender_records_no_submit_of_an_ended_run(journal, clock):
    """The submit would count as uncertain while it is in flight. A run that goes on is renewed."""
    submit = own_submit("t-1", clock)
    ended, late = [await journal.leases.begin_run(lease=60) for _ in range(2)]
    await journal.leases.end_run(ended)
    assert await journal.leases.record_own(submit, ended, lease=60) is None
    assert await journal.find_submit("t-1") is None
    clock.now += 60
    own = await journal.leases.record_own(submit, late, lease=60)
    assert (submit, late) == (own.submit, own.run_id)
    assert submit == await journal.find_submit("t-1")
    assert [] == await journal.uncertain()
    with pytest.raises(ValueError, match="'t-1' is in this journal already"):
        await journal.leases.record_own(submit, late, lease=60)


async def test_submit_may_be_recorded_for_an_ended_run(journal):
    """A caller may have sent it by then. It is listed at once."""
    run = await journal.leases.begin_run(lease=60)
    await journal.leases.end_run(run)
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab", run_id=run)
    assert ["t-1"] == [each.track_id for each in await journal.uncertain()]


async def test_track_id_names_one_submit(journal):
    """A used, an unknown and a confirmed track_id are refused."""
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    with pytest.raises(ValueError, match="'t-1' is in this journal already"):
        await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    with pytest.raises(ValueError, match="no uncertain submit"):
        await journal.confirm("t-2", A)
    assert 0 == (await journal.report()).tickets
    await journal.confirm("t-1", A)
    with pytest.raises(ValueError, match="no uncertain submit"):
        await journal.withdraw("t-1")


async def test_confirmed_submit_keeps_its_ticket(journal):
    """The same ticket may be given again, as after a lost reply to the commit, and no other one."""
    await journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    await journal.confirm("t-1", A, result=done(A))
    await journal.confirm("t-1", A, result=done(A))
    await journal.confirm("t-1", A)
    with pytest.raises(ValueError, match="no uncertain submit with the track_id 't-1'"):
        await journal.confirm("t-1", B)
    (recorded,) = [each async for each in journal.recorded_outcomes()]
    assert (done(A), "t-1") == (recorded.outcome, recorded.track_id)
    assert 1 == (await journal.report()).tickets


async def test_submit_gets_no_ticket_of_another_submit(journal):
    """A ticket that was added by its id may be the one."""
    await journal.add([B])
    for track_id in ("t-1", "t-2"):
        await journal.record_submit(track_id, endpoint="e", payload_hash="ab")
    await journal.confirm("t-1", A)
    with pytest.raises(
        ValueError, match="images:1 is the ticket of the submit with the track_id 't-1'"
    ):
        await journal.confirm("t-2", A)
    assert ["t-2"] == [each.track_id for each in await journal.uncertain()]
    await journal.confirm("t-2", B)
    assert B == (await journal.find_submit("t-2")).ticket


async def test_submit_gets_ticket_of_any_family(journal):
    """A client's own endpoint may have the name of a built-in one and start other tickets."""
    await journal.record_submit("t-1", endpoint="realtime/text2img", payload_hash="ab")
    await journal.confirm("t-1", A)
    assert A == (await journal.find_submit("t-1")).ticket


async def test_submit_is_found_by_its_track_id(journal, clock):
    """It comes with its ticket, and a result in the reply is recorded. Withdrawn ones are gone."""
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


@pytest.mark.parametrize("meanwhile", ["nothing", "withdrawn", "key in use"])
async def test_sender_of_a_submit_records_its_ticket_in_any_case(journal, other, clock, meanwhile):
    """If the submit was withdrawn, it is recorded again, unless another submit has its key."""
    submit = PendingSubmit(
        track_id="t-1",
        endpoint="e",
        payload_hash="ab",
        recorded_at=clock.now,
        key="row 1",
        columns={"n": 1},
    )
    run = await journal.leases.begin_run(lease=60)
    own = await journal.leases.record_own(submit, run, lease=60)
    if meanwhile != "nothing":
        clock.now += 60
        await other.withdraw("t-1")
    if meanwhile == "key in use":
        await journal.record_submit("t-2", endpoint="e", payload_hash="ab", key="row 1")
    for _ in range(2):
        await journal.leases.confirm_sent(own, A, result=done(A))
    [recorded] = [each async for each in journal.recorded_outcomes()]
    assert (done(A), {"n": 1}) == (recorded.outcome, recorded.columns)
    is_lost = meanwhile == "key in use"
    assert (None if is_lost else evolve(submit, ticket=A)) == await journal.find_submit("t-1")
    assert is_lost == len(await journal.uncertain())


@pytest.mark.parametrize("result", ["unsent", "no reply", "a ticket"])
@pytest.mark.parametrize("is_same_run", [True, False])
async def test_late_result_of_a_submit_does_not_change_a_newer_one(
    journal, clock, result, is_same_run
):
    """The newer submit has the same track_id and, in a file, the same row number."""
    first, second = [await journal.leases.begin_run(lease=60) for _ in range(2)]
    old = await journal.leases.record_own(own_submit("t-1", clock), first, lease=60)
    await journal.leases.withdraw_own(old)
    clock.now += 0.001
    newer = own_submit("t-1", clock)
    newer_run = first if is_same_run else second
    own = await journal.leases.record_own(newer, newer_run, lease=60)
    match result:
        case "unsent":
            await journal.leases.withdraw_own(old)
        case "no reply":
            await journal.leases.mark_uncertain(old)
        case "a ticket":
            await journal.leases.confirm_sent(old, A)
    assert newer == await journal.find_submit("t-1")
    assert [] == await journal.uncertain()
    await journal.leases.confirm_sent(own, B)
    assert B == (await journal.find_submit("t-1")).ticket
    assert 1 + (result == "a ticket") == (await journal.report()).tickets


async def test_run_loses_its_saves_when_its_lease_is_over(journal, clock):
    """A run that claims only saves gets them."""
    await journal.add([A])
    dead, successor = (
        await journal.leases.begin_run(lease=60),
        await journal.leases.begin_run(lease=1000),
    )
    claimed = await claim(journal, dead)
    await journal.leases.complete(dead, [OutcomeRow(claimed[A], 1, done(A))], save_files=True)

    async def saves(run):
        return (await journal.leases.claim_saves(run, before_run=run, limit=9, lease=60)).pending

    assert [A] == [each.success.ticket for each in await saves(dead)]
    clock.now += 59
    assert [] == await saves(successor)
    clock.now += 1
    assert [A] == [each.success.ticket for each in await saves(successor)]


async def test_queued_success_keeps_its_save_in_progress(journal):
    """Only a success that was never queued is queued, and an open ticket is not."""
    await journal.add([A, B, C])
    run = await journal.leases.begin_run(lease=60)
    claimed = await claim(journal, run)
    await journal.leases.complete(run, [OutcomeRow(claimed[A], 1, done(A))], save_files=True)
    await journal.leases.complete(run, [OutcomeRow(claimed[B], 1, done(B))])

    async def saves():
        got = await journal.leases.claim_saves(run, before_run=run, limit=9, lease=60)
        return [each.success.ticket for each in got.pending]

    assert [A] == await saves()
    assert 1 == await journal.queue_saves([A, B, C])
    assert [B] == await saves()
    assert await journal.leases.complete_save(run, claimed[A], error=None)
    assert 0 == await journal.queue_saves([A, B])
    assert 1 == (await journal.report()).saved
    assert 0 == await journal.queue_saves([])


async def test_export_shows_one_moment(file_journal, file_path, monkeypatch):
    """Outcomes that are written meanwhile are not in it."""
    monkeypatch.setattr("modelslab_async._journal.exports.PAGE_SIZE", 1)
    await file_journal.add([A, B, C])
    run = await file_journal.leases.begin_run(lease=60)
    claimed = await claim(file_journal, run)
    await file_journal.leases.complete(
        run, [OutcomeRow(claimed[A], 1, done(A)), OutcomeRow(claimed[B], 1, done(B))]
    )
    with closing(connect(str(file_path), 5)) as db:
        pages = exports._Snapshot(db, threading.Event()).pages()
        first = next(pages)
        await file_journal.leases.complete(run, [OutcomeRow(claimed[C], 1, done(C))])
        rest = list(pages)
    assert [A, B] == [each.outcome.ticket for page in (first, *rest) for each in page]


async def test_overview_shows_tickets_in_plain_words(file_journal, file_path):
    """The view has the text forms of tickets, states and times."""
    await file_journal.add([A, B])
    run = await file_journal.leases.begin_run(lease=60)
    claimed = await claim(file_journal, run)
    await file_journal.leases.complete(run, [OutcomeRow(claimed[A], 2, done(A))])
    with closing(sqlite3.connect(file_path)) as db:
        rows = db.execute("SELECT ticket, state, polls, added_at, body FROM overview").fetchall()
    moment = "2027-01-15 08:00:00"
    assert ("images:1", "success", 2, moment) == rows[0][:4]
    assert '{"status":"success","output":["https://a"]}' == rows[0][4]
    assert ("images:00x", "open", 0, moment, None) == rows[1]


async def test_family_that_is_added_during_a_read_is_known(file_journal):
    """A submit is read while another process confirms it with the first ticket of a family."""
    await file_journal.record_submit("t-1", endpoint="e", payload_hash="ab")
    with (
        closing(connect(file_journal.path, lock_timeout=5.0)) as reader,
        closing(connect(file_journal.path, lock_timeout=5.0)) as writer,
    ):

        def confirm_before(statement):
            if "FROM submits" in statement:
                reader.set_trace_callback(None)
                submits.confirm(writer, "t-1", Ticket("images", 1), result=None, now=1.0)

        reader.set_trace_callback(confirm_before)
        found = submits.find(reader, "t-1")
    assert Ticket("images", 1) == found.ticket


async def test_cancellation_is_not_lost_if_the_journal_cannot_be_closed(path, monkeypatch):
    """The task ends as cancelled. The error is the cause of the cancellation."""
    is_closing, may_fail = asyncio.Event(), asyncio.Event()

    async def use():
        async with Journal.open(path) as journal:
            close = journal._store.aclose

            async def fail():
                is_closing.set()
                await may_fail.wait()
                await close()
                raise JournalError("no disk")

            monkeypatch.setattr(journal._store, "aclose", fail)

    using = asyncio.create_task(use())
    await is_closing.wait()
    using.cancel()
    await asyncio.sleep(0)
    may_fail.set()
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await using
    assert "no disk" in str(cancelled.value.__cause__)
