"""The event loop is not held: with tens of thousands of tickets every turn of it is a short one."""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager

import pytest
from virtual_time import JumpingLoop

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

# Seconds of CPU that one turn may take: 20 ms are promised, and half as much again is left to
# a machine that does other things as well.
LONGEST = 0.030


class HastyLoop(JumpingLoop):
    """Where nothing is to be done the time jumps; else it passes, as it does for users."""

    turns = None

    def time(self):
        return self.now + time.monotonic()

    def _run_once(self):
        began = time.thread_time()
        super()._run_once()
        if self.turns is not None:
            self.turns.took(time.thread_time() - began)


class Server:
    """A server that is as quick as can be; what it says can be changed at any time."""

    def __init__(self, latency=0.05):
        self.latency = latency
        self.count = self.since = 0
        self.says = {"status": "processing", "output": ""}
        self.status_code = 200

    async def exchange(self, _request):
        self.count += 1
        await asyncio.sleep(self.latency)
        return Response(status_code=self.status_code, body=json.dumps(self.says).encode())

    async def half_way(self, tickets):
        """Until every ticket was looked at, and half of them again: the others are due as well."""
        while self.count < 1.5 * len(tickets):  # noqa: ASYNC110 -- counted by the microsecond.
            await asyncio.sleep(0.01)
        self.since = self.count


class Turns:
    """How long the turns of the event loop took, in seconds of CPU of this thread."""

    def __init__(self):
        self.longest = 0.0
        self.culprit = ""
        # The turn that begins the watch did other things before.
        self.count = -1
        self._in_turn = (0.0, "")

    def took(self, seconds):
        """Count a turn."""
        self.count += 1
        if self.count and seconds > self.longest:
            self.longest, self.culprit = seconds, self._in_turn[1]
        self._in_turn = (0.0, "")

    @contextmanager
    def watched(self):
        loop, run = asyncio.get_running_loop(), asyncio.events.Handle._run

        def timed(handle):
            began = time.thread_time()
            run(handle)
            took = time.thread_time() - began
            if took > self._in_turn[0]:
                self._in_turn = took, repr(handle)[:300]

        # The collector's pauses grow with all that lives in the process, not with a turn.
        gc.collect()
        gc.disable()
        asyncio.events.Handle._run = timed
        loop.turns = self
        try:
            yield self
        finally:
            # The turn that ends the watch goes on with what is not watched any more.
            loop.turns = None
            asyncio.events.Handle._run = run
            gc.enable()


DONE = {"status": "success", "output": ["https://x.example/1.png"]}


async def gathered(client, server, tickets):
    """All are added, and then all end."""
    waiting = asyncio.create_task(client.gather(tickets))
    await asyncio.sleep(30.0)
    server.says = DONE
    return await waiting


async def streamed(client, server, tickets):
    """All are added from an async source, and then all end."""

    async def source() -> AsyncIterator[tuple[str, int]]:
        for ticket in tickets:
            yield ticket

    async def read():
        return [each async for each in client.stream(source(), window=len(tickets) + 1)]

    waiting = asyncio.create_task(read())
    await asyncio.sleep(30.0)
    server.says = DONE
    return await waiting


async def timed_out(client, _server, tickets):
    """All are open when their time is up."""
    return await client.gather(tickets, timeout=30.0)


async def refused(client, server, tickets):
    """All are open when the key is refused."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.half_way(tickets)
    server.status_code, server.says = 401, {"status": "error", "message": "Invalid API key"}
    return await waiting


async def closed(client, server, tickets):
    """All are open when the client is closed."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.half_way(tickets)
    await client.aclose()
    return await waiting


async def left(client, server, tickets):
    """All are open when the one who waits for them is cancelled."""
    waiting = asyncio.create_task(client.gather(tickets))
    await server.half_way(tickets)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(1000.0)
    return []


# How each way ends, and how many looks may follow the moment when nothing is wanted any more.
WAYS = {
    gathered: (Success, None),
    streamed: (Success, None),
    timed_out: (WaitTimeout, None),
    # Those that were on their way when the refusal came, and as many more.
    refused: (AuthenticationError, 64),
    closed: (ClientClosed, 32),
    # They are dropped a few at a time, and meanwhile the workers go on.
    left: (None, 512),
}


def measured(way, count, latency=0.05):
    """Go one way with so many tickets; give the turns that it took, and what came of it."""
    tickets = [("realtime", number) for number in range(count)]
    turns = Turns()

    async def main():
        server = Server(latency)
        async with Client("a-key-1234", http=server, pace=Pace.fixed(10.0)) as client:
            with turns.watched():
                outcomes = await way(client, server, tickets)
            return outcomes, server.count - server.since

    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        return turns, *runner.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_no_turn_holds_the_loop(way):
    """With 20,000 tickets no turn takes more than some 20 ms of CPU, whatever is done with them."""
    # A busy machine makes any turn a long one now and then; one of three runs is undisturbed.
    for _ in range(3):
        turns, outcomes, _ = measured(way, 20_000)
        assert {WAYS[way][0]} - {None} == {type(getattr(each, "cause", each)) for each in outcomes}
        assert len(outcomes) == (0 if way is left else 20_000)
        if turns.longest <= LONGEST:
            return
    pytest.fail(f"{1000 * turns.longest:.1f} ms, the most of it in {turns.culprit}")


@pytest.mark.parametrize("way", [refused, closed, left])
def test_what_nobody_wants_is_not_asked_for(way):
    """After a refusal, a close or a cancellation no more goes out than the workers had in hand."""
    _, _, sent = measured(way, 8_000, latency=0.002)
    assert sent <= WAYS[way][1]


def main() -> None:
    """Print figures for more: `PYTHONPATH=tests python tests/faults/test_loop.py 100000`."""
    for count in map(int, sys.argv[1:]):
        for way in WAYS:
            began = time.process_time()
            turns, _, sent = measured(way, count)
            took = time.process_time() - began
            print(  # noqa: T201
                f"{count:7} {way.__name__:9} {took:6.2f} s of CPU, {turns.count} turns, "
                f"the longest {1000 * turns.longest:.1f} ms; {sent} looks after the end: "
                f"{turns.culprit[:100]}"
            )


if __name__ == "__main__":
    main()
