"""Adds the tickets of a caller to a journal, in chunks. It polls nothing."""

from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing
from typing import Final, TypeAlias

from attrs import evolve

from .._aio.iteration import chunks_of
from .._engine.engine import Engine
from .._models.argument_checks import check_not_text
from .._models.ticket import NewTicket, NewTicketLike
from ..journal import Journal

NewTickets: TypeAlias = (
    Iterable[NewTicketLike | NewTicket] | AsyncIterable[NewTicketLike | NewTicket]
)

# The maximum number of tickets in one commit of the journal.
_TICKETS_PER_COMMIT: Final = 5000


async def add_tickets(journal: Journal, engine: Engine | None, tickets: NewTickets) -> int:
    """
    Add tickets, and return how many are new.

    Args:
        journal: The journal to add them to.
        engine: Checks that the families are known, and redacts the client's API keys in columns. If
            None, every family is accepted, and nothing is redacted.
        tickets: The tickets, with or without columns.

    Raises:
        ValueError: A ticket is ill-formed or of an unknown family, or JSON cannot hold its columns.
    """
    check_not_text(tickets)
    added = 0
    chunks = chunks_of(tickets, _TICKETS_PER_COMMIT, lambda given: _checked(given, engine))
    async with aclosing(chunks):
        async for chunk in chunks:
            added += await journal.add(chunk)
    return added


def _checked(given: NewTicketLike | NewTicket, engine: Engine | None) -> NewTicket:
    new = NewTicket.of(given)
    if engine is None:
        return new
    # Raise an error for an unknown family now, because a run could not poll the ticket.
    engine.status_client.family_of(new.ticket)
    if new.columns:
        # The caller's columns may hold the API key, for example in a table of requests.
        return evolve(new, columns=engine.redact(new.columns.encode()).decode())
    return new
