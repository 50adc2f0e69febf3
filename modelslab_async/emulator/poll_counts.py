"""PollCounts: how many times the emulator was polled for each ticket."""

from collections import Counter
from typing import Any

from modelslab_async._models.ticket import Ticket, TicketLike


class PollCounts(Counter[Ticket]):
    """
    How many times each ticket was polled. The count of a ticket that was never polled is 0.

    A ticket may be given as text, as in `counts["images:1"]`. A lookup of an invalid ticket raises
    `ValueError`.
    """

    def __getitem__(self, ticket: TicketLike) -> int:
        return super().__getitem__(Ticket.of(ticket))

    def __contains__(self, ticket: Any) -> bool:
        return super().__contains__(Ticket.of(ticket))

    def get(self, ticket: TicketLike, default: Any = None) -> Any:
        """Return the count of a ticket, or the default if it was never polled."""
        return super().get(Ticket.of(ticket), default)
