"""The client never blocks the event loop for long, even with tens of thousands of tickets."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import contextmanager

import pytest
from call_time import CallTimeLoop

from modelslab_async import (
    AuthenticationError,
    Client,
    ClientClosed,
    Pace,
    Response,
    Success,
    WaitTimeout,
)

pytestmark = pytest.mark.thorough

# The documentation promises it.
MAX_ITERATION_S = 0.020


class WatchedLoop(CallTimeLoop):
    """Reports the duration of each iteration."""

    iterations = None

    def _run_once(self):
        started = self.busy_s()
        super()._run_once()
        if self.iterations is not None:
            self.iterations.add(self.busy_s() - started)


class Server:
    """A server that answers fast. Its reply can be changed at any time."""

    def __init__(self, latency=0.05):
        self.latency = latency
        self.count = self.count_at_end = 0
        self.body = {"status": "processing", "output": ""}
        self.status_code = 200

    async def exchange(self, _request):
        self.count += 1
        await asyncio.sleep(self.latency)
        return Response(status_code=self.status_code, body=json.dumps(self.body).encode())

    async def wait_until_half_polled_twice(self, tickets):
        """Wait until each ticket was polled, and half of them twice."""
        while self.count < 1.5 * len(tickets):  # noqa: ASYNC110 -- an event costs CPU.
            await asyncio.sleep(0.01)
        self.count_at_end = self.count


class Iterations:
    """How long the iterations of the event loop took."""

    def __init__(self):
        self.longest = 0.0
        self.slowest_handle = ""
        # The first iteration started before the measurement, so it does not count.
        self.count = -1
        self._in_iteration = (0.0, "")

    def add(self, seconds):
        """Count one iteration."""
        self.count += 1
        if self.count and seconds > self.longest:
            self.longest, self.slowest_handle = seconds, self._in_iteration[1]
        self._in_iteration = (0.0, "")

    @contextmanager
    def measured(self):
        loop, run = asyncio.get_running_loop(), asyncio.events.Handle._run

        def timed(handle):
            started = loop.busy_s()
            run(handle)
            seconds = loop.busy_s() - started
            if seconds > self._in_iteration[0]:
                self._in_iteration = seconds, repr(handle)[:300]

        asyncio.events.Handle._run = timed
        loop.iterations = self
        try:
            yield self
        finally:
            # The last iteration goes on after the measurement, so it does not count.
            loop.iterations = None
            asyncio.events.Handle._run = run


DONE = {"status": "success", "output": ["https://x.example/1.png"]}


async def gathered(client, server, tickets):
    """Add all tickets, and then end all jobs."""
    waiting = asyncio.create_task(client.gather(tickets))
    await asyncio.sleep(30.0)
    server.body = DONE
    return await waiting


async def streamed(client, server, tickets):
    """Add all tickets from an async source, and then end all jobs."""

    async def source() -> AsyncIterator[tuple[str, int]]:
        for ticket in tickets:
            yield ticket

    async def read():
        return [each async for each in client.stream(source(), window=len(tickets) + 1)]

    waiting = asyncio.create_task(read())
    await asyncio.sleep(30.0)
    server.body = DONE
    return await waiting


async def timed_out(client, _server, tickets):
    """Let the timeout expire while all tickets are open."""
    return await client.gather(tickets, timeout=30.0)


async def refused(client, server, tickets):
    """Refuse the key while all tickets are open."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.wait_until_half_polled_twice(tickets)
    server.status_code, server.body = 401, {"status": "error", "message": "Invalid API key"}
    return await waiting


async def closed(client, server, tickets):
    """Close the client while all tickets are open."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.wait_until_half_polled_twice(tickets)
    await client.aclose()
    return await waiting


async def cancelled(client, server, tickets):
    """Cancel the caller while all tickets are open."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.wait_until_half_polled_twice(tickets)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(1000.0)
    return []


# For each way: the expected outcome, and the most polls that may follow its end.
WAYS = {
    gathered: (Success, None),
    streamed: (Success, None),
    timed_out: (WaitTimeout, None),
    # The polls in flight when the refusal or the close came, and as many more.
    refused: (AuthenticationError, 64),
    closed: (ClientClosed, 64),
    # The tickets are dropped in small batches, and the workers go on meanwhile.
    cancelled: (None, 512),
}


def measure(way, count, latency=0.05):
    """Run one way. Return the iterations, the outcomes, and how many polls came after its end."""
    tickets = [("realtime", number) for number in range(count)]
    iterations = Iterations()

    async def main():
        server = Server(latency)
        async with Client("a-key-1234", http=server, pace=Pace.fixed(10.0)) as client:
            with iterations.measured():
                outcomes = await way(client, server, tickets)
            return outcomes, server.count - server.count_at_end

    with asyncio.Runner(loop_factory=WatchedLoop) as runner:
        return iterations, *runner.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_no_iteration_blocks_the_loop(way):
    """With 20,000 tickets, no iteration takes more than 20 ms, counted in function calls."""
    iterations, outcomes, _ = measure(way, 20_000)
    assert {WAYS[way][0]} - {None} == {type(getattr(each, "cause", each)) for each in outcomes}
    assert len(outcomes) == (0 if way is cancelled else 20_000)
    assert iterations.longest <= MAX_ITERATION_S, iterations.slowest_handle


@pytest.mark.parametrize("way", [refused, closed, cancelled])
def test_few_polls_follow_a_refusal_close_or_cancellation(way):
    """Only polls that the workers had already taken are still sent."""
    _, _, sent = measure(way, 8_000, latency=0.002)
    assert sent <= WAYS[way][1]


def main() -> None:
    """Print figures for more: `PYTHONPATH=tests python tests/faults/test_loop.py 100000`."""
    for count in map(int, sys.argv[1:]):
        for way in WAYS:
            iterations, _, sent = measure(way, count)
            print(  # noqa: T201
                f"{count:7} {way.__name__:9} {iterations.count} iterations, the longest "
                f"{1000 * iterations.longest:.1f} ms in function calls; {sent} polls after the "
                f"end: {iterations.slowest_handle[:100]}"
            )


if __name__ == "__main__":
    main()
