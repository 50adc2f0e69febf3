"""An event loop on virtual time: it jumps to the next timer instead of sleeping."""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

# The most real seconds to wait for outside input: before a jump, and with no timer to jump to.
_MAX_REAL_WAIT_S = 0.02
_MAX_REAL_WAIT_WITHOUT_TIMER_S = 60.0


class JumpingSelector(selectors.DefaultSelector):
    """A selector that never sleeps: it moves the time of its loop forward instead."""

    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout != 0 and self.loop.expects():
            ready = super().select(
                _MAX_REAL_WAIT_WITHOUT_TIMER_S if timeout is None else _MAX_REAL_WAIT_S
            )
            # A process that stood still during that wait has not yet seen what came meanwhile.
            ready = ready or super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that will never happen")
            self.loop.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """
    An event loop on virtual time, for tasks that wait for nothing outside of it.

    Attributes:
        now: The time.
        expects: Whether input from outside is expected all the same, such as bytes in a socket. The
            time then jumps only if none comes soon.
    """

    def __init__(self) -> None:
        selector = JumpingSelector()
        selector.loop = self
        self.now = 0.0
        self.expects: Callable[[], bool] = lambda: False
        super().__init__(selector)

    def time(self) -> float:
        return self.now
