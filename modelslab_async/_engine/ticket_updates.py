"""Yields the changes of one ticket, and finally its outcome."""

from collections.abc import AsyncGenerator
from contextvars import Context, copy_context

from attrs import Factory, define

from .._aio.yield_and_wakeup import Wakeup
from .._models.replies import Processing
from .._models.ticket import TicketLike
from .._models.unresolved_outcomes import Outcome
from .engine import Engine


@define(eq=False)
class UpdateWatcher:
    """Waits for changes of one ticket. Stores the latest change until the caller reads it."""

    _newest: Processing | None = None
    _outcome: Outcome | None = None
    _error: BaseException | None = None
    _wakeup: Wakeup = Factory(Wakeup)
    context: Context = Factory(copy_context)

    @property
    def wants_updates(self) -> bool:
        """True, because `notify` must get every change of the ticket, not only the outcome."""
        return True

    def notify(self, update: Processing | Outcome) -> None:
        """Store a change of the ticket, and wake the caller."""
        if not isinstance(update, Processing):
            self._outcome = update
        else:
            self._newest = update
        self._wakeup.wake()

    def fail(self, error: BaseException) -> None:
        """End the wait with an exception."""
        self._error = error
        self._wakeup.wake()

    async def next_update(self, seen: Processing | None) -> Processing | Outcome:
        """Wait for a reply that differs from the reply `seen`, or for the outcome."""
        while True:
            if self._error is not None:
                raise self._error
            if self._outcome is not None:
                return self._outcome
            if self._newest is not None and self._newest != seen:
                return self._newest
            await self._wakeup.wait()


async def stream_updates(
    engine: Engine, given: TicketLike
) -> AsyncGenerator[Processing | Outcome, None]:
    """Yield the changes of one ticket, and finally its outcome."""
    ticket = engine.ticket_of(given)
    watcher = UpdateWatcher()
    engine.watch(ticket, watcher)
    seen: Processing | None = None
    if (last := engine.poller.last(ticket)) is not None:
        watcher.notify(last)
    try:
        while True:
            update = await watcher.next_update(seen)
            yield update
            if not isinstance(update, Processing):
                return
            seen = update
    finally:
        engine.poller.unwatch(ticket, watcher)
