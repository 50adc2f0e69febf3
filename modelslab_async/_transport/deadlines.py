"""
Cuts off exchanges that take too long, with one timer for all. It sends nothing.

Every exchange of a `Deadlines` has the same number of seconds. So the exchange that began first is
due first, and the timer is set now and then, not once an exchange.

A timer that fires late shows that the event loop was blocked, or that the machine slept. Responses
may lie in the sockets that no task has read yet. So an exchange that a late timer finds overdue
gets one grace period: its own time again, but at most a second. It counts from the deadline, and at
least half of it is left when the timer fires. With more than one grace period, deadlines would
never come on a loop that is always late.
"""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, Final, TypeVar

from attrs import define

from .send_proof import is_unsent, mark_unsent

T = TypeVar("T")

# A timer that fires later than this shows that the loop was blocked.
_MAX_TIMER_LAG_S: Final = 0.1
_MAX_GRACE_S: Final = 1.0
# Bytes need at most this many loop iterations from the socket to the task that waits for them.
_ITERATIONS_BEFORE_EXPIRY: Final = 3
_ITERATIONS_AFTER_GRACE: Final = 1


@define(eq=False, weakref_slot=False)
class _Exchange:
    task: "asyncio.Task[Any]"
    due: float
    cancelling: int
    had_grace: bool = False
    has_timed_out: bool = False


class Deadlines:
    """
    Cancels every exchange that takes longer than `seconds`, or than the grace period in addition.

    Args:
        seconds: How long an exchange may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._grace_s = min(seconds, _MAX_GRACE_S)
        self._in_flight: dict[_Exchange, None] = {}
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """
        Wait for an exchange until its deadline.

        Raises:
            TimeoutError: The deadline passed, and the exchange was cancelled. `is_unsent` tells
                whether its request provably never left.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task, which its deadline could cancel")
        loop = task.get_loop()
        entry = _Exchange(task, loop.time() + self.seconds, task.cancelling())
        self._in_flight[entry] = None
        if self._timer is None:
            self._set_timer(entry.due, loop)
        try:
            return await awaitable
        except asyncio.CancelledError as cancelled:
            # A cancellation by anything else than the deadline takes precedence.
            if entry.has_timed_out and task.cancelling() <= entry.cancelling + 1:
                late = TimeoutError()
                if is_unsent(cancelled):
                    mark_unsent(late)
                raise late from None
            raise
        finally:
            del self._in_flight[entry]
            if entry.has_timed_out:
                task.uncancel()

    def close(self) -> None:
        """Stop the timer. Exchanges that are still in flight lose their deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer_due = when
        # An empty context: the timer outlives the call that happened to set it.
        self._timer = loop.call_at(when, self._on_timer, loop, context=Context())

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - self._timer_due > _MAX_TIMER_LAG_S:
            self._grant_grace(now)
        # Each iteration may block the loop again. An exchange that had its grace period gets one.
        iterations = _ITERATIONS_AFTER_GRACE if self._had_grace(now) else _ITERATIONS_BEFORE_EXPIRY
        self._expire_soon(iterations, now, loop)

    def _had_grace(self, now: float) -> bool:
        """Return whether everything that is due by `now` had its grace period before."""
        for entry in self._in_flight:
            if entry.due > now:
                break
            if not entry.had_grace:
                return False
        return True

    def _grant_grace(self, now: float) -> None:
        """Move each deadline that falls into the grace period, if it was never moved."""
        # It counts from the deadline, but at least half of it is left now.
        due = max(self._timer_due + self._grace_s, now + self._grace_s / 2)
        for entry in self._in_flight:
            if entry.due >= due:
                # The deadlines are in order, before and after this.
                return
            if not entry.had_grace:
                entry.due, entry.had_grace = due, True

    def _expire_soon(self, iterations: int, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """Expire what is due by `now`, some loop iterations later."""
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
            if not entry.has_timed_out:
                entry.has_timed_out = True
                entry.task.cancel()
