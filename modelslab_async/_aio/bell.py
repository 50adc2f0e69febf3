"""Bell: wakes the one task that waits for it."""

import asyncio

from attrs import define


@define(eq=False)
class Bell:
    """Wakes the one caller who waits, now or when it comes to wait."""

    _future: asyncio.Future[None] | None = None
    _rung: bool = False

    def ring(self) -> None:
        """Wake the caller."""
        self._rung = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring, for some seconds at the most."""
        if not self._rung:
            self._future = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._future,), timeout=seconds)
            self._future = None
        self._rung = False
