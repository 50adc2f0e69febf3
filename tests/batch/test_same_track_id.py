"""Two processes submit the same track_id. Neither changes the record of the other's submit."""

import asyncio
import time
from contextlib import contextmanager

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    JournalError,
    Pace,
    Processing,
    SubmitUncertain,
    TransportError,
)
from modelslab_async._journal.run_operations import RunOperations

from .conftest import HeldReplies

REALTIME = "realtime/text2img"


class Stalled(httpx.AsyncBaseTransport):
    """Sends nothing until a test releases it. Then it passes a request on, or raises."""

    def __init__(self, emulator, error=None):
        self.inner, self.error = httpx.ASGITransport(app=emulator), error
        self.arrived, self.released = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request):
        self.arrived.set()
        await self.released.wait()
        if isinstance(self.error, httpx.ReadError):
            await request.aread()
        if self.error is not None:
            raise self.error
        return await self.inner.handle_async_request(request)


def client_of(http):
    return Client("a-key-for-tests", http=http, pace=Pace(floor=0.05, max_failures=1))


@contextmanager
def released_at_end(*transports):
    """Release all requests, so that a batch can be closed after a failed check."""
    try:
        yield
    finally:
        for each in transports:
            each.released.set()


def submit_in(batch):
    return asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))


async def test_lost_answer_to_a_withdrawal_withdraws_no_submit_of_another_process(
    emulator, path, monkeypatch
):
    """The withdrawal is repeated later. Otherwise both processes would submit, and pay."""
    withdraw_own, withdrawn = RunOperations.withdraw_own, asyncio.Queue()

    async def withdraw(*given):
        await withdraw_own(*given)
        withdrawn.put_nowait(given)
        if withdrawn.qsize() == 1:
            raise JournalError("the answer to the commit is lost")

    monkeypatch.setattr(RunOperations, "withdraw_own", withdraw)
    unsent, held = Stalled(emulator, httpx.ConnectError("refused")), HeldReplies(emulator)
    unsent.released.set()
    async with (
        client_of(unsent) as client,
        client_of(held) as other_client,
        Batch.open(path, client=client, lease=10) as batch,
        Batch.open(path, client=other_client, lease=1000) as other,
    ):
        with released_at_end(held):
            with pytest.raises(TransportError):
                await submit_in(batch)
            theirs = submit_in(other)
            await held.arrived.wait()
            unsent.error = None
            ours = submit_in(batch)
            while withdrawn.qsize() < 2:
                await asyncio.wait([ours], timeout=0.01)
                assert not ours.done()
            assert await other.journal.find_submit("7") is not None
            held.released.set()
            assert (await theirs).ticket == (await ours).ticket
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("late", ["unsent", "no reply", "a ticket"])
async def test_late_result_of_a_withdrawn_submit_is_not_that_of_a_newer_submit(
    emulator, path, late
):
    """A process stands still, and a user settles its submit. The newer submit stays in flight."""
    errors = {"unsent": httpx.ConnectError("refused"), "no reply": httpx.ReadError("broken")}
    stalled, held = Stalled(emulator, errors.get(late)), HeldReplies(emulator)

    def later():
        return time.time() + 2000.0

    async with (
        client_of(stalled) as client,
        client_of(held) as other_client,
        Batch.open(path, client=client, lease=1000) as batch,
        Batch.open(path, client=other_client, lease=1000, clock=later) as other,
    ):
        with released_at_end(stalled, held):
            ours = submit_in(batch)
            await stalled.arrived.wait()
            await other.journal.withdraw("7")
            theirs = submit_in(other)
            await held.arrived.wait()
            stalled.released.set()
            [result] = await asyncio.gather(ours, return_exceptions=True)
            kinds = {"unsent": TransportError, "no reply": SubmitUncertain, "a ticket": Processing}
            assert isinstance(result, kinds[late])
            submit = await other.journal.find_submit("7")
            assert submit is not None
            assert submit.ticket is None
            assert [] == await other.uncertain()
            held.released.set()
            reply = await theirs
            assert reply.ticket == (await other.journal.find_submit("7")).ticket
            assert 1 + (late == "a ticket") == (await other.report()).tickets
