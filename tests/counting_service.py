"""A service that counts at its own side: queued generations, and polls within any second."""

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from modelslab_async.emulator import Emulator

_TICK_S = 0.002


class CountingService(Emulator):
    """
    The emulator, which writes down when polls arrive.

    The machine may be busy, so an arrival is known only as later than an earlier tick of the event
    loop. What is counted is certain: the whole interval lies within the second.

    Args:
        ticks: How many ticks before it an arrival may have been. With clients in the same event
            loop, each iteration that stood still delayed their requests.
        options: The options of the emulator.
    """

    def __init__(self, *, ticks: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.arrivals: list[tuple[float, float]] = []
        self._ticks = deque([time.monotonic()], maxlen=ticks)

    @asynccontextmanager
    async def ticking(self) -> AsyncGenerator[None, None]:
        """Tick while the block runs."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(_TICK_S)
                self._ticks.append(time.monotonic())

        task = asyncio.create_task(tick())
        try:
            yield
        finally:
            task.cancel()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        arrival = self._ticks[0], time.monotonic()
        polls = self.polls.total()
        await super().__call__(scope, receive, send)
        if self.polls.total() > polls:
            self.arrivals.append(arrival)

    @property
    def most_polls_in_a_second(self) -> int:
        """The most polls that certainly arrived within one second."""
        latest = sorted(late for _, late in self.arrivals)
        starts = sorted(early for early, _ in self.arrivals)
        return max(
            (bisect_right(latest, start + 1.0) - number for number, start in enumerate(starts)),
            default=0,
        )

    @property
    def most_queued(self) -> int:
        """The most submitted jobs that were unfinished at once."""
        store = self._intake.job_store
        submitted = {submit.ticket for submit in self.submits}
        jobs = {job.ticket: job for job in store._jobs.values() if job.ticket in submitted}
        changes = sorted(
            change
            for job in jobs.values()
            for change in ((job.started, 1), (job.started + job.duration, -1))
        )
        most = now = 0
        for _, change in changes:
            now += change
            most = max(most, now)
        return most
