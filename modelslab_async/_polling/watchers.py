"""Watchers wait for tickets on behalf of callers. This module notifies and removes watchers."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context

import anyio.abc

from .._aio.listeners import Listeners
from .._aio.yield_and_wakeup import Yielder
from .._models.errors import GenerationFailed, ModelsLabError, TransientError, WaitTimeout
from .._models.events import Completed, Event, Paused, Polled, PollFailed
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
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
    """Return an `Unresolved` outcome for a caller whose timeout has passed."""
    why = f" (the last poll failed: {last_error.message})" if last_error else ""
    cause = WaitTimeout(
        f"not done after {seconds:g} s{why}; wait for the same ticket again to resume",
        ticket=ticket,
        last=last,
    )
    cause.__cause__ = last_error
    return Unresolved(ticket=ticket, cause=cause, last=last)


def success_or_raise(outcome: Outcome) -> Success:
    """
    Return the outcome of a wait if it is a success. Raise any other outcome as an error.

    Raises:
        GenerationFailed: The job failed.
        ModelsLabError: The wait ended without a result.
    """
    match outcome:
        case Success():
            return outcome
        case Failed():
            raise GenerationFailed.of(outcome)
        case Unresolved(ticket=ticket, cause=cause):
            raise cause.with_ticket(ticket)


class NullWatcher:
    """A watcher that does nothing. It keeps a ticket polled while no caller waits for it."""

    wants_updates = False
    context = None

    def notify(self, update: Processing | Outcome) -> None:
        """Ignore a change of the ticket."""

    def fail(self, error: BaseException) -> None:
        """Ignore the exception, because no caller waits for it."""


NULL_WATCHER = NullWatcher()


class OutcomeWatcher:
    """Waits for the outcome of one ticket."""

    wants_updates = False

    def __init__(self) -> None:
        self.context = copy_context()
        # Do not use `set_exception`: asyncio logs an exception that no task retrieves. So an error
        # is stored as a result.
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


class WatcherRemoval:
    """
    Removes watchers from all their tickets without blocking the event loop.

    Args:
        unwatch: Removes a watcher from one ticket.
    """

    def __init__(self, unwatch: Callable[[Ticket, Watcher], object]) -> None:
        self._unwatch = unwatch
        self._pending: list[tuple[Sequence[Ticket], Watcher]] = []
        self._leaving: list[Watcher] = []

    def __bool__(self) -> bool:
        return bool(self._leaving)

    @property
    def leaving(self) -> frozenset[Watcher]:
        """The watchers that still have to be removed from some of their tickets."""
        return frozenset(self._leaving)

    def add(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        """Queue the removal of a watcher from these tickets. `start` begins the removal."""
        self._pending.append((tickets, watcher))
        self._leaving.append(watcher)

    def start(self, group: anyio.abc.TaskGroup) -> None:
        """
        Begin to remove the watchers that were passed to `add`.

        Each watcher is removed from its tickets by a separate task. The task often yields to the
        event loop, because a watcher may have very many tickets.
        """
        while self._pending:
            group.start_soon(self._drop_all, *self._pending.pop())

    async def _drop_all(self, tickets: Sequence[Ticket], watcher: Watcher) -> None:
        yielder = Yielder()
        for ticket in tickets:
            self._unwatch(ticket, watcher)
            await yielder.maybe_yield()
        self._leaving.remove(watcher)


class Notifier:
    """
    Passes replies, errors, pauses and outcomes to watchers and listeners.

    Attributes:
        on_completed: Called with each ticket that has ended, and with its completion, to free the
            ticket's slot.
        on_unawaited: Called with each outcome that no caller of this client waited for; None for no
            call.

    Args:
        listeners: Called with each event.
        limits: The limits after which the poller gives up on a ticket or a host.
    """

    def __init__(self, listeners: Listeners, limits: RetryLimits) -> None:
        self.on_completed: Callable[[Ticket, Completion], object] = _ignore_completed
        self.on_unawaited: Callable[[Outcome], object] | None = None
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
        due: float,
        started_at: float,
        read_at: float,
    ) -> None:
        """
        Report the result of one poll to listeners, and to watchers that want every change.

        Args:
            entry: The entry of the ticket that was polled.
            watchers: The watchers of the ticket before the poll ended.
            result: The reply, or the error that the poll raised.
            effects: What the poll changed in the schedule.
            due: When the poll was due, on the event loop's clock.
            started_at: When the poll started, on the same clock.
            read_at: When the reply was read, on the same clock.
        """
        for watcher in watchers:
            if watcher.wants_updates and isinstance(result, CachedProcessing | Processing):
                watcher.notify(as_processing(result, entry.ticket))
        if effects.pace_error is not None:
            log_unexpected(entry.ticket, effects.pace_error)
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._pause_log = self._pause_log or PauseLog(self._limits)
            self._pause_log.record_pause(entry.host_queue, effects.paused, result)
        elif self._pause_log is not None and not isinstance(result, ModelsLabError):
            self._pause_log.record_answer(entry.host_queue)
        if self._listeners.functions:
            context = _context_of(watchers)
            for event in _events_of(
                entry, result, effects, due=due, started_at=started_at, read_at=read_at
            ):
                self._listeners(event, context)

    def report_completion(self, completion: Completion) -> None:
        """Notify watchers and listeners that a ticket has ended. Free its slot. Log all errors."""
        outcome = completion.outcome
        for watcher in completion.watchers:
            try:
                watcher.notify(outcome)
            except Exception as error:  # noqa: BLE001 -- a caller's object may raise anything.
                log_unexpected(outcome.ticket, error)
                watcher.fail(error)
        try:
            self.on_completed(outcome.ticket, completion)
        except Exception as error:  # noqa: BLE001 -- one ticket must not stop the poller.
            log_unexpected(outcome.ticket, error)
        try:
            if self.on_unawaited is not None and not callers_of(completion.watchers):
                self.on_unawaited(outcome)
        except Exception as error:  # noqa: BLE001 -- as above.
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
    due: float,
    started_at: float,
    read_at: float,
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
            yield Polled(
                ticket=ticket,
                reply=reply,
                elapsed=read_at - started_at,
                overdue=started_at - due,
                started_at=started_at,
            )
    if effects.paused is not None and isinstance(result, ModelsLabError):
        yield Paused(tier=entry.host_queue.tier, seconds=effects.paused, cause=result)


def callers_of(watchers: Sequence[Watcher]) -> list[Context]:
    """Return the context variables of the waiting callers, in the order of their calls."""
    return [each.context for each in watchers if each.context is not None]


def _context_of(watchers: Sequence[Watcher]) -> Context | None:
    return next(iter(callers_of(watchers)), None)


def _ignore_completed(_ticket: Ticket, _completion: Completion) -> None:
    """Do nothing. This is the default of `on_completed`, for a poller without slots."""
