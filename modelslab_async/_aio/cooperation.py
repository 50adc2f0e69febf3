"""Turns: how tasks get on with each other: long lists leave room, cancellation hits its aim."""

import asyncio

# After so many steps of a list, a look at the clock; after so many seconds, a turn for others.
_FEW = 32
_LONG = 0.004


class Turns:
    """Lets the other tasks of the loop have their turn in the midst of a long list."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self._count = 0

    async def give(self) -> None:
        """Let the others run, if it is time."""
        self._count += 1
        if self._count % _FEW == 0 and self._clock() - self._since > _LONG:
            await asyncio.sleep(0)
            self._since = self._clock()


def is_cancelled() -> bool:
    """Whether a CancelledError is meant for this task, and not for something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
