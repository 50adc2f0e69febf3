"""
Watchers, through which callers wait for a ticket, and the notifier that calls them.

They send nothing and own no request.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context

from attrs import Factory, define

from .._aio.cooperation import Wakeup
from .._aio.listeners import Listeners
from .._models.errors import ModelsLabError, TransientError, WaitTimeout
from .._models.events import Completed, Event, Paused, Polled, PollFailed
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._parsing.reply import CachedProcessing, as_processing
from .._scheduling.effects import Completion, Effects
from .._scheduling.host_queue import Entry
from .._scheduling.pace_protocol import RetryLimits
from .._scheduling.watcher_protocol import Watcher
from .internal_errors import log_unexpected
from .pause_log import PauseLog


def timed_out(
    ticket: Ticket, seconds: float, last: Processing | None, last_error: TransientError | None
) -> Unresolved:
    """Return the `Unresolved` for a caller whose timeout has passed."""
    why = f" (the last poll failed: {last_error.message})" if last_error else ""
    cause = WaitTimeout(
        f"not done after {seconds:g} s{why}; wait for the same ticket again to resume",
        ticket=ticket,
        last=last,
    )
    cause.__cause__ = last_error
    return Unresolved(ticket=ticket, cause=cause, last=last)


class NullWatcher:
    """A watcher that does nothing. It keeps a ticket polled although no caller waits for it."""

    wants_updates = False
    context = None

    def notify(self, update: Processing | Outcome) -> None:
        """Ignore a change of the ticket."""

    def fail(self, error: BaseException) -> None:
        """Ignore an exception that ends the wait."""


NULL_WATCHER = NullWatcher()


class OutcomeWatcher:
    """Waits for the outcome of one ticket."""

    wants_updates = False

    def __init__(self) -> None:
        self.context = copy_context()
        # An error is set as a result and not as an exception, because asyncio logs an exception
        # that no task retrieves.
        self._future: asyncio.Future[Outcome | BaseException] = (
            asyncio.get_running_loop().create_future()
        )

    def notify(self, update: Processing | Outcome) -> None:
        """Store the outcome of the ticket. Ignore other changes."""
        if not isinstance(update, Processing) and not self._future.done():
            self._future.set_result(update)

    def fail(self, error: BaseException) -> None:
        """End the wait with an exception."""
        if not self._future.done():
            self._future.set_result(error)

    async def outcome(self, seconds: float | None) -> Outcome | None:
        """
        Wait for the outcome. Return None if there is no outcome after this many seconds.

        Raises:
            Exception: The poller has stopped, or `notify` raised an error.
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
    """Waits for changes of one ticket. It keeps only the latest change that was not taken yet."""

    _newest: Processing | None = None
    _outcome: Outcome | None = None
    _error: BaseException | None = None
    _wakeup: Wakeup = Factory(Wakeup)
    context: Context = Factory(copy_context)

    @property
    def wants_updates(self) -> bool:
        """True, because the caller wants every change, and not only the outcome."""
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


class Notifier:
    """
    Passes replies, errors, pauses and outcomes to watchers and listeners.

    Attributes:
        on_completed: Called with each ticket that has ended. The engine sets this function, to free
            the ticket's slot.

    Args:
        listeners: Called with each event.
        limits: The limits after which the poller gives up a ticket or a host.
    """

    def __init__(self, listeners: Listeners, limits: RetryLimits) -> None:
        self.on_completed: Callable[[Ticket], object] = _ignore_completed
        self._listeners = listeners
        self._limits = limits
        self._pause_log: PauseLog | None = None

    def report_poll(
        self,
        entry: Entry,
        watchers: Sequence[Watcher],
        result: Reply | CachedProcessing | ModelsLabError,
        effects: Effects,
        *,
        overdue: float,
        elapsed: float,
    ) -> None:
        """
        Report the result of one poll to listeners, and to watchers that want every change.

        Args:
            entry: The entry of the ticket that was polled.
            watchers: The watchers of the ticket before the poll ended.
            result: The reply, or the error that the poll raised.
            effects: What the poll changed in the schedule.
            overdue: How many seconds after its due time the poll started.
            elapsed: How many seconds the poll took.
        """
        for watcher in watchers:
            if watcher.wants_updates and isinstance(result, CachedProcessing | Processing):
                watcher.notify(as_processing(result, entry.ticket))
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._pause_log = self._pause_log or PauseLog(self._limits)
            self._pause_log.record_pause(entry.host_queue, effects.paused, result)
        elif self._pause_log is not None and not isinstance(result, ModelsLabError):
            self._pause_log.record_answer(entry.host_queue)
        if self._listeners.functions:
            context = _context_of(watchers)
            for event in _events_of(entry, result, effects, overdue=overdue, elapsed=elapsed):
                self._listeners(event, context)

    def report_completion(self, completion: Completion) -> None:
        """Tell watchers, slots and listeners that a ticket has ended. Log the errors they raise."""
        outcome = completion.outcome
        for watcher in completion.watchers:
            try:
                watcher.notify(outcome)
            except Exception as error:  # noqa: BLE001 -- a caller's object may raise anything.
                log_unexpected(outcome.ticket, error)
                watcher.fail(error)
        try:
            self.on_completed(outcome.ticket)
        except Exception as error:  # noqa: BLE001 -- one ticket must not stop the poller.
            log_unexpected(outcome.ticket, error)
        if self._listeners.functions:
            self._listeners(
                Completed(outcome=outcome, polls=completion.polls, waited=completion.waited),
                _context_of(completion.watchers),
            )


def _events_of(
    entry: Entry,
    result: Reply | CachedProcessing | ModelsLabError,
    effects: Effects,
    *,
    overdue: float,
    elapsed: float,
) -> Iterator[Event]:
    ticket = entry.ticket
    match result:
        case TransientError():
            yield PollFailed(ticket=ticket, error=result, failures=entry.failures)
        case ModelsLabError():
            pass
        case _:
            reply = (
                as_processing(result, ticket) if isinstance(result, CachedProcessing) else result
            )
            yield Polled(ticket=ticket, reply=reply, elapsed=elapsed, overdue=overdue)
    if effects.paused is not None and isinstance(result, ModelsLabError):
        yield Paused(tier=entry.host_queue.tier, seconds=effects.paused, cause=result)


def callers_of(watchers: Sequence[Watcher]) -> list[Context]:
    """Return the contexts of the waiting callers. The caller that has waited longest is first."""
    return [each.context for each in watchers if each.context is not None]


def _context_of(watchers: Sequence[Watcher]) -> Context | None:
    return next(iter(callers_of(watchers)), None)


def _ignore_completed(_: Ticket) -> None:
    """Do nothing. This is the default of `on_completed`, for a poller without slots."""
