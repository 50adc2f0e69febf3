"""Ticket: the family and the id of a queued generation. It never contains an API key."""

import json
import operator
import re
import sys
import unicodedata
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Self, TypeAlias

from attrs import field, frozen

_FAMILY_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MAX_ID_LENGTH = 200
_MAX_ID_BITS = 4 * _MAX_ID_LENGTH
# The prefix of ids that the client made because the service gave none.
_NO_ID_PREFIX = "no-id:"
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _id_to_str(value: int | str) -> str:
    if isinstance(value, str):
        return value
    try:
        # Accept integers of numpy and pandas too: they are not `int`, but have `__index__`.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(
            f"an id is a string or an int, got {type(value).__name__}; "
            "write the id exactly as the submit reply gave it"
        )
    if number.bit_length() > _MAX_ID_BITS:
        # `str` would refuse a very long integer with an error that does not mention ids.
        raise ValueError(
            f"an id has at most {_MAX_ID_LENGTH} characters, got a number of {number.bit_length()} "
            "bits; write the id exactly as the submit reply gave it"
        )
    return str(number)


def _find_problem(text: str) -> str | None:
    if len(text) > _MAX_ID_LENGTH:
        return f"is {len(text)} characters long, at most {_MAX_ID_LENGTH} are allowed"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        return "holds a control character or half a surrogate pair"
    if text != text.strip():
        return "begins or ends with white space"
    for part in text.split("/"):
        if not part:
            return "is empty or has an empty part; write a family and an id, such as images:1"
        if part in (".", ".."):
            return f"has the part {part!r}, which would name another path"
    return None


def _check_family(_instance: object, _attribute: object, value: Any) -> None:
    # Try `isidentifier` first: it is faster than the pattern, and nearly every family name passes.
    is_plain = isinstance(value, str) and value.isascii() and value.isidentifier()
    if is_plain and value[0] != "_":
        return
    if not isinstance(value, str) or not _FAMILY_PATTERN.fullmatch(value):
        raise ValueError(
            f"a family is a name such as 'images' (letters, digits, '_' and '-'), got {value!r}"
        )


def _intern_family(value: Any) -> Any:
    # Intern the family, so that a million tickets of one family share one string.
    return sys.intern(value) if type(value) is str else value


def _check_id(_instance: object, _attribute: object, value: str) -> None:
    # Nearly all ids are ASCII letters and digits, and need no slow check.
    is_plain = value.isascii() and value.isalnum() and len(value) <= _MAX_ID_LENGTH
    problem = None if is_plain else _find_problem(value)
    if problem:
        raise ValueError(
            f"an id is one non-empty path segment of the characters the service gave, but "
            f"{value[:_MAX_ID_LENGTH]!r} {problem}"
        )


@frozen(order=True, weakref_slot=False)
class Ticket:
    """
    Names one queued generation by its API family and its id.

    The text form is `family:id`; `Ticket.parse` reads it back. The ids `7` and `"7"` make equal
    tickets. A ticket contains no API key and is safe to store or to log.

    If the service gave no id, the client makes one that begins with `no-id:`. Such a ticket is
    unique but cannot be polled.

    Args:
        family: A family in the registry, such as `"images"` or `"enterprise_interior"`.
        id: The id of the generation. If a family needs two ids, give both, joined by a slash.

    Raises:
        ValueError: The family is not a valid name, or the id is not a valid path segment.

    Example:
        >>> str(Ticket("images", 13443927))
        'images:13443927'
    """

    family: str = field(converter=_intern_family, validator=_check_family)
    id: str = field(converter=_id_to_str, validator=_check_id)

    # Hash only the id: a string caches its hash, and tickets are looked up often. Tickets of two
    # families rarely share an id.
    def __hash__(self) -> int:
        return hash(self.id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read the text form, `family:id`.

        Raises:
            ValueError: The text has no colon, an invalid family or an invalid id.
        """
        family, colon, id_ = text.partition(":")
        if not colon:
            raise ValueError(f"a ticket is written 'family:id', such as 'images:123', got {text!r}")
        return cls(family, id_)

    @classmethod
    def of(cls, value: "TicketLike") -> "Ticket":
        """
        Accept a ticket in any form: a `Ticket`, its text form, or a pair of family and id.

        Raises:
            ValueError: The value has none of these forms.
        """
        match value:
            case Ticket():
                return value
            case str():
                return cls.parse(value)
            case (family, id_):
                return cls(family, id_)
            case _:
                raise ValueError(
                    "a ticket is a Ticket, its text 'family:id' or a pair (family, id), "
                    f"got {type(value).__name__}"
                )

    @classmethod
    def without_id(cls, family: str, local_id: str) -> Self:
        """
        Make a ticket for work to which the service gave no id.

        Args:
            family: The family of the work.
            local_id: A string in place of the id. It must be unique within the family.

        Raises:
            ValueError: See `Ticket`.
        """
        return cls(family, f"{_NO_ID_PREFIX}{local_id}")

    @property
    def has_id(self) -> bool:
        """Whether the service issued the id. If not, the ticket cannot be polled."""
        return not self.id.startswith(_NO_ID_PREFIX)

    def require_id(self) -> None:
        """
        Check that the ticket can be polled.

        Raises:
            ValueError: The service did not issue the id.
        """
        if not self.has_id:
            raise ValueError(
                f"{self} cannot be polled: the service gave no id for it, and its result came "
                "with the reply to its submit; keep that Success"
            )

    def __str__(self) -> str:
        return f"{self.family}:{self.id}"


TicketLike: TypeAlias = Ticket | str | tuple[str, int | str]
"""A ticket in any accepted form: a `Ticket`, its text form, or a `(family, id)` pair."""
Tickets: TypeAlias = Iterable[TicketLike] | AsyncIterable[TicketLike]
"""Many tickets, each in any accepted form."""
Columns: TypeAlias = Mapping[str, Any]
"""The other columns of a row of the input table, keyed by name. Each value must fit into JSON."""
NewTicketLike: TypeAlias = TicketLike | tuple[TicketLike, Columns]
"""A ticket in any accepted form, alone or in a pair with its columns."""


@frozen
class NewTicket:
    """
    A ticket to add to a journal.

    Attributes:
        ticket: The ticket.
        columns: The ticket's row of the input table, as a JSON object keyed by column name; "" if
            the ticket has no row.
    """

    ticket: Ticket
    columns: str = ""

    @classmethod
    def of(cls, value: "NewTicketLike | NewTicket") -> Self:
        """
        Accept a ticket in any form, or a pair of a ticket and its row of the input table.

        Raises:
            ValueError: The ticket is ill-formed, or JSON cannot hold the row.
        """
        match value:
            case NewTicket(ticket=ticket, columns=encoded):
                return cls(ticket, encoded)
            case (ticket_like, Mapping() as columns):
                ticket = Ticket.of(ticket_like)
                return cls(ticket, encode_columns(columns, str(ticket)))
            case _:
                return cls(Ticket.of(value))


NewTickets: TypeAlias = (
    Iterable[NewTicketLike | NewTicket] | AsyncIterable[NewTicketLike | NewTicket]
)
"""Many tickets to add to a journal, each in any accepted form."""


def encode_columns(columns: Mapping[Any, Any] | None, owner: str) -> str:
    """
    Return a row of the input table as a JSON object; "" for an empty row or None.

    Args:
        columns: The row, keyed by column name.
        owner: The ticket or submission that the row belongs to, for the error message.

    Raises:
        ValueError: A column's name is not a string, or JSON cannot hold a value.
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
