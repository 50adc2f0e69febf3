"""Turns: how tasks get on with each other: long lists leave room, cancellation hits its aim."""

import asyncio

# After so many steps of a list, a look at the clock; after so many seconds, a turn for others.
_ITEMS_PER_CLOCK_CHECK = 32
_MAX_BUSY_S = 0.004


class Yielder:
    """Lets the other tasks of the loop have their turn in the midst of a long list."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._last_yield = self._clock()
        self._count = 0

    async def maybe_yield(self) -> None:
        """Let the others run, if it is time."""
        self._count += 1
        if (
            self._count % _ITEMS_PER_CLOCK_CHECK == 0
            and self._clock() - self._last_yield > _MAX_BUSY_S
        ):
            await asyncio.sleep(0)
            self._last_yield = self._clock()


def is_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, and not for something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
