"""A process knows its own submits better than the journal does, also after it stood still."""

import asyncio
import sys
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    JournalFull,
    Pace,
    Submission,
    SubmitSent,
    Submitted,
    SubmitUncertain,
)
from modelslab_async._batch.journal_submit_recorder import JournalSubmitRecorder
from modelslab_async._journal import own_submits
from modelslab_async._journal.run_operations import RunOperations

from .conftest import HeldReplies

# Each wait for an event fails after this time, instead of holding the suite.
TIMEOUT_S = 300
ROW = Submission("realtime/text2img", {"prompt": "a cat"}, key="row 1")


class Clock:
    """The time, which a test can move past the end of a lease."""

    def __init__(self):
        self.ahead_s = 0.0

    def __call__(self):
        return time.time() + self.ahead_s


@pytest.fixture
def pausing(monkeypatch):
    """An event that is set once a call waits for the result of an earlier submit."""
    pause, is_pausing = JournalSubmitRecorder.pause_for_result, asyncio.Event()

    async def announced_pause(recorder, track_id):
        is_pausing.set()
        await pause(recorder, track_id)

    monkeypatch.setattr(JournalSubmitRecorder, "pause_for_result", announced_pause)
    return is_pausing


def client_of(http):
    return Client("a-key-for-tests", http=http, pace=Pace(floor=0.05, max_failures=1000))


@asynccontextmanager
async def two_programs(emulator, path):
    """Open a batch whose replies are held, and the same journal as another program opens it."""
    held, clock = HeldReplies(emulator), Clock()
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_of(held) as client,
        Batch.open(path, client=client, clock=clock) as batch,
        Batch.open(path, clock=clock) as other,
    ):
        yield held, clock, batch, other


async def submit(batch, by):
    """Submit the row. Return its ticket, or raise."""
    if by == "submit":
        return (await batch.submit(ROW)).ticket
    [(_, result)] = [pair async for pair in batch.generate_many([ROW])]
    if cause := getattr(result, "cause", None):
        raise cause
    return result.ticket


def submit_tasks():
    return [task for task in asyncio.all_tasks() if task.get_name() == "modelslab_async submit"]


@pytest.mark.parametrize("by", ["submit", "generate_many"])
@pytest.mark.parametrize("meanwhile", ["its lease ends", "another process withdraws it"])
async def test_second_call_waits_for_a_submit_in_flight_though_its_lease_is_over(
    emulator, path, pausing, by, meanwhile
):
    """The process stood still. It pays once, and both calls get the ticket."""
    async with two_programs(emulator, path) as (held, clock, batch, other):
        try:
            first = asyncio.create_task(submit(batch, "submit"))
            await held.arrived.wait()
            clock.ahead_s = 1000.0
            (listed,) = await other.uncertain()
            if meanwhile == "another process withdraws it":
                await other.journal.withdraw(listed.track_id)
            assert [] == await batch.uncertain()
            held.arrived.clear()
            second = asyncio.create_task(submit(batch, by))
            waiting, sent = map(asyncio.create_task, (pausing.wait(), held.arrived.wait()))
            await asyncio.wait([second, waiting, sent], return_when=asyncio.FIRST_COMPLETED)
            assert (False, False) == (second.done(), sent.done())
            sent.cancel()
        finally:
            held.released.set()
        assert await first == await second
    assert 1 == len(emulator.submits)


async def test_report_counts_no_submit_in_flight_as_uncertain(emulator, path):
    """It counts what `uncertain` lists: nothing while the lease lasts, and never an own submit."""
    async with two_programs(emulator, path) as (held, clock, batch, other):
        try:
            sent = asyncio.create_task(batch.submit(ROW))
            await held.arrived.wait()
            assert (0, 0) == ((await batch.report()).uncertain, (await other.report()).uncertain)
            clock.ahead_s = 1000.0
            assert (0, 1) == ((await batch.report()).uncertain, (await other.report()).uncertain)
        finally:
            held.released.set()
        await sent
        assert 0 == (await other.report()).uncertain


async def test_submit_in_flight_is_not_withdrawn_by_its_own_process(emulator, path):
    """Its lease is over, but its reply may still come. It would be paid twice."""
    held, clock = HeldReplies(emulator), Clock()
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_of(held) as client,
        Batch.open(path, client=client, clock=clock) as batch,
    ):
        try:
            sent = asyncio.create_task(batch.submit(ROW.endpoint, prompt="a cat", track_id=7))
            await held.arrived.wait()
            clock.ahead_s = 1000.0
            with pytest.raises(ValueError, match=r"'7' cannot be withdrawn now, .* not have its"):
                await batch.journal.withdraw("7")
        finally:
            held.released.set()
        assert (await sent).ticket == (await batch.journal.find_submit("7")).ticket
        with pytest.raises(ValueError, match="no uncertain submit with the track_id '7'"):
            await batch.journal.withdraw("7")


@pytest.mark.parametrize("by", ["submit", "generate_many"])
async def test_submit_whose_ticket_waits_for_room_is_not_uncertain(
    a_client, emulator, path, monkeypatch, by
):
    """The journal was full until after the end of the lease. The ticket is in memory."""
    clock = Clock()

    def write(operation, *args, **more):
        if operation is own_submits.confirm_sent:
            raise JournalFull("there is no room")
        return real_write(operation, *args, **more)

    async with a_client() as client, Batch.open(path, client=client, clock=clock) as batch:
        real_write = batch.journal._store.write
        with monkeypatch.context() as patch:
            patch.setattr(batch.journal._store, "write", write)
            with pytest.raises(JournalFull):
                await batch.submit(ROW)
            clock.ahead_s = 1000.0
            assert [] == await batch.uncertain()
            track_id = (await batch.journal.find_submit_by_key("row 1")).track_id
            started = emulator.submits[0].ticket
            with pytest.raises(ValueError, match=f"was started as {started}"):
                await batch.journal.withdraw(track_id)
        assert started == await submit(batch, by)
    assert 1 == len(emulator.submits)


async def test_submit_whose_task_is_cut_off_is_uncertain(emulator, path):
    """It is not in flight any more, though its batch stays open."""
    held = HeldReplies(emulator)
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_of(held) as client,
        Batch.open(path, client=client) as batch,
        Batch.open(path) as other,
    ):
        sent = asyncio.create_task(batch.submit(ROW))
        await held.arrived.wait()
        for task in submit_tasks():
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        with pytest.raises(SubmitUncertain):
            await batch.submit(ROW)
        (uncertain,) = await batch.uncertain()
        assert [uncertain] == await other.uncertain()
        await batch.journal.withdraw(uncertain.track_id)


async def test_submit_whose_task_is_cut_off_while_it_is_recorded_is_withdrawn(
    emulator, path, monkeypatch
):
    """The journal writes the record all the same, but nothing was sent."""
    record_own, began, released = RunOperations.record_own, asyncio.Event(), asyncio.Event()

    async def record_later(*given, **more):
        began.set()
        await released.wait()
        return await record_own(*given, **more)

    monkeypatch.setattr(RunOperations, "record_own", record_later)
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_of(httpx.ASGITransport(app=emulator)) as client,
        Batch.open(path, client=client) as batch,
    ):
        sent = asyncio.create_task(batch.submit(ROW))
        await began.wait()
        for task in submit_tasks():
            task.cancel()
        await asyncio.sleep(0)
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await sent
        assert [] == emulator.submits
        await batch.submit(ROW)
    assert 1 == len(emulator.submits)


async def test_submit_cancelled_while_recording_keeps_its_ticket(
    a_client, emulator, path, monkeypatch
):
    """The task is cancelled after the reply came, and before the journal has the ticket."""
    confirm_sent, began = RunOperations.confirm_sent, asyncio.Event()

    async def confirm_first(*given, **more):
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        await confirm_sent(*given, **more)

    monkeypatch.setattr(RunOperations, "confirm_sent", confirm_first)
    async with (
        asyncio.timeout(TIMEOUT_S),
        a_client() as client,
        Batch.open(path, client=client) as batch,
    ):
        sent = asyncio.create_task(batch.submit(ROW))
        await began.wait()
        for task in submit_tasks():
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        reply = await batch.submit(ROW)
    assert [reply.ticket] == [each.ticket for each in emulator.submits]


@pytest.mark.parametrize("kind", [SubmitSent, Submitted])
def test_journal_knows_whether_a_submit_was_sent_though_a_listener_ends_the_program(
    emulator, path, kind
):
    """If the reply has come, the journal has the ticket. If nothing was sent, it has nothing."""

    def stop(event):
        if isinstance(event, kind):
            sys.exit(3)

    async def submit_and_stop():
        http = httpx.ASGITransport(app=emulator)
        async with (
            Client("a-key-for-tests", http=http, on_event=stop) as client,
            Batch.open(path, client=client) as batch,
        ):
            await batch.submit(ROW.endpoint, prompt="a cat", track_id=7)

    async def recorded():
        async with Batch.open(path) as batch:
            return await batch.journal.find_submit("7"), await batch.uncertain()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        submitting = loop.create_task(submit_and_stop())
        # First the submit raises it out of the event loop, and then the task that called `submit`.
        for _ in range(2):
            with pytest.raises(SystemExit):
                loop.run_until_complete(submitting)
        submit, uncertain = runner.run(recorded())
    assert [] == uncertain
    assert [each.ticket for each in emulator.submits] == ([submit.ticket] if submit else [])
    assert (kind is Submitted) == (submit is not None)
