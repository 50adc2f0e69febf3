"""Batch: whatever ends a run, every ticket ends once, and nothing is told before it is kept."""

import asyncio
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing

import httpx
import pytest

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
from modelslab_async._polling.watchers import NULL_WATCHER
from modelslab_async.emulator import Emulator, ScriptedReply
from modelslab_async.journal import Journal

KEY = "a-key-for-tests"

RUNNING = ScriptedReply(body=json.dumps({"status": "processing", "id": 1, "output": []}).encode())


async def all_of(outcomes, seen=None):
    """All that comes; in a list of the caller's, if it is to keep what came before an error."""
    seen = [] if seen is None else seen
    async with aclosing(outcomes):
        async for outcome in outcomes:
            seen.append(outcome)
    return seen


def states(path):
    """What anybody sees in the file."""
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return dict(db.execute("SELECT ticket, state FROM overview").fetchall())


async def until(condition):
    """Wait for something that comes, soon on a quiet machine."""
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_batch_does_what_a_stream_does(a_client, emulator, path):
    """Each ticket gives one outcome, well or badly, with all that the reply told."""
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


async def test_nothing_is_handed_out_before_it_is_kept(a_client, emulator, path):
    """When an outcome is in the caller's hand, anybody can read it in the file."""
    tickets = emulator.add_jobs(60, ["images"])
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        count = 0
        async for outcome in batch.run():
            assert "success" == states(path)[str(outcome.ticket)]
            count += 1
    assert 60 == count


async def test_tickets_come_from_anywhere(a_client, path):
    """From a generator or an async one, more than a chunk of them, in any form, each once."""

    async def slowly():
        for number in range(12_000):
            yield ("images", number % 6000)

    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 6000 == await batch.add(f"images:{number}" for number in range(6000))
        assert 0 == await batch.add(slowly())
        assert 1 == await batch.add([Ticket("video", 1), "images:5"])
        assert 0 == await batch.add([])


@pytest.mark.parametrize("wrong", ["images:1", [1], ["nonsense"], ["no_such_family:1"]])
async def test_a_wrong_ticket_is_refused(a_client, path, wrong):
    """Before anything is written of it, and before anything is sent."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(ValueError, match=r"ticket|family"):
            await batch.add(wrong)
        assert 0 == (await batch.report()).tickets


async def test_a_family_that_this_client_does_not_know(a_client, emulator, path):
    """It is told when all others have ended, and its tickets stay open."""
    async with a_client() as client:
        async with Batch.open(path) as batch:
            await batch.add(
                ["their_own:1", emulator.add_job("images:1"), emulator.add_job("images:2")]
            )
        async with Batch.open(path, client=client) as batch:
            with pytest.raises(ValueError, match="their_own"):
                await all_of(batch.run(window=1))
            report = await batch.report()
    assert (2, 1, 0) == (report.success, report.open, report.running)


async def test_leaving_early_leaves_the_rest_to_the_next_run(a_client, emulator, path):
    """At once, also for another process; what was kept and not handed out is in the journal."""
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


async def test_a_loop_that_is_left_holds_nothing_up(a_client, emulator, path):
    """The block closes what a `break` left to the garbage collector."""
    async with a_client() as client:
        async with Batch.open(path, client=client, lease=1000) as batch:
            await batch.add(emulator.add_jobs(30, ["images"]))
            running = batch.run()
            await anext(running)
        async with Batch.open(path) as batch:
            assert 0 == (await batch.report()).running
        await running.aclose()


async def test_a_batch_that_is_closed_ends_its_runs(a_client, emulator, path):
    """Who still waits for outcomes in another task is told so, and not left waiting."""
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


async def test_a_run_that_is_cancelled_leaves_its_tickets(a_client, emulator, path):
    """Cancellation is heeded, and what was open is open for others."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
        await batch.add(["images:1"])
        task = await begun(batch)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await batch.report()).running == 0


async def test_unresolved_is_open_on_the_next_run(a_client, emulator, path):
    """One that was given up is told as that once a run, until its outcome comes."""
    emulator.add_job("images:1", duration=0.0)
    emulator.add_job("images:2", duration=1.5)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        first = {each.ticket.id: each for each in await all_of(batch.run(timeout=0.3))}
        assert isinstance(first["1"], Success)
        assert isinstance(first["2"].cause, WaitTimeout)
        assert {"images:1": "success", "images:2": "unresolved"} == states(path)
        (kept,) = [each for each in await all_of(batch.outcomes()) if each.ticket.id == "2"]
        assert (first["2"].last, first["2"].cause.message) == (kept.last, kept.cause.message)
        (second,) = await all_of(batch.run())
        assert Success is type(second)
        assert [] == await all_of(batch.run())
        assert 2 == (await batch.report()).success


async def test_a_refused_key_loses_nothing(path):
    """All that was open is unresolved, and a run with the right key ends it."""
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
    """No ticket is asked about by both, and each outcome is handed to one of them."""
    tickets = emulator.add_jobs(400, ["images", "video"])
    looked = {"one": set(), "two": set()}

    async def share(name):
        def hear(event):
            looked[name].add(
                event.reply.ticket if hasattr(event, "reply") else event.outcome.ticket
            )

        async with (
            a_client(on_event=hear) as client,
            Batch.open(path, client=client) as batch,
        ):
            return [each.ticket for each in await all_of(batch.run(window=40))]

    async with Batch.open(path) as batch:
        await batch.add(tickets)
    one, two = await asyncio.gather(share("one"), share("two"))
    assert sorted(tickets) == sorted(one + two)
    assert one
    assert two
    assert set() == looked["one"] & looked["two"]
    assert {str(ticket): "success" for ticket in tickets} == states(path)


async def test_a_run_takes_over_from_the_dead(a_client, emulator, path):
    """It waits for tickets that another run holds, and takes them when that lease is over."""
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


async def test_a_run_that_slept_too_long_begins_again(a_client, emulator, path):
    """It stops looking at what others may look at now, and goes on with what is open."""
    tickets = [emulator.add_job(("images", n), duration=0.8 + n % 2) for n in range(1, 41)]
    now = 1_800_000_000.0
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=0.4, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        task = asyncio.create_task(all_of(batch.run()))

        async def running():
            return (await batch.report()).running == 40

        await until(running)
        async with Journal.open(path, clock=lambda: now + 1) as other:
            # Another process finds the lease over, and takes a ticket.
            run = await other.leases.begin_run(lease=10)
            ((_, taken),) = (
                await other.leases.claim(run, before_run=run, limit=1, lease=10)
            ).tickets
            await asyncio.sleep(0.5)
            polls = emulator.polls[taken]
            await asyncio.sleep(0.5)
            assert polls == emulator.polls[taken]
            await other.leases.end_run(run)
        outcomes = await task
        assert sorted(tickets) == sorted(each.ticket for each in outcomes)
        assert {Success} == {type(each) for each in outcomes}


class Begun(httpx.ASGITransport):
    """The way to the emulator; it notes which tickets are looked at."""

    def __init__(self, emulator):
        super().__init__(app=emulator)
        self.looked = []

    async def handle_async_request(self, request):
        self.looked.append(json.loads(request.content)["request_id"])
        return await super().handle_async_request(request)


def taken_by_another(path, count):
    """Another process, of which the test is a thread, takes what it finds."""

    async def take():
        async with Journal.open(path) as other:
            run = await other.leases.begin_run(lease=60)
            claim = await other.leases.claim(run, before_run=run, limit=count, lease=60)
            return run, {ticket.id for _, ticket in claim.tickets}

    with ThreadPoolExecutor() as thread:
        return thread.submit(asyncio.run, take()).result()


@pytest.mark.parametrize("taken", [20, 0])
async def test_who_stood_still_looks_at_nothing_of_others(emulator, path, taken):
    """Whoever was stopped for longer than its lease renews it before it looks again."""
    for number in range(40):
        emulator.add_job(("images", number), duration=1000)
    way = Begun(emulator)
    lease = 0.5
    async with (
        Client("k", http=way, pace=Pace(floor=0.05, ceiling=0.05), workers=8) as client,
        Batch.open(path, client=client, lease=lease) as batch,
    ):
        await batch.add(("images", number) for number in range(40))
        task = asyncio.create_task(all_of(batch.run()))

        async def running():
            return len(way.looked) > 80

        await until(running)
        # Nothing of this process goes on meanwhile, as after a SIGSTOP.
        time.sleep(lease + 0.1)  # noqa: ASYNC251
        _, theirs = taken_by_another(path, taken) if taken else (0, set())
        assert taken == len(theirs)
        way.looked.clear()

        async def looking():
            return len(way.looked) > 80

        await until(looking)
        assert set() == theirs & set(way.looked)
        assert 40 - taken == len(set(way.looked))
        task.cancel()
        await asyncio.wait([task])


async def test_who_leaves_knows_when_it_is_gone(a_client, emulator):
    """Nothing that was left is looked at once `_left` returns, however much it was."""
    tickets = emulator.add_jobs(3000, ["images"])
    async with a_client() as client:
        for ticket in tickets:
            client.engine.watch(ticket, NULL_WATCHER)
        poller = client.engine.poller
        poller.unwatch_all(tickets, NULL_WATCHER)
        assert poller.is_dropping
        await client.engine.wait_for_drops()
        assert not any(entry.is_queued for entry in poller._schedule._open.values())


async def test_a_commit_without_a_lease_begins_again(a_client, emulator, path):
    """Also where all looks are over: what was not this run's to write is looked at again."""
    tickets = [emulator.add_job(("images", n), duration=0.5 * (n > 1)) for n in range(1, 31)]
    now = 1_800_000_000.0
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=1000, clock=lambda: now) as batch,
    ):
        await batch.add(tickets)
        async with aclosing(batch.run()) as outcomes:
            seen = [await anext(outcomes)]

            # Since nobody reads, what ends now waits to be written.
            await asyncio.sleep(1.5)
            async with Journal.open(path, clock=lambda: now + 2000) as other:
                run = await other.leases.begin_run(lease=10)
                await other.leases.claim(run, before_run=run, limit=1, lease=10)
                await other.leases.end_run(run)
            await all_of(outcomes, seen)
        assert set(tickets) == {each.ticket for each in await all_of(batch.outcomes())}


async def test_a_claim_without_a_lease_begins_again(a_client, emulator, path):
    """A run learns from its next claim, too, that others may have its tickets."""
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


async def test_looks_and_last_replies_are_noted(a_client, emulator, path):
    """While a ticket is open, the file says how it stands."""
    ticket = emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=0.2) as batch:
        await batch.add([ticket])
        task = asyncio.create_task(all_of(batch.run()))

        async def noted():
            return await batch.journal.last(ticket) is not None

        await until(noted)
        assert isinstance(await batch.journal.last(ticket), Processing)
        assert (await batch.report()).polls >= 1
        task.cancel()
        await asyncio.wait([task])
        assert (await batch.report()).polls == emulator.polls.total()


async def test_the_last_looks_are_noted_when_a_run_is_left(a_client, emulator, path):
    """However long it is until a lease would be renewed."""
    ticket = emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
        await batch.add([ticket])
        task = await begun(batch)

        async def looked():
            return emulator.polls.total() >= 3

        await until(looked)
        task.cancel()
        await asyncio.wait([task])
        assert 2 <= (await batch.report()).polls <= emulator.polls.total()
        assert isinstance(await batch.journal.last(ticket), Processing)


async def test_faults_are_looks(path):
    """Looks that went wrong are counted beside those that were answered."""
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


async def test_the_callers_own_events_go_on(a_client, emulator, path):
    """A batch hears beside `on_event`, and is gone when its run is."""
    events = []
    async with a_client(on_event=events.append) as client:
        async with Batch.open(path, client=client) as batch:
            await batch.add(emulator.add_jobs(5, ["images"]))
            await all_of(batch.run())
        heard = len(events)
        assert heard >= 10
        assert [events.append] == client.engine.listeners._listeners


async def test_a_full_disk_ends_a_run_and_loses_nothing(a_client, emulator, path):
    """What was handed out is in the file; with room again, the next run does the rest."""
    tickets = emulator.add_jobs(300, ["images"])
    seen = []
    async with a_client() as client, Batch.open(path, client=client, lease=1000) as batch:
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


async def test_how_late_an_end_was_noticed_is_written_down(a_client, emulator, path):
    """At most the time between two looks; nothing where none saw it running, or it was given up."""
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING, None])
    emulator.add_job("images:2", duration=0.0)
    emulator.add_job("images:3", duration=1000)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2", "images:3"])
        began = asyncio.get_running_loop().time()
        await all_of(batch.run(timeout=1))
        took = asyncio.get_running_loop().time() - began
        late = {
            each.outcome.ticket.id: each.max_lag async for each in batch.journal.recorded_outcomes()
        }
    assert {"2": None, "3": None} == {id_: late[id_] for id_ in "23"}
    # The shortest step, less the part of it that is left to chance, and no more than all of it.
    assert 0.9 * 0.05 <= late["1"] <= took


async def test_a_slow_listener_hides_no_lateness(a_client, emulator, path):
    """While `on_event` holds all up a job may end: what is written down has room for that."""
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


async def begun(batch):
    """A run that has its first ticket."""
    task = asyncio.create_task(all_of(batch.run()))

    async def running():
        return (await batch.report()).running == 1

    await until(running)
    return task


async def test_a_lock_that_passes_is_outlived(a_client, emulator, path, caplog):
    """A lease that could not be renewed at once is renewed later."""
    emulator.add_job("images:1", duration=0.0)
    emulator.script("images:1", [RUNNING])

    async def told():
        return "the lease could not be renewed" in caplog.text

    async with a_client() as client, Journal.open(path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=2.0)
        await batch.add(["images:1"])
        task = await begun(batch)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            await until(told)
            other.execute("ROLLBACK")
        emulator.script("images:1", [None])
        assert [Success] == [type(each) for each in await task]


async def test_a_lock_that_stays_ends_the_run(a_client, emulator, path, caplog):
    """Who cannot renew for a whole lease looks no more, and says why."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, Journal.open(path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=0.6)
        await batch.add(["images:1"])
        task = await begun(batch)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalLocked):
                await task
            other.execute("ROLLBACK")
        assert 1 == (await batch.report()).open
        # What that run could not leave to others, the next one has at once.
        assert [WaitTimeout] == [type(each.cause) for each in await all_of(batch.run(timeout=0.1))]
    assert "stay leased for up to 0.6 s" in caplog.text


async def test_no_key_is_in_the_file(path):
    """Whatever the service says back, the key is in none of the files."""

    def echo(_request):
        said = {"status": "success", "output": [f"https://a/?key={KEY}"], "meta": {"key": KEY}}
        return httpx.Response(200, json=said)

    transport = httpx.MockTransport(echo)
    async with (
        Client(KEY, http=transport, pace=Pace(floor=0.01)) as client,
        Batch.open(path, client=client) as batch,
    ):
        await batch.add(["images:1"])
        assert 1 == len(await all_of(batch.run()))
        for file in path.parent.iterdir():
            assert KEY.encode() not in file.read_bytes()


async def test_what_a_run_needs(a_client, path):
    """A client, room for a ticket and a lease; without a client everything else is there."""
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
