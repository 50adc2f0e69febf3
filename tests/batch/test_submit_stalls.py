"""Submits whose process stands still, or whose caller leaves, after the record of the submit."""

import asyncio
import itertools
import time

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    JournalError,
    ModelsLabError,
    Pace,
    Submission,
    SubmitRetried,
    SubmitSent,
    Unsubmitted,
)
from modelslab_async._batch.journal_submit_recorder import JournalSubmitRecorder
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async._transport.http11.connection import Dialer
from modelslab_async.emulator import run_server

from .conftest import HeldReplies

REALTIME = "realtime/text2img"
PACE = Pace(floor=0.05, max_failures=1000)


async def nothing():
    """Do nothing after a record."""


@pytest.fixture
def after_records(monkeypatch):
    """Run coroutine functions after submits were recorded, and before their recorders know."""

    def arrange(*functions, while_waiting=None):
        record_own, rest = RunOperations.record_own, iter(functions)

        async def record(*args, **more):
            function = next(rest, nothing)
            try:
                return await record_own(*args, **more)
            finally:
                await function()

        monkeypatch.setattr(RunOperations, "record_own", record)
        if while_waiting is not None:
            monkeypatch.setattr(JournalSubmitRecorder, "pause_for_result", while_waiting)

    return arrange


@pytest.fixture
async def base_url(emulator):
    """Serve the emulator over sockets."""
    async with run_server(emulator) as url:
        yield url


@pytest.fixture
def before_connections(monkeypatch):
    """Run a coroutine function before the first connection of the package opens."""

    def arrange(function):
        dial, rest = Dialer.open, iter([function])

        async def open_connection(*args, **more):
            await next(rest, nothing)()
            return await dial(*args, **more)

        monkeypatch.setattr(Dialer, "open", open_connection)

    return arrange


class Held:
    """Holds the first connection before it opens, or the first submit after it was recorded."""

    def __init__(self, arrange):
        self.began, self.released = asyncio.Event(), asyncio.Event()
        arrange(self._hold)

    async def _hold(self):
        self.began.set()
        await self.released.wait()


async def test_submit_that_was_cancelled_while_it_was_recorded_is_not_sent(
    a_client, emulator, path, after_records
):
    """Its record is deleted, so a second call with the same track_id sends it, and pays once."""
    held = Held(after_records)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
        await held.began.wait()
        submit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submit
        held.released.set()
    assert [] == emulator.submits
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert [] == await batch.uncertain()
        await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)


async def test_submit_that_is_recorded_while_its_batch_drains_is_not_sent(
    a_client, emulator, path, after_records
):
    """Its row is left to the next call of `generate_many`."""
    held, rows = Held(after_records), [Submission(REALTIME, {"prompt": "a cat"}, key="row 1")]

    async def generate(batch):
        return [pair async for pair in batch.generate_many(rows)]

    async with a_client() as client, Batch.open(path, client=client) as batch:
        generating = asyncio.create_task(generate(batch))
        await held.began.wait()
        batch.drain()
        assert [] == await generating
        held.released.set()
    assert [] == emulator.submits
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 1 == len(await generate(batch))
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("clock", ["the clock of the journal", "the clock of the event loop"])
async def test_submit_after_a_stall_is_recorded_again_before_it_is_sent(
    a_client, emulator, path, leap, clock
):
    """A machine that was suspended sees its stall on the first clock only."""
    leap(0.0)
    ahead, events = 0.0, []

    def stall(event):
        nonlocal ahead
        events.append(type(event))
        if events.count(SubmitSent) == 1 and isinstance(event, SubmitSent):
            if clock == "the clock of the journal":
                ahead = 1000.0
            else:
                leap(1000.0)

    async with (
        a_client(on_event=stall) as client,
        Batch.open(path, client=client, clock=lambda: time.time() + ahead) as batch,
    ):
        reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert reply.ticket == (await batch.journal.find_submit("7")).ticket
    assert 2 == events.count(SubmitSent)
    assert 1 == events.count(SubmitRetried)
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize(
    ("name", "reply"),
    [*itertools.product(["a track_id", "a key", "no name"], ["has come", "is awaited"])],
)
async def test_submit_that_another_process_sent_during_a_stall_is_not_sent(
    emulator, path, after_records, name, reply
):
    """The process that stood still gets the other's ticket, or an error, and pays nothing."""
    parameters = {"prompt": "a cat"} | ({"track_id": 7} if name == "a track_id" else {})
    submission = Submission(REALTIME, parameters, key="row 1" if name == "a key" else None)
    held, elsewhere, ahead = HeldReplies(app=emulator), asyncio.Future(), 0.0

    def clock():
        return time.time() + ahead

    async def settle_and_submit():
        nonlocal ahead
        ahead = 1000.0
        (uncertain,) = await other.uncertain()
        await other.journal.withdraw(uncertain.track_id)
        elsewhere.set_result(asyncio.create_task(other.submit(submission)))
        await held.arrived.wait()
        if reply == "has come":
            held.released.set()
            await asyncio.wait([elsewhere.result()])

    async def release(*_args):
        held.released.set()

    after_records(settle_and_submit, nothing, release, while_waiting=release)
    async with (
        Client("a-key-for-tests", http=httpx.ASGITransport(app=emulator), pace=PACE) as client,
        Client("a-key-for-tests", http=held) as other_client,
        Batch.open(path, client=other_client, clock=clock) as other,
        Batch.open(path, client=client, clock=clock) as batch,
    ):
        submit = asyncio.create_task(batch.submit(submission))
        submit.add_done_callback(lambda _: held.released.set())
        if name == "no name":
            with pytest.raises(
                ValueError, match=r"another process may have settled it; nothing was sent"
            ):
                await submit
        else:
            assert (await submit).ticket == (await elsewhere.result()).ticket
        await elsewhere.result()
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize(
    "event",
    ["its caller leaves", "its batch drains", "the batch of its table drains", "its batch closes"],
)
async def test_submit_that_is_given_up_while_it_connects_is_not_sent(
    emulator, base_url, path, before_connections, event
):
    """Its record is deleted, and it can be submitted again, and is paid once."""
    held, row = Held(before_connections), Submission(REALTIME, {"prompt": "a"}, key="1")

    async def generate(batch):
        return [pair async for pair in batch.generate_many([row])]

    async with Client("a-key-for-tests", base_url=base_url, pace=PACE) as client:
        async with Batch.open(path, client=client) as batch:
            is_row = event == "the batch of its table drains"
            submit = asyncio.create_task(generate(batch) if is_row else batch.submit(row))
            await held.began.wait()
            match event:
                case "its caller leaves":
                    submit.cancel()
                    await asyncio.wait([submit])
                case "its batch drains":
                    batch.drain()
                case "the batch of its table drains":
                    batch.drain()
                    assert [] == await submit
                case _:
                    asyncio.get_running_loop().call_soon(held.released.set)
            if event != "its batch closes":
                held.released.set()
        if event in ("its batch drains", "its batch closes"):
            with pytest.raises(JournalError, match="nothing was sent"):
                await submit
        assert [] == emulator.submits
        async with Batch.open(path, client=client) as batch:
            assert [] == await batch.uncertain()
            assert 1 == len(await generate(batch))
    assert 1 == len(emulator.submits)


async def test_submit_after_a_stall_of_its_connection_is_recorded_again(
    emulator, base_url, path, before_connections
):
    """What another process has sent meanwhile is not paid again."""
    ahead, tickets = 0.0, []

    def clock():
        return time.time() + ahead

    async def settle_and_submit():
        nonlocal ahead
        ahead = 1000.0
        (uncertain,) = await other.uncertain()
        await other.journal.withdraw(uncertain.track_id)
        tickets.append((await other.submit(REALTIME, prompt="a cat", track_id=7)).ticket)

    before_connections(settle_and_submit)
    async with (
        Client("a-key-for-tests", base_url=base_url, pace=PACE) as client,
        Client("a-key-for-tests", base_url=base_url, pace=PACE) as other_client,
        Batch.open(path, client=other_client, clock=clock) as other,
        Batch.open(path, client=client, clock=clock) as batch,
    ):
        reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert [reply.ticket] == tickets
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("name", ["a track_id", "a key", "no name", "a row of a table"])
async def test_submit_that_was_settled_during_a_stall_is_not_sent_again(
    a_client, emulator, path, after_records, name
):
    """The user may have submitted it elsewhere. A later call sends it, once the user decides so."""
    parameters = {"prompt": "a cat"} | ({"track_id": 7} if name == "a track_id" else {})
    key = "row 1" if name in ("a key", "a row of a table") else None
    submission, ahead = Submission(REALTIME, parameters, key=key), 0.0

    def clock():
        return time.time() + ahead

    async def settle():
        nonlocal ahead
        ahead = 1000.0
        (uncertain,) = await other.uncertain()
        await other.journal.withdraw(uncertain.track_id)

    async def submit():
        if name != "a row of a table":
            return await batch.submit(submission)
        [(_, result)] = [pair async for pair in batch.generate_many([submission])]
        if isinstance(result, Unsubmitted):
            raise result.cause
        return result

    after_records(settle)
    async with (
        a_client() as client,
        Batch.open(path, client=client, clock=clock) as other,
        Batch.open(path, client=client, clock=clock) as batch,
    ):
        with pytest.raises(
            (ValueError, ModelsLabError), match=r"no longer in the journal.*; nothing was sent"
        ):
            await submit()
        assert [] == emulator.submits
        await submit()
    assert 1 == len(emulator.submits)


class ReadInThread(httpx.ASGITransport):
    """Reads the body of each request in another thread."""

    async def handle_async_request(self, request):
        body = await asyncio.to_thread(b"".join, request.stream)
        return await super().handle_async_request(
            httpx.Request(request.method, request.url, headers=request.headers, content=body)
        )


async def test_body_of_a_submit_may_be_read_in_another_thread(emulator, path):
    """The check before that read needs no event loop."""
    async with (
        Client("a-key-for-tests", http=ReadInThread(app=emulator), pace=PACE) as client,
        Batch.open(path, client=client) as batch,
    ):
        await batch.submit(REALTIME, prompt="a cat")
    assert 1 == len(emulator.submits)
