"""Deadlines: so many seconds for each exchange, and one timer for all. It sends nothing."""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, Final, TypeVar

from attrs import define

from .send_proof import is_unsent, mark_unsent

T = TypeVar("T")

# A timer that rings so late tells that the process stood still.
_MAX_TIMER_LAG_S: Final = 0.1
# So long is what came meanwhile given to be read.
_GRACE_S: Final = 1.0
# So many times in a row is that heeded, ...
_MAX_GRACES_IN_A_ROW: Final = 10
# ... and so many turns a loop takes from what lies in a socket to the task that waits for it.
_ITERATIONS_BEFORE_EXPIRY: Final = 3


@define(eq=False, weakref_slot=False)
class _Exchange:
    task: "asyncio.Task[Any]"
    started_at: float
    due: float
    cancelling: int
    timed_out: bool = False


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
        self._in_flight: dict[_Exchange, None] = {}
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0
        self._grace_count = 0

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
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
        started_at = loop.time()
        entry = _Exchange(task, started_at, started_at + self.seconds, task.cancelling())
        self._in_flight[entry] = None
        if self._timer is None:
            self._set_timer(entry.due, loop)
        try:
            return await awaitable
        except asyncio.CancelledError as cancelled:
            # Whoever else cancelled the task meanwhile means it, and goes first.
            if entry.timed_out and task.cancelling() <= entry.cancelling + 1:
                late = TimeoutError()
                if is_unsent(cancelled):
                    mark_unsent(late)
                raise late from None
            raise
        finally:
            del self._in_flight[entry]
            if entry.timed_out:
                task.uncancel()

    def close(self) -> None:
        """Forget the timer. Nothing flies any more, or nobody cares."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer_due = when
        self._timer = loop.call_at(when, self._on_timer, loop, context=Context())

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        late = now - self._timer_due
        if late <= _MAX_TIMER_LAG_S or self._grace_count == _MAX_GRACES_IN_A_ROW:
            self._grace_count = 0
            self._expire_soon(_ITERATIONS_BEFORE_EXPIRY, now, loop)
            return
        self._grace_count += 1
        for entry in self._in_flight:
            entry.due += min(late, now - entry.started_at)
        self._set_timer(now + _GRACE_S, loop)

    def _expire_soon(self, iterations: int, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Cut off what is due by now, some turns of the loop later."""
        if iterations:
            self._timer = loop.call_soon(
                self._expire_soon, iterations - 1, now, loop, context=Context()
            )
        else:
            self._expire(now, loop)

    def _expire(self, now: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        for entry in self._in_flight:
            if entry.due > now:
                self._set_timer(entry.due, loop)
                return
            if not entry.timed_out:
                entry.timed_out = True
                entry.task.cancel()
