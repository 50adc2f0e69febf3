"""A client whose closing is cancelled: it waits for the submits in flight, but not for ever."""

import asyncio

import anyio
import pytest

from modelslab_async import Submitted, Ticket

from .conftest import REALTIME, Service

TICKET = Ticket("realtime", 1)


class Late(Service):
    """A service that answers a submit after a minute."""

    async def exchange(self, request, /):
        await asyncio.sleep(60.0)
        return await super().exchange(request)


def now():
    return asyncio.get_running_loop().time()


async def leave_after_timeout(seconds, work):
    """Cancel the work once, as a timeout of asyncio does."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


async def leave_again_and_again(seconds, work):
    """Cancel the work several times."""
    working = asyncio.create_task(work)
    await asyncio.sleep(seconds)
    while not working.done():
        working.cancel()
        await asyncio.sleep(0.5)
    assert working.cancelled()


async def leave_cancelled_scope(seconds, work):
    """Cancel the work at each of its awaits, as a scope of anyio does."""
    with anyio.move_on_after(seconds) as scope:
        await work
    assert scope.cancelled_caught


LEAVING = [leave_after_timeout, leave_again_and_again, leave_cancelled_scope]


@pytest.mark.parametrize("leave", LEAVING)
def test_cancelled_block_ends_after_its_submit(virtually, leave):
    """`on_submitted` gets the ticket before the block of the client has ended."""
    stored = []

    async def work():
        async with Late().client(on_submitted=lambda news: stored.append(news.ticket)) as client:
            await client.submit(REALTIME, prompt="a fox")

    async def main():
        await leave(1.0, work())
        assert [TICKET] == stored
        assert 60.0 <= now() < 61.0

    virtually(main)


@pytest.mark.parametrize("leave", LEAVING)
def test_cancelled_close_ends_after_a_submit_whose_caller_has_gone(virtually, leave):
    """The cancellation comes only while the client closes."""
    stored = []

    async def work():
        async with Late().client(on_submitted=lambda news: stored.append(news.ticket)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.submit(REALTIME, prompt="a fox"), 1.0)

    async def main():
        await leave(2.0, work())
        assert [TICKET] == stored
        assert 60.0 <= now() < 61.0

    virtually(main)


@pytest.mark.parametrize("leave", LEAVING)
@pytest.mark.parametrize(("submit_timeout", "grace"), [(100.0, 100.0), (float("inf"), 600.0)])
def test_cancelled_close_waits_for_a_bounded_time(virtually, leave, submit_timeout, grace):
    """A hook that hangs holds a cancelled caller for `submit_timeout` seconds, or ten minutes."""
    may_end = asyncio.Event()
    stored = []

    async def hang(news: Submitted) -> None:
        await may_end.wait()
        stored.append(news.ticket)

    async def work(client):
        async with client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.submit(REALTIME, prompt="a fox"), 70.0)

    async def main():
        client = Late().client(on_submitted=hang, submit_timeout=submit_timeout)
        await leave(80.0, work(client))
        assert 80.0 + grace <= now() < 81.0 + grace
        assert [] == stored
        closing = asyncio.create_task(client.aclose())
        await asyncio.sleep(1000.0)
        assert not closing.done()
        may_end.set()
        await closing
        assert [TICKET] == stored

    virtually(main)


def test_cancelled_close_without_submits_is_complete(virtually):
    """A transport is closed even if the scope around the client is cancelled."""
    closed = []

    class Transport(Late):
        async def aclose(self):
            await asyncio.sleep(1.0)
            closed.append(now())

    async def main():
        with anyio.CancelScope() as scope:
            async with Transport().client():
                scope.cancel()
        assert [1.0] == closed

    virtually(main)
