"""Jumping: an event loop on virtual time, for the tests and the programs among them."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

# So many real seconds are waited at the most for what comes from outside before the time jumps, and
# where it has nowhere to jump to.
_PATIENCE = 0.02
_LONGEST = 60.0


class JumpingSelector(selectors.DefaultSelector):
    """Does not sleep: where the loop would, the time jumps to when it would wake."""

    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout != 0 and self.loop.expects():
            ready = super().select(_LONGEST if timeout is None else _PATIENCE)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that will never happen")
            self.loop.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """
    An event loop on virtual time. Only for tasks that wait for nothing outside of it.

    Attributes:
        now: What time it is.
        expects: Whether something is to come from outside all the same, such as bytes that are on
            their way through a socket: the time jumps only if it does not come soon.
    """

    def __init__(self) -> None:
        selector = JumpingSelector()
        selector.loop = self
        self.now = 0.0
        self.expects: Callable[[], bool] = lambda: False
        super().__init__(selector)

    def time(self) -> float:
        return self.now
