"""Bell: wakes the one task that waits for it."""

import asyncio

from attrs import define


@define(eq=False)
class Wakeup:
    """Wakes the one caller who waits, now or when it comes to wait."""

    _future: asyncio.Future[None] | None = None
    _is_set: bool = False

    def wake(self) -> None:
        """Wake the caller."""
        self._is_set = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None = None) -> None:
        """Wait for a ring, for some seconds at the most."""
        if not self._is_set:
            self._future = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._future,), timeout=timeout)
            self._future = None
        self._is_set = False
