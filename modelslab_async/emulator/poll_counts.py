"""Tally: how often each ticket was fetched, asked for in any form of a ticket."""

from collections import Counter
from typing import Any

from modelslab_async._models.ticket import Ticket, TicketLike


class PollCounts(Counter[Ticket]):
    """
    A counter of tickets; one that never came counts 0.

    Raises:
        ValueError: It is asked for what is no ticket.
    """

    def __getitem__(self, ticket: TicketLike) -> int:
        return super().__getitem__(Ticket.of(ticket))

    def __contains__(self, ticket: Any) -> bool:
        return super().__contains__(Ticket.of(ticket))

    def get(self, ticket: TicketLike, default: Any = None) -> Any:
        """As for a dictionary."""
        return super().get(Ticket.of(ticket), default)
