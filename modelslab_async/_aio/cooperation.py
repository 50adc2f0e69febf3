"""Lets long loops yield to other tasks, and tells whether this task was cancelled."""

import asyncio

_ITEMS_PER_CLOCK_CHECK = 32
_MAX_BUSY_S = 0.004


class Yielder:
    """Yields to other tasks now and then, for use inside a long loop."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._last_yield = self._clock()
        self._count = 0

    async def maybe_yield(self) -> None:
        """Let other tasks run, if this task has run for more than 4 ms. Call this once an item."""
        self._count += 1
        if (
            self._count % _ITEMS_PER_CLOCK_CHECK == 0
            and self._clock() - self._last_yield > _MAX_BUSY_S
        ):
            await asyncio.sleep(0)
            self._last_yield = self._clock()


def is_cancelled() -> bool:
    """
    Whether a CancelledError that was just caught is a request to cancel this task.

    If not, a task or future that this task awaited was cancelled.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
