"""
Cancels exchanges that take too long, with one timer for all of them.

An exchange is one request and its response. All exchanges of a `Deadlines` object have the same
timeout, so the oldest exchange is due first. One timer, set for the oldest exchange, is enough.

If the timer fires late, the event loop was blocked or the machine was suspended. The sockets may
then hold responses that no task has read yet. So the overdue exchanges get a grace period in which
their responses can be read. It begins at the time for which the timer was set, and is as long as
the timeout, but at most one second. At least half of this length must remain when the timer fires.
If less remains, the period is extended.

A deadline that falls within the grace period moves to the end of the period. Each exchange gets
only one grace period. Otherwise, an event loop that is always late would never cancel an exchange.
"""

import asyncio
from collections.abc import Awaitable
from contextvars import Context
from typing import Any, Final, TypeVar

from attrs import define

from .send_proof import is_unsent, mark_unsent

T = TypeVar("T")

# If the timer fires more than this many seconds late, the overdue exchanges get a grace period.
_MAX_TIMER_LAG_S: Final = 0.1
_MAX_GRACE_S: Final = 1.0
# A transport may lose a cancellation. In anyio before 4.16, this happens if a connection opens at
# the same moment. So an exchange that has not ended this many seconds later is cancelled again.
# Less time could interrupt a transport that is cleaning up.
_CANCEL_AGAIN_S: Final = 60.0
# The number of event-loop iterations between the deadline of an exchange and its cancellation.
# Received bytes take up to three iterations to reach the task that waits for them.
_ITERATIONS_BEFORE_EXPIRY: Final = 3
_ITERATIONS_AFTER_GRACE: Final = 1


class DeadlinePassed(TimeoutError):
    """
    An exchange was cancelled at its deadline, by `give_up`, or because the client closed.

    Args:
        seconds: The number of seconds after which the exchange was cancelled.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


@define(eq=False, weakref_slot=False)
class _Exchange:
    task: "asyncio.Task[Any]"
    began: float
    due: float
    cancelling: int
    had_grace: bool = False
    # The number of seconds that the exchange was allowed to take; None until it is cancelled.
    allowed_s: float | None = None
    cancel_count: int = 0
    _next_cancel: asyncio.TimerHandle | None = None

    def cut(self, allowed_s: float) -> None:
        """Cancel the exchange if it was not cancelled before, and record its time limit."""
        if self.allowed_s is None:
            self.allowed_s = allowed_s
            self._cancel()

    def _cancel(self) -> None:
        self.cancel_count += 1
        self.task.cancel()
        self._next_cancel = self.task.get_loop().call_later(
            _CANCEL_AGAIN_S, self._cancel, context=Context()
        )

    def end(self) -> None:
        """Undo the cancellations, because the exchange has ended."""
        if self._next_cancel is not None:
            self._next_cancel.cancel()
            for _ in range(self.cancel_count):
                self.task.uncancel()


class Deadlines:
    """
    Cancels each exchange at its deadline. A grace period may postpone the deadline once.

    Args:
        seconds: The timeout of each exchange.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._grace_s = min(seconds, _MAX_GRACE_S)
        self._in_flight: dict[_Exchange, None] = {}
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """
        Await an exchange, and cancel it at its deadline.

        Raises:
            DeadlinePassed: The deadline passed, and the exchange was cancelled. `is_unsent(error)`
                tells whether the request provably never left this machine.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task, which its deadline could cancel")
        loop = task.get_loop()
        began = loop.time()
        entry = _Exchange(task, began, began + self.seconds, task.cancelling())
        self._in_flight[entry] = None
        if self._timer is None:
            self._set_timer(entry.due, loop)
        try:
            return await awaitable
        except asyncio.CancelledError as cancelled:
            # If other code cancelled the task too, that cancellation takes precedence over the
            # timeout.
            own = entry.cancelling + entry.cancel_count
            if entry.allowed_s is not None and task.cancelling() <= own:
                late = DeadlinePassed(entry.allowed_s)
                if is_unsent(cancelled):
                    mark_unsent(late)
                raise late from None
            raise
        finally:
            del self._in_flight[entry]
            entry.end()

    def give_up(self, now: float, age_s: float) -> None:
        """
        Cancel each exchange that began `age_s` seconds ago or earlier.

        The `wait_for` of a cancelled exchange raises `DeadlinePassed`, as after a timeout.
        """
        for entry in self._in_flight:
            if entry.began > now - age_s:
                return
            entry.cut(age_s)

    def close(self) -> None:
        """
        Stop the timer, and cancel each exchange in flight.

        The `wait_for` of a cancelled exchange raises `DeadlinePassed`, as after a timeout.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = asyncio.get_running_loop().time()
        for entry in self._in_flight:
            entry.cut(now - entry.began)

    def _set_timer(self, when: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timer_due = when
        # Use an empty context, so that the timer does not keep the caller's context variables in
        # memory.
        self._timer = loop.call_at(when, self._on_timer, loop, context=Context())

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now - self._timer_due > _MAX_TIMER_LAG_S:
            self._grant_grace(now)
        # After a grace period, wait for a single iteration of the event loop. In a slow loop, each
        # further iteration could delay the cancellation a lot.
        iterations = _ITERATIONS_AFTER_GRACE if self._had_grace(now) else _ITERATIONS_BEFORE_EXPIRY
        self._expire_soon(iterations, now, loop)

    def _had_grace(self, now: float) -> bool:
        """Return whether all overdue exchanges have had their grace period."""
        for entry in self._in_flight:
            if entry.due > now:
                break
            if not entry.had_grace:
                return False
        return True

    def _grant_grace(self, now: float) -> None:
        """Postpone all earlier deadlines to the end of the grace period, but none of them twice."""
        # Even if the timer fired very late, the new deadline is at least half a grace period away.
        due = max(self._timer_due + self._grace_s, now + self._grace_s / 2)
        for entry in self._in_flight:
            if entry.due >= due:
                # The exchanges are sorted by deadline, so the following ones are due even later.
                return
            if not entry.had_grace:
                entry.due, entry.had_grace = due, True

    def _expire_soon(self, iterations: int, now: float, loop: asyncio.AbstractEventLoop) -> None:
        """After `iterations` event-loop iterations, cancel the exchanges that were due at `now`."""
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
            entry.cut(self.seconds)
