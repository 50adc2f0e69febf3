"""However a run ends, each ticket has one outcome, which is committed before it is handed out."""

import asyncio
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

import httpx
import pytest
from journal_states import states

from modelslab_async import (
    AuthenticationError,
    Batch,
    Client,
    Failed,
    JournalError,
    JournalFull,
    JournalLocked,
    Pace,
    Polled,
    Processing,
    Success,
    Ticket,
    Unresolved,
    WaitTimeout,
)
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async._polling.watchers import NULL_WATCHER
from modelslab_async.emulator import Emulator, ScriptedReply
from modelslab_async.journal import Journal

KEY = "a-key-for-tests"

RUNNING = ScriptedReply(body=json.dumps({"status": "processing", "id": 1, "output": []}).encode())


async def all_of(outcomes, seen=None):
    """Collect the results, in the caller's list if results before an error count."""
    seen = [] if seen is None else seen
    async with aclosing(outcomes):
        async for outcome in outcomes:
            seen.append(outcome)
    return seen


async def until(condition):
    """Wait for a condition, which comes soon on an idle machine."""
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_run_gives_the_outcomes_of_gather(a_client, emulator, path):
    """Each ticket has one outcome with all fields of the reply."""
    tickets = [emulator.add_job(("images", n), fails=n % 5 == 0) for n in range(1, 101)]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 100 == await batch.add(tickets)
        outcomes = {each.ticket: each for each in await all_of(batch.run())}
        assert outcomes == {each.ticket: each for each in await client.gather(tickets)}
        assert 20 == sum(isinstance(each, Failed) for each in outcomes.values())
        assert [outcomes[ticket] for ticket in tickets] == await all_of(batch.outcomes())
        report = await batch.report()
    assert (100, 100, 80, 20) == (report.tickets, report.finished, report.success, report.failed)
    # The second asking of `gather` is none of the batch's.
    assert report.polls == emulator.polls.total() - 100


async def test_outcome_is_committed_before_it_is_handed_out(a_client, emulator, path):
    """Another connection can read it."""
    tickets = emulator.add_jobs(60, ["images"])
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        count = 0
        async for outcome in batch.run():
            assert "success" == states(path)[str(outcome.ticket)]
            count += 1
    assert 60 == count


async def test_key_among_columns_is_redacted(a_client, file_path):
    """A table of requests may hold the key that they were sent with."""
    key = "a-key-for-tests"
    async with a_client(key) as client, Batch.open(file_path, client=client) as batch:
        await batch.add([("images:1", {"url": f"https://a/?key={key}", "cat": 1})])
    with closing(sqlite3.connect(file_path)) as db:
        assert [('{"url":"https://a/?key=[key]","cat":1}',)] == db.execute(
            "SELECT columns FROM inputs"
        ).fetchall()
    assert key.encode() not in b"".join(file.read_bytes() for file in file_path.parent.iterdir())


async def test_add_takes_any_source_of_tickets(a_client, path):
    """Generators of both kinds, longer than a chunk, in any form, each ticket once."""

    async def slowly():
        for number in range(12_000):
            yield ("images", number % 6000)

    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 6000 == await batch.add(f"images:{number}" for number in range(6000))
        assert 0 == await batch.add(slowly())
        assert 1 == await batch.add([Ticket("video", 1), "images:5"])
        assert 0 == await batch.add([])


@pytest.mark.parametrize("wrong", ["images:1", [1], ["nonsense"], ["no_such_family:1"]])
async def test_ill_formed_ticket_is_refused(a_client, path, wrong):
    """Nothing is written or sent."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(ValueError, match=r"ticket|family"):
            await batch.add(wrong)
        assert 0 == (await batch.report()).tickets


@pytest.mark.parametrize(
    ("ticket", "message"),
    [("their_own:1", "their_own"), ("images:a-key-for-tests", r"images:\[key\] is no ticket")],
)
async def test_unpollable_ticket_is_raised_after_other_outcomes(
    a_client, emulator, path, ticket, message
):
    """Such a ticket stays open. Here a program without this client has added it."""
    async with a_client() as client:
        async with Batch.open(path) as batch:
            await batch.add([ticket, emulator.add_job("images:1"), emulator.add_job("images:2")])
        async with Batch.open(path, client=client) as batch:
            with pytest.raises(ValueError, match=message):
                await all_of(batch.run(window=1))
            report = await batch.report()
    assert (2, 1, 0) == (report.success, report.open, report.running)


async def test_runs_that_hold_unpollable_tickets_do_not_wait_for_each_other(
    a_client, emulator, path, monkeypatch
):
    """Each has claimed such a ticket. Both raise the error, after the outcomes of all others."""
    both_hold_one, first_claims = asyncio.Barrier(2), [1, 2]
    claim = RunOperations.claim

    async def claim_together(*args, **more):
        claimed = await claim(*args, **more)
        if first_claims:
            first_claims.pop()
            await both_hold_one.wait()
        return claimed

    async def work(seen):
        async with a_client() as client, Batch.open(path, client=client) as batch:
            with pytest.raises(ValueError, match="their_own"):
                await all_of(batch.run(window=1), seen)

    monkeypatch.setattr(RunOperations, "claim", claim_together)
    tickets = emulator.add_jobs(8, ["images"])
    seen = []
    async with Batch.open(path) as batch, asyncio.timeout(100):
        await batch.add(["their_own:1", "their_own:2", *tickets])
        await asyncio.gather(work(seen), work(seen))
        report = await batch.report()
    assert sorted(tickets) == sorted(each.ticket for each in seen)
    assert (8, 2, 0) == (report.finished, report.open, report.running)


async def test_run_with_unpollable_ticket_takes_over_from_a_dead_run(a_client, emulator, path):
    """While the run polls tickets of its own, it claims what other runs leave."""
    emulator.add_job("images:1", duration=0.0)
    emulator.add_job("images:2", duration=0.0)
    emulator.script("images:2", [RUNNING])
    async with (
        Journal.open(path) as other,
        a_client() as client,
        Batch.open(path, client=client) as batch,
        asyncio.timeout(100),
    ):
        await other.add(["images:1"])
        dead = await other.leases.begin_run(lease=60)
        await other.leases.claim(dead, before_run=dead, limit=1, lease=60)
        await other.add(["their_own:1", "images:2"])
        seen = []
        running = asyncio.create_task(all_of(batch.run(), seen))

        async def all_held():
            return (await batch.report()).running == 3

        await until(all_held)
        await other.leases.end_run(dead)

        async def is_taken_over():
            return ["images:1"] == [str(each.ticket) for each in seen]

        await until(is_taken_over)
        emulator.script("images:2", [None])
        with pytest.raises(ValueError, match="their_own"):
            await running
    assert ["images:1", "images:2"] == [str(each.ticket) for each in seen]


async def test_run_left_early_frees_its_tickets(a_client, emulator, path):
    """Another process can take them at once. Outcomes that were not handed out are recorded."""
    tickets = emulator.add_jobs(300, ["images", "video"])
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
        await batch.add(tickets)
        async with aclosing(batch.run(window=50)) as outcomes:
            seen = [await anext(outcomes) for _ in range(20)]
        report = await batch.report()
        assert 0 == report.running
        assert 20 <= report.finished < 300
        async with Batch.open(path, client=client) as other:
            seen += await all_of(other.run())
        assert len(seen) == len({outcome.ticket for outcome in seen})
        assert set(tickets) == {each.ticket for each in await all_of(batch.outcomes())}


async def test_abandoned_run_is_closed_with_the_batch(a_client, emulator, path):
    """A `break` leaves the generator to the garbage collector."""
    async with a_client() as client:
        async with Batch.open(path, client=client, lease=1000) as batch:
            await batch.add(emulator.add_jobs(30, ["images"]))
            running = batch.run()
            await anext(running)
        async with Batch.open(path) as batch:
            assert 0 == (await batch.report()).running
        await running.aclose()


async def test_closed_batch_ends_its_runs(a_client, emulator, path):
    """A task that waits for outcomes gets an error."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client:
        async with Batch.open(path, client=client, lease=1000) as batch:
            await batch.add(["images:1"])
            task = asyncio.create_task(all_of(batch.run()))

            async def running():
                return (await batch.report()).running == 1

            await until(running)
        with pytest.raises(JournalError, match="closed"):
            await task
        async with Batch.open(path) as batch:
            assert 0 == (await batch.report()).running


async def test_cancelled_run_frees_its_tickets(a_client, emulator, path):
    """It ends at once."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
        await batch.add(["images:1"])
        task = await started_run(batch)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await batch.report()).running == 0


async def test_unresolved_ticket_is_polled_by_the_next_run(a_client, emulator, path, leap):
    """Each run hands it out once, until its outcome comes."""
    emulator.add_job("images:1", duration=0.0)
    emulator.add_job("images:2", duration=0.0)
    emulator.script("images:2", [RUNNING])
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        first = {}
        async with aclosing(batch.run(timeout=50)) as outcomes:
            async for each in outcomes:
                first[each.ticket.id] = each
                if each.ticket.id == "1":
                    leap(50)
        emulator.script("images:2", [None])
        assert isinstance(first["1"], Success)
        assert isinstance(first["2"].cause, WaitTimeout)
        assert {"images:1": "success", "images:2": "unresolved"} == states(path)
        (kept,) = [each for each in await all_of(batch.outcomes()) if each.ticket.id == "2"]
        assert (first["2"].last, first["2"].cause.message) == (kept.last, kept.cause.message)
        (second,) = await all_of(batch.run())
        assert Success is type(second)
        assert [] == await all_of(batch.run())
        assert 2 == (await batch.report()).success


async def test_refused_key_leaves_tickets_unresolved(path):
    """A run with the right key completes them."""
    emulator = Emulator(keys=["the-right-key"])
    tickets = [emulator.add_job(("images", number), duration=0) for number in range(1, 51)]
    for key, kind in (("the-wrong-key", Unresolved), ("the-right-key", Success)):
        transport = httpx.ASGITransport(app=emulator)
        async with Client(key, http=transport) as client, Batch.open(path, client=client) as batch:
            await batch.add(tickets)
            outcomes = await all_of(batch.run())
            assert set(tickets) == {each.ticket for each in outcomes}
            assert {kind} == {type(each) for each in outcomes}
            if kind is Unresolved:
                assert {AuthenticationError} == {type(each.cause) for each in outcomes}


async def test_two_processes_share_one_journal(a_client, emulator, path):
    """No ticket is polled by both, and each outcome is handed to one of them."""
    tickets = emulator.add_jobs(400, ["images", "video"])
    polled = {"one": set(), "two": set()}

    async def share(name):
        def on_event(event):
            polled[name].add(
                event.reply.ticket if hasattr(event, "reply") else event.outcome.ticket
            )

        async with (
            a_client(on_event=on_event) as client,
            Batch.open(path, client=client) as batch,
        ):
            return [each.ticket for each in await all_of(batch.run(window=40))]

    async with Batch.open(path) as batch:
        await batch.add(tickets)
    one, two = await asyncio.gather(share("one"), share("two"))
    assert sorted(tickets) == sorted(one + two)
    assert one
    assert two
    assert set() == polled["one"] & polled["two"]
    assert {str(ticket): "success" for ticket in tickets} == states(path)


async def test_run_claims_tickets_of_a_dead_run(a_client, emulator, path):
    """It waits until that run's lease is over."""
    emulator.add_job("images:1", duration=0)
    now = 1_800_000_000.0
    async with Journal.open(path, clock=lambda: now) as dead:
        await dead.add(["images:1"])
        run = await dead.leases.begin_run(lease=60)
        assert 1 == len((await dead.leases.claim(run, before_run=run, limit=1, lease=60)).tickets)
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=1.0, clock=lambda: now) as batch,
    ):
        task = asyncio.create_task(all_of(batch.run()))
        await asyncio.sleep(0.5)
        assert not task.done()
        assert 0 == emulator.polls.total()
        now += 60
        assert ["images:1"] == [str(each.ticket) for each in await task]


async def test_run_with_a_lost_lease_starts_again(a_client, emulator, file_path):
    """It stops polling tickets of other runs, and claims what is open."""
    tickets = [emulator.add_job(("images", n), duration=0.0) for n in range(1, 41)]
    for ticket in tickets:
        emulator.script(ticket, [RUNNING])
    now = 1_800_000_000.0
    async with (
        a_client() as client,
        Batch.open(file_path, client=client, lease=0.4, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        task = asyncio.create_task(all_of(batch.run()))

        async def running():
            return (await batch.report()).running == 40

        await until(running)
        async with Journal.open(file_path, clock=lambda: now + 1) as other:
            # Another process finds the lease over, and takes a ticket.
            run = await other.leases.begin_run(lease=10)
            ((_, taken),) = (
                await other.leases.claim(run, before_run=run, limit=1, lease=10)
            ).tickets

            async def started_again():
                with closing(sqlite3.connect(file_path, timeout=30)) as db:
                    ((runs,),) = db.execute("SELECT count(*) FROM runs").fetchall()
                return runs == 3 and await all_running()

            async def all_running():
                return (await batch.report()).running == 40

            await until(started_again)
            polls = emulator.polls.copy()
            untaken = next(ticket for ticket in tickets if ticket != taken)

            async def polled_on():
                return emulator.polls[untaken] > polls[untaken] + 3

            await until(polled_on)
            assert polls[taken] == emulator.polls[taken]
            await other.leases.end_run(run)
        for ticket in tickets:
            emulator.script(ticket, [None])
        outcomes = await task
        assert sorted(tickets) == sorted(each.ticket for each in outcomes)
        assert {Success} == {type(each) for each in outcomes}


class RecordingTransport(httpx.ASGITransport):
    """Sends to the emulator, and records which tickets are polled."""

    def __init__(self, emulator):
        super().__init__(app=emulator)
        self.polled = []

    async def handle_async_request(self, request):
        self.polled.append(json.loads(request.content)["request_id"])
        return await super().handle_async_request(request)


def claim_in_another_process(path, count):
    """Claim tickets from a thread, which stands for another process."""

    async def take():
        async with Journal.open(path) as other:
            run = await other.leases.begin_run(lease=60)
            claim = await other.leases.claim(run, before_run=run, limit=count, lease=60)
            return run, {ticket.id for _, ticket in claim.tickets}

    with ThreadPoolExecutor() as thread:
        return thread.submit(asyncio.run, take()).result()


@pytest.mark.parametrize("taken", [20, 0])
async def test_stalled_process_polls_no_ticket_of_others(emulator, file_path, taken):
    """After a stall longer than its lease, it renews the lease before it polls."""
    for number in range(40):
        emulator.add_job(("images", number), duration=1000)
    transport = RecordingTransport(emulator)
    lease = 0.5
    async with (
        Client("k", http=transport, pace=Pace(floor=0.05, ceiling=0.05), workers=8) as client,
        Batch.open(file_path, client=client, lease=lease) as batch,
    ):
        await batch.add(("images", number) for number in range(40))
        task = asyncio.create_task(all_of(batch.run()))

        async def running():
            return len(transport.polled) > 80

        await until(running)
        # Nothing of this process goes on meanwhile, as after a SIGSTOP.
        time.sleep(lease + 0.1)  # noqa: ASYNC251
        _, theirs = claim_in_another_process(file_path, taken) if taken else (0, set())
        assert taken == len(theirs)
        transport.polled.clear()

        async def polling():
            return len(transport.polled) > 80

        await until(polling)
        assert set() == theirs & set(transport.polled)
        assert 40 - taken == len(set(transport.polled))
        task.cancel()
        await asyncio.wait([task])


async def test_dropped_tickets_are_not_polled_after_the_wait_for_drops(a_client, emulator):
    """However many they are."""
    tickets = emulator.add_jobs(3000, ["images"])
    async with a_client() as client:
        for ticket in tickets:
            client.engine.watch(ticket, NULL_WATCHER)
        poller = client.engine.poller
        poller.unwatch_all(tickets, NULL_WATCHER)
        assert poller.is_dropping
        await client.engine.wait_for_drops()
        assert not any(entry.is_queued for entry in poller._schedule._open.values())


async def test_commit_without_a_lease_starts_a_new_run(a_client, emulator, path):
    """Tickets whose outcomes were not written are polled again."""
    tickets = [emulator.add_job(("images", n), duration=0.5 * (n > 1)) for n in range(1, 31)]
    now = 1_800_000_000.0
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=1000, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        async with aclosing(batch.run()) as outcomes:
            seen = [await anext(outcomes)]

            # No caller reads, so outcomes wait to be written.
            await asyncio.sleep(1.5)
            async with Journal.open(path, clock=lambda: now + 2000) as other:
                run = await other.leases.begin_run(lease=10)
                await other.leases.claim(run, before_run=run, limit=1, lease=10)
                await other.leases.end_run(run)
            await all_of(outcomes, seen)
        assert set(tickets) == {each.ticket for each in await all_of(batch.outcomes())}


async def test_claim_without_a_lease_starts_a_new_run(a_client, emulator, path):
    """A claim, too, tells a run that its lease is lost."""
    tickets = [emulator.add_job(("images", n), duration=0.0) for n in range(1, 31)]
    now = 1_800_000_000.0
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=1000, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        async with aclosing(batch.run(window=2)) as outcomes:
            seen = [await anext(outcomes)]
            async with Journal.open(path, clock=lambda: now + 2000) as other:
                run = await other.leases.begin_run(lease=10)
                await other.leases.claim(run, before_run=run, limit=1, lease=10)
                await other.leases.end_run(run)
            await all_of(outcomes, seen)
        assert len(seen) == len({each.ticket for each in seen})
        assert set(tickets) == {each.ticket for each in await all_of(batch.outcomes())}


async def test_polls_and_last_replies_are_recorded(a_client, emulator, path):
    """The file shows the state of an open ticket."""
    ticket = emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=0.2) as batch:
        await batch.add([ticket])
        task = asyncio.create_task(all_of(batch.run()))

        async def noted():
            return await batch.journal.last(ticket) is not None

        await until(noted)
        assert isinstance(await batch.journal.last(ticket), Processing)
        recorded = (await batch.report()).polls
        assert recorded >= 1
        task.cancel()
        await asyncio.wait([task])
        # The reply to the last poll may come after the run was left.
        assert recorded <= (await batch.report()).polls <= emulator.polls.total()


async def test_last_polls_are_recorded_when_a_run_is_left(a_client, emulator, path):
    """Without waiting for a renewal of the lease."""
    ticket = emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
        await batch.add([ticket])
        task = await started_run(batch)

        async def polled():
            return emulator.polls.total() >= 3

        await until(polled)
        task.cancel()
        await asyncio.wait([task])
        assert 2 <= (await batch.report()).polls <= emulator.polls.total()
        assert isinstance(await batch.journal.last(ticket), Processing)


async def test_failed_polls_are_counted(path):
    """They count as the answered ones do."""
    asked = 0

    async def sometimes(_request):
        nonlocal asked
        asked += 1
        if asked <= 3:
            return httpx.Response(500)
        return httpx.Response(200, json={"status": "success", "output": []})

    transport = httpx.MockTransport(sometimes)
    async with (
        Client("k", http=transport, pace=Pace(floor=0.01)) as client,
        Batch.open(path, client=client) as batch,
    ):
        await batch.add(["images:1"])
        assert 1 == len(await all_of(batch.run()))
        assert 4 == (await batch.report()).polls


async def test_caller_gets_events_during_a_run(a_client, emulator, path):
    """The batch listens beside `on_event`, and stops with its run."""
    events = []
    async with a_client(on_event=events.append) as client:
        async with Batch.open(path, client=client) as batch:
            await batch.add(emulator.add_jobs(5, ["images"]))
            await all_of(batch.run())
        heard = len(events)
        assert heard >= 10
        assert [events.append] == client.engine.listeners.functions


async def test_full_disk_ends_a_run_and_loses_nothing(a_client, emulator, file_path):
    """What was handed out is recorded. With room again, the next run does the rest."""
    tickets = emulator.add_jobs(300, ["images"])
    seen = []
    async with a_client() as client, Batch.open(file_path, client=client, lease=1000) as batch:
        await batch.add(tickets)
        await batch.journal._store.write(lambda db: db.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(JournalFull):
            await all_of(batch.run(), seen)
        assert len(seen) < 300
        kept = {each.ticket for each in await all_of(batch.outcomes())}
        assert {each.ticket for each in seen} <= kept
        await batch.journal._store.write(lambda db: db.execute("PRAGMA max_page_count = 100000"))
        seen += await all_of(batch.run())
        assert len(seen) == len({each.ticket for each in seen})
        assert set(tickets) == {each.ticket for each in await all_of(batch.outcomes())}


async def test_max_lag_is_recorded(a_client, emulator, path, leap):
    """It is at most the time between two polls; None without a poll that saw it processing."""
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING, None])
    emulator.add_job("images:2", duration=0.0)
    emulator.add_job("images:3", duration=1000)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2", "images:3"])
        began = asyncio.get_running_loop().time()
        async with aclosing(batch.run(timeout=50)) as outcomes:
            ended = set()
            async for outcome in outcomes:
                ended.add(outcome.ticket.id)
                if ended == {"1", "2"}:
                    leap(50)
        took = asyncio.get_running_loop().time() - began
        late = {
            each.outcome.ticket.id: each.max_lag async for each in batch.journal.recorded_outcomes()
        }
    assert {"2": None, "3": None} == {id_: late[id_] for id_ in "23"}
    # The shortest step, less the part of it that is left to chance, and no more than all of it.
    assert 0.9 * 0.05 <= late["1"] <= took


async def test_slow_listener_counts_in_max_lag(a_client, emulator, path):
    """A job may end while `on_event` blocks."""
    held_up = 0.3
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING, None])

    def on_event(event):
        if isinstance(event, Polled) and isinstance(event.reply, Processing):
            time.sleep(held_up)

    async with a_client(on_event=on_event) as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1"])
        await all_of(batch.run())
        (late,) = [each.max_lag async for each in batch.journal.recorded_outcomes()]
    assert held_up <= late


async def test_delay_before_batch_sees_the_reply_counts_in_max_lag(a_client, emulator, path):
    """The lag counts from the start of the poll, which `Polled` tells."""
    held_up = 0.3
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING, RUNNING, None])

    def hold_up(event):
        if isinstance(event, Polled) and isinstance(event.reply, Processing):
            time.sleep(held_up)

    def on_event(event):
        # The listener that was added last is called first, so it delays the batch's own.
        if isinstance(event, Polled) and hold_up not in client.engine.listeners.functions:
            client.engine.listeners.add(hold_up)

    async with a_client(on_event=on_event) as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1"])
        await all_of(batch.run())
        (late,) = [each.max_lag async for each in batch.journal.recorded_outcomes()]
    assert held_up <= late


async def started_run(batch):
    """Start a run, and wait until it has its first ticket."""
    task = asyncio.create_task(all_of(batch.run()))

    async def running():
        return (await batch.report()).running == 1

    await until(running)
    return task


async def test_short_lock_does_not_end_the_run(a_client, emulator, file_path, caplog, leap):
    """The lease is renewed at the next try."""
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING])

    async def warned():
        return "the lease could not be renewed" in caplog.text

    async with a_client() as client, Journal.open(file_path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=60.0)
        await batch.add(["images:1"])
        task = await started_run(batch)
        with closing(sqlite3.connect(file_path, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            # The lease is renewed after a third of it.
            leap(20.0)
            await until(warned)
            other.execute("ROLLBACK")
        emulator.script("images:1", [None])
        assert [Success] == [type(each) for each in await task]


async def test_claim_that_meets_a_lock_is_repeated(
    a_client, emulator, file_path, caplog, monkeypatch
):
    """A run that cannot claim for a moment goes on, as it does if it cannot renew its lease."""
    emulator.add_job("images:1", duration=0.0)
    async with a_client() as client, Journal.open(file_path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=600.0)
        await batch.add(["images:1"])
        claim, refusals = journal.leases.claim, [JournalLocked("locked"), JournalLocked("locked")]

        async def claim_after_refusals(*args, **kwargs):
            if refusals:
                raise refusals.pop()
            return await claim(*args, **kwargs)

        monkeypatch.setattr(journal.leases, "claim", claim_after_refusals)
        assert [Success] == [type(outcome) async for outcome in batch.run()]
    assert 2 == caplog.text.count("the journal is locked, trying again")


async def test_lock_longer_than_the_lease_ends_the_run(a_client, emulator, file_path, caplog):
    """The run stops polling, and raises the error."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Journal.open(file_path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=0.6)
        await batch.add(["images:1"])
        task = await started_run(batch)
        with closing(sqlite3.connect(file_path, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalLocked):
                await task
            other.execute("ROLLBACK")
        assert 1 == (await batch.report()).open
        # What that run could not leave to others, the next one has at once.
        assert [WaitTimeout] == [type(each.cause) for each in await all_of(batch.run(timeout=0.1))]
    assert "stay leased for up to 0.6 s" in caplog.text


@pytest.mark.parametrize("unended", [1, 2])
async def test_runs_that_begin_at_once_free_the_tickets_of_runs_whose_end_was_not_recorded(
    a_client, emulator, path, monkeypatch, unended
):
    """The first two runs after a lock or an outage give an outcome for each ticket."""
    tickets = [emulator.add_job(("images", n), duration=1000.0) for n in range(unended)]
    now, end_run = 1_800_000_000.0, RunOperations.end_run

    async def locked(*_args, **_more):
        raise JournalLocked("locked")

    async with (
        asyncio.timeout(300),
        a_client() as client,
        Batch.open(path, client=client, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        left = [asyncio.create_task(all_of(batch.run(window=1))) for _ in tickets]

        async def all_running():
            return (await batch.report()).running == unended

        await until(all_running)
        monkeypatch.setattr(RunOperations, "end_run", locked)
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        monkeypatch.setattr(RunOperations, "end_run", end_run)
        results = await asyncio.gather(*(all_of(batch.run(timeout=0.1)) for _ in range(2)))
        assert {*tickets} == {each.ticket for run in results for each in run}
        assert 0 == (await batch.report()).running


async def test_no_key_is_in_the_file(file_path):
    """Even if the service's replies hold it."""

    def echo(_request):
        said = {"status": "success", "output": [f"https://a/?key={KEY}"], "meta": {"key": KEY}}
        return httpx.Response(200, json=said)

    transport = httpx.MockTransport(echo)
    async with (
        Client(KEY, http=transport, pace=Pace(floor=0.01)) as client,
        Batch.open(file_path, client=client) as batch,
    ):
        await batch.add(["images:1"])
        assert 1 == len(await all_of(batch.run()))
        for file in file_path.parent.iterdir():
            assert KEY.encode() not in file.read_bytes()


async def test_run_without_client_window_or_lease_is_refused(a_client, path):
    """Everything else works without a client."""
    async with Batch.open(path) as batch:
        await batch.add(["images:1"])
        assert 1 == (await batch.report()).open
        assert [] == await batch.uncertain()
        with pytest.raises(ValueError, match="needs a client"):
            await anext(batch.run())
    async with a_client() as client:
        async with Batch.open(path, client=client) as batch:
            with pytest.raises(ValueError, match="window"):
                await anext(batch.run(window=0))
        with pytest.raises(ValueError, match="lease"):
            async with Batch.open(path, client=client, lease=0):
                pass
