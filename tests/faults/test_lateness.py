"""Polls start when they are due, however many tickets are open."""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
from call_time import CallTimeLoop

from modelslab_async import Client, Completed, Pace, Polled, Response

pytestmark = pytest.mark.thorough

TICKET_COUNT = 100_000
POLL_COUNT = TICKET_COUNT // 2
# Steps of 54 to 60 seconds. Once all tickets are open, about 1,700 polls fall due in a second, and
# at most 1,850.
MIN_STEP_S, MAX_STEP_S = 54.0, 60.0
PACE = Pace(
    floor=MAX_STEP_S, growth=0.0, age_fraction=0.0, ceiling=MAX_STEP_S, max_eta_wait=0.0, jitter=0.1
)
# About a hundred polls are in flight at once.
LATENCY_S, WORKERS = 0.05, 256

MAX_LATENESS_S = 0.020


class SlowServer:
    """Answers after a latency, and no job ever ends."""

    async def exchange(self, _request):
        await asyncio.sleep(LATENCY_S)
        return Response(status_code=200, body=b'{"status": "processing", "output": ""}')


class Lateness:
    """How late polls started, by the client's own events, once `measure` was called."""

    def __init__(self):
        self.seconds = []
        self.unexpected_events = []
        self.duration = 0.0
        self._overdue = []
        self._done = asyncio.Event()

    def on_event(self, event):
        match event:
            case Polled():
                self._overdue.append(event.overdue)
                if len(self._overdue) == POLL_COUNT:
                    self._done.set()
            case Completed():
                pass
            case _:
                self.unexpected_events.append(event)

    async def measure(self):
        clock = asyncio.get_running_loop().time
        started = clock()
        self._overdue.clear()
        self._done.clear()
        await self._done.wait()
        self.duration = clock() - started
        self.seconds = sorted(self._overdue[:POLL_COUNT])

    def percentile(self, part):
        """Return the lateness that this share of the polls did not exceed."""
        return self.seconds[math.ceil(part * POLL_COUNT) - 1]

    def __str__(self):
        percentiles = ("50", "90", "99", "99.9", "100")
        parts = (
            f"{each} % {1000 * self.percentile(float(each) / 100):.2f}" for each in percentiles
        )
        rate = POLL_COUNT / self.duration
        return f"{rate:.0f} polls a second started within ms: {', '.join(parts)}"


async def add_slowly(opened: asyncio.Event) -> AsyncIterator[tuple[str, int]]:
    """Yield tickets evenly over one step, so that they do not all fall due at once."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for number in range(TICKET_COUNT):
        too_early = started + number * MIN_STEP_S / TICKET_COUNT - clock()
        if too_early > 0.01:
            await asyncio.sleep(too_early)
        yield "realtime", number
    opened.set()


def measure_lateness(rate):
    """Open all tickets, and measure how late their polls are from then on."""

    async def main():
        lateness, opened = Lateness(), asyncio.Event()
        client = Client(
            "a-key-1234",
            http=SlowServer(),
            pace=PACE,
            rate=rate,
            workers=WORKERS,
            on_event=lateness.on_event,
        )
        async with client:
            reading = asyncio.create_task(
                anext(client.stream(add_slowly(opened), window=TICKET_COUNT + 1), None)
            )
            await opened.wait()
            await lateness.measure()
            reading.cancel()
            await asyncio.wait((reading,))
        return lateness

    with asyncio.Runner(loop_factory=CallTimeLoop) as runner:
        return runner.run(main())


# The second rate is a little higher than the most polls that fall due in a second.
RATES = (None, 2200.0)


@pytest.mark.parametrize("rate", RATES)
def test_polls_are_not_late(rate):
    """With 100,000 open tickets, 99 of 100 polls start within 20 ms of when they are due."""
    lateness = measure_lateness(rate)
    assert [] == lateness.unexpected_events
    assert lateness.duration < POLL_COUNT / 1500, f"fewer than 1,500 polls a second: {lateness}"
    assert lateness.percentile(0.99) < MAX_LATENESS_S, lateness


def main() -> None:
    """Print the figures: `PYTHONPATH=tests python tests/faults/test_lateness.py`."""
    for rate in RATES:
        print(f"rate {rate}: {measure_lateness(rate)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
