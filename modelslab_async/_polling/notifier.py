"""Notifier: tells watchers, listeners and the owner of the slots what came. It never polls."""

import logging
from collections.abc import Callable, Sequence

from .._models.errors import ModelsLabError, TransientError
from .._models.events import Completed, Paused, Polled, PollFailed
from .._models.replies import Processing, Reply
from .._models.ticket import Ticket
from .._parsing.reply_cache import CachedProcessing, as_processing
from .._scheduling.effects import Completion, Effects
from .._scheduling.host_queue import Entry
from .._scheduling.watcher_protocol import Watcher
from .listeners import Listeners
from .unexpected_errors import log_unexpected

_logger = logging.getLogger("modelslab_async")


class Notifier:
    """
    Passes on replies, errors, pauses and outcomes.

    Attributes:
        on_completed: Called with each ticket that has ended. The owner of the slots sets it.

    Args:
        listeners: Called with each event.
    """

    def __init__(self, listeners: Listeners) -> None:
        self.on_completed: Callable[[Ticket], object] = _ignore_completed
        self._listeners = listeners

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
            result: The reply, or the error.
            effects: What it changed.
            overdue: By how many seconds the poll started late.
            elapsed: How many seconds it took.
        """
        if effects.paused is not None:
            _logger.warning(
                "polling %s pauses for %.1f s: %s", entry.host_queue.host, effects.paused, result
            )
        if not self._listeners:
            return
        ticket = entry.ticket
        match result:
            case TransientError():
                self._listeners(PollFailed(ticket=ticket, error=result, failures=entry.failures))
            case ModelsLabError():
                pass
            case _:
                reply = (
                    as_processing(result, ticket)
                    if isinstance(result, CachedProcessing)
                    else result
                )
                self._listeners(
                    Polled(ticket=ticket, reply=reply, elapsed=elapsed, overdue=overdue)
                )
        if effects.paused is not None and isinstance(result, ModelsLabError):
            self._listeners(
                Paused(tier=entry.host_queue.tier, seconds=effects.paused, cause=result)
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
                Completed(outcome=outcome, polls=completion.polls, waited=completion.waited)
            )


def _ignore_completed(_: Ticket) -> None:
    """Do nothing: there are no slots to free."""
