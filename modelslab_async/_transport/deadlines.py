"""Deadlines: so many seconds for each exchange, and one timer for all. It sends nothing."""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, TypeVar

from attrs import define

T = TypeVar("T")


@define(eq=False, weakref_slot=False)
class _Exchange:
    task: "asyncio.Task[Any]"
    due: float
    cancelling: int
    cut: bool = False


class Deadlines:
    """
    Cuts off what takes longer than `seconds`.

    All have the same time, so they are due in the order they began in: what is due next is always
    the first, and the timer is set once in a while, not once an exchange.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._flying: dict[_Exchange, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, exchange: Awaitable[T]) -> T:
        """
        Wait for an exchange, as long as it may take.

        Raises:
            TimeoutError: It took longer, and was cancelled.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task, which its deadline could cancel")
        loop = task.get_loop()
        flying = _Exchange(task, loop.time() + self.seconds, task.cancelling())
        self._flying[flying] = None
        if self._timer is None:
            self._timer = loop.call_at(flying.due, self._ring, loop, context=Context())
        try:
            return await exchange
        except asyncio.CancelledError:
            # Whoever else cancelled the task meanwhile means it, and goes first.
            if flying.cut and task.cancelling() <= flying.cancelling + 1:
                raise TimeoutError from None
            raise
        finally:
            del self._flying[flying]
            if flying.cut:
                task.uncancel()

    def close(self) -> None:
        """Forget the timer. Nothing flies any more, or nobody cares."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for flying in self._flying:
            if flying.due > now:
                self._timer = loop.call_at(flying.due, self._ring, loop, context=Context())
                return
            if not flying.cut:
                flying.cut = True
                flying.task.cancel()
