"""Jumping: an event loop on virtual time, for the tests and the programs among them."""

import asyncio
import selectors
from typing import Any


class JumpingSelector(selectors.DefaultSelector):
    """Never waits: where the loop would sleep, the time jumps to when it would wake."""

    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that will never happen")
            self.loop.now += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time. Only for tasks that wait for nothing outside of it."""

    def __init__(self) -> None:
        selector = JumpingSelector()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now
