"""Event listeners, guards that may delay polls, and the poller's notifier. Nothing here polls."""

import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import TypeAlias

from .._aio.listener_calls import call_listener
from .._models.errors import ModelsLabError, TransientError
from .._models.events import Completed, Event, Paused, Polled, PollFailed
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._parsing.reply_cache import CachedProcessing, as_processing
from .._scheduling.effects import Completion, Effects
from .._scheduling.host_queue import Entry
from .._scheduling.pace_protocol import RetryLimits
from .._scheduling.watcher_protocol import Watcher
from .pause_log import PauseLog
from .unexpected_errors import log_unexpected

Listener: TypeAlias = Callable[[Event], object]
PollGuard: TypeAlias = Callable[[Ticket], bool]

_logger = logging.getLogger("modelslab_async")


class Listeners:
    """The caller's `on_event`, and functions of this package that receive the events too."""

    def __init__(self, on_event: Listener | None) -> None:
        self._listeners = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def __call__(self, event: Event, context: Context | None = None) -> None:
        """Call all listeners, in the given context or else in that of this task."""
        for listener in self._listeners:
            call_listener(listener, event, context)

    def add(self, listener: Listener) -> None:
        """Add a listener in front of the others, because the caller's own may be slow."""
        self._listeners = [listener, *self._listeners]

    def remove(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners = [each for each in self._listeners if each != listener]


class PollGuards:
    """Predicates that may delay polls. A ticket is polled if all of them return True."""

    def __init__(self) -> None:
        self._poll_guards: list[PollGuard] = []

    def allows(self, ticket: Ticket) -> bool:
        """Whether a ticket may be polled now."""
        return all(poll_guard(ticket) for poll_guard in self._poll_guards)

    def add(self, poll_guard: PollGuard) -> None:
        """Add a predicate."""
        self._poll_guards.append(poll_guard)

    def remove(self, poll_guard: PollGuard) -> None:
        """Remove a predicate."""
        self._poll_guards = [each for each in self._poll_guards if each != poll_guard]


class Notifier:
    """
    Passes replies, errors, pauses and outcomes to watchers and listeners.

    Attributes:
        on_completed: Called with each ticket that has ended. The owner of the slots sets this
            function.

    Args:
        listeners: Called with each event.
        limits: When the poller gives up a ticket or a host.
    """

    def __init__(self, listeners: Listeners, limits: RetryLimits) -> None:
        self.on_completed: Callable[[Ticket], object] = _ignore_completed
        self._listeners = listeners
        self._limits = limits
        self._pause_log: PauseLog | None = None

    def report_update(
        self,
        ticket: Ticket,
        watchers: Sequence[Watcher],
        result: Reply | CachedProcessing | ModelsLabError,
    ) -> None:
        """Pass a `Processing` reply to the watchers that take every change."""
        for watcher in watchers:
            if watcher.wants_updates and isinstance(result, CachedProcessing | Processing):
                watcher.notify(as_processing(result, ticket))

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
        Tell listeners of one poll, and of the pause that it caused.

        Args:
            entry: The ticket that was polled.
            watchers: Its watchers before the poll ended.
            result: The reply, or the error.
            effects: What the poll changed.
            overdue: By how many seconds the poll started late.
            elapsed: How many seconds the poll took.
        """
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._pause_log = self._pause_log or PauseLog(self._limits)
            self._pause_log.record_pause(entry.host_queue, effects.paused, result)
        elif self._pause_log is not None and not isinstance(result, ModelsLabError):
            self._pause_log.record_answer(entry.host_queue)
        if not self._listeners:
            return
        ticket, context = entry.ticket, _context_of(watchers)
        match result:
            case TransientError():
                self._listeners(
                    PollFailed(ticket=ticket, error=result, failures=entry.failures), context
                )
            case ModelsLabError():
                pass
            case _:
                reply = (
                    as_processing(result, ticket)
                    if isinstance(result, CachedProcessing)
                    else result
                )
                self._listeners(
                    Polled(ticket=ticket, reply=reply, elapsed=elapsed, overdue=overdue), context
                )
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._listeners(
                Paused(tier=entry.host_queue.tier, seconds=effects.paused, cause=result), context
            )

    def report_completion(self, completion: Completion) -> None:
        """Tell watchers, slots and listeners that a ticket has ended. Their errors are logged."""
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
        if self._listeners:
            self._listeners(
                Completed(outcome=outcome, polls=completion.polls, waited=completion.waited),
                _context_of(completion.watchers),
            )


def callers_of(watchers: Sequence[Watcher]) -> list[Context]:
    """Return the contexts of the callers that wait, the one that has waited longest first."""
    return [each.context for each in watchers if each.context is not None]


def _context_of(watchers: Sequence[Watcher]) -> Context | None:
    return next(iter(callers_of(watchers)), None)


def _ignore_completed(_: Ticket) -> None:
    """Do nothing, because there are no slots to free."""
