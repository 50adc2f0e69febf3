"""The client on event loops other than that of the standard library."""

import asyncio

import httpx
import pytest
import uvloop

from modelslab_async import Client, Pace, Request, Success
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async.emulator import Emulator, Jobs, run_server


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("floor", [0.0011, 0.01, 0.25])
def test_poller_keeps_time_on_every_loop(factory, floor):
    """Timers of a millisecond and less, which uvloop rounds differently, break nothing."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.3)))

    async def main():
        pace = Pace(floor=floor)
        async with Client("k", http=httpx.ASGITransport(app=emulator), pace=pace) as client:
            return await client.gather(emulator.add_jobs(60))

    with asyncio.Runner(loop_factory=factory) as runner:
        assert all(isinstance(each, Success) for each in runner.run(main()))


def test_wait_over_socket_on_uvloop():
    """A wait over a real socket ends with the result."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.3)))

    async def main():
        async with (
            run_server(emulator) as url,
            Client("k", base_url=url, legacy_base_url=url, pace=Pace(floor=0.05)) as client,
        ):
            return await client.gather(emulator.add_jobs(100))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert all(isinstance(each, Success) for each in runner.run(main()))


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_cancelled_connect_is_forgotten(factory):
    """Whenever a connect is cancelled, closing has nothing to wait for, on any loop."""

    async def cancelled(url, steps):
        """Cancel an exchange after some steps; return whether it was cancelled and what is left."""
        http = HTTP11Transport(connections=1)
        task = asyncio.create_task(http.exchange(Request(method="GET", url=url)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.002)
        left = (
            sum(len(origin._open_connections) for origin in http._routes.values())
            if task.cancelled()
            else 0
        )
        await http.aclose()
        return task.cancelled(), left

    async def main():
        async with run_server(Emulator()) as url:
            for steps in range(2000):
                again, left = await cancelled(url, steps)
                assert 0 == left, f"cancelled at step {steps}"
                if not again:
                    return steps
        return None

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) > 5
