"""Deadlines: so many seconds for each exchange, and one timer for all. It sends nothing."""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, Final, TypeVar

from attrs import define

from .unsent import held_back, is_held_back

T = TypeVar("T")

# A timer that rings so late tells that the process stood still.
_LATE: Final = 0.1
# So long is what came meanwhile given to be read.
_REST: Final = 1.0
# So many times in a row is that heeded, ...
_MOST: Final = 10
# ... and so many turns a loop takes from what lies in a socket to the task that waits for it.
_TURNS: Final = 3


@define(eq=False, weakref_slot=False)
class _Exchange:
    task: "asyncio.Task[Any]"
    began: float
    due: float
    cancelling: int
    cut: bool = False


class Deadlines:
    """
    Cuts off what takes longer than `seconds`.

    All have the same time, so they are due in the order they began in: what is due next is always
    the first, and the timer is set once in a while, not once an exchange.

    Where the process stood still, as while the machine slept or a callback of somebody took long,
    that time is nobody's, and answers may have come that nobody has read yet. They are read before
    anything is cut off. A loop that is always late cuts all the same in the end.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._flying: dict[_Exchange, None] = {}
        self._timer: asyncio.Handle | None = None
        self._rings_at = 0.0
        self._standstills = 0

    async def within(self, exchange: Awaitable[T]) -> T:
        """
        Wait for an exchange, as long as it may take.

        Raises:
            TimeoutError: It took longer, and was cancelled; held back, if what it was cancelled in
                had not sent its request yet.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task, which its deadline could cancel")
        loop = task.get_loop()
        began = loop.time()
        flying = _Exchange(task, began, began + self.seconds, task.cancelling())
        self._flying[flying] = None
        if self._timer is None:
            self._set(flying.due, loop)
        try:
            return await exchange
        except asyncio.CancelledError as cancelled:
            # Whoever else cancelled the task meanwhile means it, and goes first.
            if flying.cut and task.cancelling() <= flying.cancelling + 1:
                late = TimeoutError()
                if is_held_back(cancelled):
                    held_back(late)
                raise late from None
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

    def _set(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        self._rings_at = when
        self._timer = loop.call_at(when, self._ring, loop, context=Context())

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = now - self._rings_at
        if late <= _LATE or self._standstills == _MOST:
            self._standstills = 0
            self._soon(_TURNS, now, loop)
            return
        self._standstills += 1
        for flying in self._flying:
            flying.due += min(late, now - flying.began)
        self._set(now + _REST, loop)

    def _soon(self, turns: int, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off what is due by now, some turns of the loop later."""
        if turns:
            self._timer = loop.call_soon(self._soon, turns - 1, now, loop, context=Context())
        else:
            self._cut(now, loop)

    def _cut(self, now: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for flying in self._flying:
            if flying.due > now:
                self._set(flying.due, loop)
                return
            if not flying.cut:
                flying.cut = True
                flying.task.cancel()
