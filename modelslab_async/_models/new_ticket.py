"""NewTicket: a ticket with its columns of the caller's table. It reads no file."""

import json
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

from attrs import frozen

from .ticket import Ticket, TicketLike

Columns: TypeAlias = Mapping[str, Any]
"""The other columns of a row of the caller's table, by their names. JSON can hold each value."""
NewTicketLike: TypeAlias = TicketLike | tuple[TicketLike, Columns]
"""A ticket in any accepted form, alone or in a pair with its columns."""

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@frozen
class NewTicket:
    """
    A ticket to add to a journal.

    Attributes:
        ticket: The ticket.
        columns: Its columns of the caller's table as JSON; "" if it has none.
    """

    ticket: Ticket
    columns: str = ""

    @classmethod
    def of(cls, value: "NewTicketLike | NewTicket") -> Self:
        """
        Accept a ticket in any form, or a pair of a ticket and its columns.

        Raises:
            ValueError: The ticket is ill-formed, or JSON cannot hold its columns.
        """
        match value:
            case NewTicket(ticket=ticket, columns=encoded):
                return cls(ticket, encoded)
            case (ticket_like, Mapping() as columns):
                ticket = Ticket.of(ticket_like)
                return cls(ticket, encode_columns(columns, str(ticket)))
            case _:
                return cls(Ticket.of(value))


def encode_columns(columns: Mapping[Any, Any] | None, owner: str) -> str:
    """
    Return columns as JSON, or "" if there are none.

    Args:
        columns: The columns by their names.
        owner: What the columns belong to, for the error.

    Raises:
        ValueError: A name is no text, or JSON cannot hold a value.
    """
    if not columns:
        return ""
    if wrong := [name for name in columns if not isinstance(name, str)]:
        raise ValueError(f"the name of a column is a text, got {wrong[0]!r:.80} for {owner}")
    try:
        return _encode(dict(columns))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the columns of {owner} hold what JSON cannot ({error!s:.200}); give texts, finite "
            "numbers, booleans, None, or lists and dictionaries of these"
        ) from None
