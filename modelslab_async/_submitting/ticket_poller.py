"""TicketPoller: what the slots need of the poller."""

from typing import Protocol

from .._models.ticket import Ticket
from .._scheduling.initial_state import InitialState
from .._scheduling.watcher_protocol import Watcher


class TicketPoller(Protocol):
    """Polls tickets, so that `Slots.on_completed` is called soon after their work has ended."""

    def watch(self, ticket: Ticket, watcher: Watcher, initial_state: InitialState, /) -> None: ...
    def nudge(self, ticket: Ticket, /) -> None: ...
    def unwatch(self, ticket: Ticket, watcher: Watcher, /) -> None: ...
