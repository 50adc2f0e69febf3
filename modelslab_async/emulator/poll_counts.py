"""PollCounts: how often each ticket was polled. The request handler adds the polls."""

from collections import Counter
from typing import Any

from modelslab_async._models.ticket import Ticket, TicketLike


class PollCounts(Counter[Ticket]):
    """
    A counter that takes a ticket in any of its forms, such as `counts["images:1"]`.

    A ticket that was never polled counts 0.

    Raises:
        ValueError: The key is not a ticket.
    """

    def __getitem__(self, ticket: TicketLike) -> int:
        return super().__getitem__(Ticket.of(ticket))

    def __contains__(self, ticket: Any) -> bool:
        return super().__contains__(Ticket.of(ticket))

    def get(self, ticket: TicketLike, default: Any = None) -> Any:
        """Return the count of a ticket, or the default if it was never polled."""
        return super().get(Ticket.of(ticket), default)
