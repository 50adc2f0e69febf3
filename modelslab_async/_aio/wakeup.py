"""Wakeup: lets any code wake the one task that waits for it."""

import asyncio

from attrs import define


@define(eq=False)
class Wakeup:
    """An event for one waiting task, which clears itself when that task wakes."""

    _future: asyncio.Future[None] | None = None
    _is_set: bool = False

    def wake(self) -> None:
        """Wake the task that waits, or let the next `wait` return at once."""
        self._is_set = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for `wake`, or until the timeout in seconds has passed."""
        if not self._is_set:
            self._future = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._future,), timeout=timeout)
            self._future = None
        self._is_set = False
