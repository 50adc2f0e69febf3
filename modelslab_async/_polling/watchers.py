"""Watchers of one ticket, on which a caller waits. They send nothing and own no request."""

import asyncio
from contextvars import Context, copy_context

from attrs import Factory, define

from .._aio.cooperation import Wakeup
from .._models.errors import TransientError, WaitTimeout
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket


def timed_out(
    ticket: Ticket, seconds: float, last: Processing | None, last_error: TransientError | None
) -> Unresolved:
    """Return the outcome of a ticket for a caller whose timeout has passed."""
    why = f" (the last poll failed: {last_error.message})" if last_error else ""
    cause = WaitTimeout(
        f"not done after {seconds:g} s{why}; wait for the same ticket again to resume",
        ticket=ticket,
        last=last,
    )
    cause.__cause__ = last_error
    return Unresolved(ticket=ticket, cause=cause, last=last)


class NullWatcher:
    """Keeps a ticket polled although no caller waits for it."""

    wants_updates = False
    context = None

    def notify(self, update: Processing | Outcome) -> None:
        """See `Watcher.notify`."""

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""


NULL_WATCHER = NullWatcher()


class OutcomeWatcher:
    """Waits for the outcome of one ticket."""

    wants_updates = False

    def __init__(self) -> None:
        self.context = copy_context()
        # An error is set as a result, since asyncio warns of an exception that is never retrieved.
        self._future: asyncio.Future[Outcome | BaseException] = (
            asyncio.get_running_loop().create_future()
        )

    def notify(self, update: Processing | Outcome) -> None:
        """See `Watcher.notify`."""
        if not isinstance(update, Processing) and not self._future.done():
            self._future.set_result(update)

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""
        if not self._future.done():
            self._future.set_result(error)

    async def outcome(self, seconds: float | None) -> Outcome | None:
        """
        Wait for the outcome. Return None if it has not come after this many seconds.

        Raises:
            Exception: The poller stopped, or this watcher failed.
        """
        if seconds is None:
            result = await self._future
        else:
            await asyncio.wait((self._future,), timeout=seconds)
            if not self._future.done():
                return None
            result = self._future.result()
        if isinstance(result, BaseException):
            raise result
        return result


@define(eq=False)
class UpdateWatcher:
    """Waits for the changes of one ticket. A change that is not taken is replaced by the next."""

    _newest: Processing | None = None
    _outcome: Outcome | None = None
    _error: BaseException | None = None
    _wakeup: Wakeup = Factory(Wakeup)
    context: Context = Factory(copy_context)

    @property
    def wants_updates(self) -> bool:
        """True, because the caller gets every change. See `Watcher`."""
        return True

    def notify(self, update: Processing | Outcome) -> None:
        """See `Watcher.notify`."""
        if not isinstance(update, Processing):
            self._outcome = update
        else:
            self._newest = update
        self._wakeup.wake()

    def fail(self, error: BaseException) -> None:
        """See `Watcher.fail`."""
        self._error = error
        self._wakeup.wake()

    async def next_update(self, seen: Processing | None) -> Processing | Outcome:
        """Wait for a reply that differs from `seen`, or for the outcome."""
        while True:
            if self._error is not None:
                raise self._error
            if self._outcome is not None:
                return self._outcome
            if self._newest is not None and self._newest != seen:
                return self._newest
            await self._wakeup.wait()
