"""Looks begin when they are due, however many tickets are open."""

import asyncio
import gc
import math
import time
from collections.abc import AsyncIterator

import pytest
from virtual_time import JumpingLoop

from modelslab_async import Client, Completed, Pace, Polled, Response

pytestmark = pytest.mark.thorough

OPEN = 100_000
LOOKS = OPEN // 2
# Steps of 54 to 60 seconds: once all are open, some 1,700 looks fall due in a second, and 1,850 at
# the most.
SHORTEST, LONGEST = 54.0, 60.0
PACE = Pace(
    floor=LONGEST, growth=0.0, age_fraction=0.0, ceiling=LONGEST, max_eta_wait=0.0, jitter=0.1
)
# About a hundred looks are on their way at once.
LATENCY, WORKERS = 0.05, 256

PROMISED = 0.020


class WorkingLoop(JumpingLoop):
    """
    Where nothing is to be done the time jumps; else it passes as this thread works.

    What the client lets its looks wait for, it does with CPU, and that counts in full. What others
    do on the machine does not count: a thread that they keep from working uses none.
    """

    def time(self):
        return self.now + time.thread_time()


class Server:
    """Answers after a while, and nothing is over."""

    async def exchange(self, _request):
        await asyncio.sleep(LATENCY)
        return Response(status_code=200, body=b'{"status": "processing", "output": ""}')


class Lateness:
    """How late looks began, as the client tells it, from `listen` until there were enough."""

    def __init__(self):
        self.seconds = []
        self.troubles = []
        self.took = 0.0
        self._heard = []
        self._enough = asyncio.Event()

    def hear(self, event):
        match event:
            case Polled():
                self._heard.append(event.overdue)
                if len(self._heard) == LOOKS:
                    self._enough.set()
            case Completed():
                pass
            case _:
                self.troubles.append(event)

    async def listen(self):
        clock = asyncio.get_running_loop().time
        began = clock()
        self._heard.clear()
        self._enough.clear()
        await self._enough.wait()
        self.took = clock() - began
        self.seconds = sorted(self._heard[:LOOKS])

    def within(self, part):
        """What so large a part of the looks kept to, exactly."""
        return self.seconds[math.ceil(part * LOOKS) - 1]

    def __str__(self):
        percentiles = ("50", "90", "99", "99.9", "100")
        told = (f"{each} % {1000 * self.within(float(each) / 100):.2f}" for each in percentiles)
        return f"{LOOKS / self.took:.0f} looks a second began within ms: {', '.join(told)}"


async def coming(opened: asyncio.Event) -> AsyncIterator[tuple[str, int]]:
    """One after the other in the course of a step: what comes at once would fall due at once."""
    clock = asyncio.get_running_loop().time
    began = clock()
    for number in range(OPEN):
        early = began + number * SHORTEST / OPEN - clock()
        if early > 0.01:
            await asyncio.sleep(early)
        yield "realtime", number
    opened.set()


def measured(rate):
    """Open all, and see how late the looks are from then on."""

    async def main():
        found, opened = Lateness(), asyncio.Event()
        client = Client(
            "a-key-1234",
            http=Server(),
            pace=PACE,
            rate=rate,
            workers=WORKERS,
            on_event=found.hear,
        )
        async with client:
            reading = asyncio.create_task(
                anext(client.stream(coming(opened), window=OPEN + 1), None)
            )
            await opened.wait()
            # The full collection that so many new objects bring on some time takes 0.1 s and more.
            # It is due to their number alone, and comes again only when there are more.
            gc.collect()
            await found.listen()
            reading.cancel()
            await asyncio.wait((reading,))
        return found

    with asyncio.Runner(loop_factory=WorkingLoop) as runner:
        return runner.run(main())


# The second is a little more than the most that falls due.
RATES = (None, 2200.0)


@pytest.mark.parametrize("rate", RATES)
def test_looks_are_not_late(rate):
    """With 100,000 open tickets, 99 of 100 looks begin within 20 ms of when they are due."""
    # A virtual machine whose cores are lent to others counts that as CPU, so there is a second run.
    for _ in range(2):
        found = measured(rate)
        assert [] == found.troubles
        assert found.took < LOOKS / 1500, f"no 1,500 looks a second: {found}"
        if found.within(0.99) < PROMISED:
            return
    pytest.fail(str(found))


def main() -> None:
    """Print the figures: `PYTHONPATH=tests python tests/faults/test_lateness.py`."""
    for rate in RATES:
        print(f"rate {rate}: {measured(rate)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
