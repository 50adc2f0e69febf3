"""A batch that drains or closes sends no submit of `Batch.submit` that is not in flight."""

import asyncio

import httpx
import pytest

from modelslab_async import Batch, Client, JournalError, Pace, SlotAwaited, SubmitRetried
from modelslab_async.emulator import Emulator, Jobs

from .conftest import HeldReplies

# Each wait for an event fails after this time, instead of holding the suite.
TIMEOUT_S = 300
REALTIME = "realtime/text2img"
ENDLESS = Jobs(duration=(1e6, 1e6))
DRAINING = "the batch is draining, and nothing was sent; open the batch again"


def stopped(ending):
    return pytest.raises(JournalError, match=f"the batch is {ending}, and nothing was sent")


class Moment:
    """An event that a listener sets at the first event of a kind."""

    def __init__(self, kind):
        self.kind, self.has_come = kind, asyncio.Event()

    def __call__(self, event):
        if isinstance(event, self.kind):
            self.has_come.set()


def client_with_one_slot(emulator, on_event):
    """Return a client whose only slot, once it is taken, becomes free when its job ends."""
    http = httpx.ASGITransport(app=emulator)
    return Client("a-key-for-tests", http=http, queue=1, on_event=on_event)


async def test_drain_ends_waiting_and_new_submits_and_finishes_the_one_in_flight(emulator, path):
    """No slot becomes free meanwhile. The submit in flight gets its ticket, which is recorded."""
    held, slot = HeldReplies(emulator), Moment(SlotAwaited)
    async with (
        asyncio.timeout(TIMEOUT_S),
        Client("a-key-for-tests", http=held, queue=1, on_event=slot) as client,
        Batch.open(path, client=client) as batch,
    ):
        in_flight = asyncio.create_task(batch.submit(REALTIME, prompt="no. 1", track_id=1))
        await held.arrived.wait()
        waiting = [
            asyncio.create_task(batch.submit(REALTIME, prompt=f"no. {n}", **name))
            for n, name in enumerate([{"track_id": 2}, {}], start=2)
        ]
        try:
            await slot.has_come.wait()
            batch.drain()
            batch.drain()
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert [JournalError] * 2 == [type(each) for each in results]
            assert all(DRAINING in str(each) for each in results)
            with stopped("draining"):
                await batch.submit(REALTIME, prompt="no. 4", track_id=4)
        finally:
            held.released.set()
        ticket = (await in_flight).ticket
        assert ticket == (await batch.journal.find_submit("1")).ticket
        assert ticket == (await batch.submit(REALTIME, prompt="no. 1", track_id=1)).ticket
        assert [] == await batch.uncertain()
        assert await batch.journal.find_submit("2") is None
    assert 1 == len(emulator.submits)


async def test_close_ends_waiting_submits_although_no_slot_becomes_free(path):
    """A program that leaves the batch after an error does not wait for its slots."""
    emulator, slot = Emulator(jobs=ENDLESS), Moment(SlotAwaited)
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_with_one_slot(emulator, slot) as client,
    ):
        async with Batch.open(path, client=client) as batch:
            await batch.submit(REALTIME, prompt="a cat", track_id=1)
            waiting = asyncio.create_task(batch.submit(REALTIME, prompt="a dog", track_id=2))
            await slot.has_come.wait()
        with stopped("closing"):
            await waiting
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("moment", ["in flight", "in the pause before the next attempt"])
async def test_drain_ends_a_submit_that_the_server_refuses_for_its_rate(path, moment):
    """It is not sent again after the pause, and its record is deleted."""
    sent = []

    def answer(request):
        sent.append(request)
        if moment == "in flight":
            batch.drain()
        return httpx.Response(429, json={"status": "error", "message": "Rate limit exceeded"})

    retried = Moment(SubmitRetried)
    async with (
        asyncio.timeout(TIMEOUT_S),
        Client("a-key-for-tests", http=httpx.MockTransport(answer), on_event=retried) as client,
        Batch.open(path, client=client) as batch,
    ):
        submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=1))
        if moment != "in flight":
            await retried.has_come.wait()
            batch.drain()
        with stopped("draining"):
            await submit
        assert await batch.journal.find_submit("1") is None
    assert 1 == len(sent)


async def test_drain_ends_a_submit_whose_file_is_being_uploaded(emulator, path):
    """The upload costs nothing, and the submit is not sent."""
    held = HeldReplies(emulator)
    async with (
        asyncio.timeout(TIMEOUT_S),
        Client("a-key-for-tests", http=held, pace=Pace(floor=0.05)) as client,
        Batch.open(path, client=client) as batch,
    ):
        image = b"\x89PNG\r\n\x1a\n"
        submit = asyncio.create_task(
            batch.submit("realtime/img2img", prompt="a cat", init_image=image, track_id=1)
        )
        await held.arrived.wait()
        batch.drain()
        try:
            with stopped("draining"):
                await submit
        finally:
            held.released.set()
    assert [] == emulator.submits


async def test_drain_ends_a_submit_that_is_being_recorded(a_client, emulator, path, held_records):
    """Its record is deleted, so the next program can send it."""
    async with asyncio.timeout(TIMEOUT_S), a_client() as client:
        async with Batch.open(path, client=client) as batch:
            submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
            await held_records.written.wait()
            batch.drain()
            try:
                with stopped("draining"):
                    await submit
            finally:
                held_records.released.set()
        async with Batch.open(path, client=client) as batch:
            assert [] == await batch.uncertain()
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)


async def test_caller_that_is_cancelled_while_its_batch_drains_is_cancelled(path):
    """Its own cancellation is not replaced by the error of the batch."""
    emulator, slot = Emulator(jobs=ENDLESS), Moment(SlotAwaited)
    async with (
        asyncio.timeout(TIMEOUT_S),
        client_with_one_slot(emulator, slot) as client,
        Batch.open(path, client=client) as batch,
    ):
        await batch.submit(REALTIME, prompt="a cat", track_id=1)
        waiting = asyncio.create_task(batch.submit(REALTIME, prompt="a dog", track_id=2))
        await slot.has_come.wait()
        batch.drain()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
