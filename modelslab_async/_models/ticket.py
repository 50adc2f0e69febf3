"""Ticket: what a caller holds for a queued generation. Never holds a key, never sends anything."""

import operator
import re
import sys
import unicodedata
from typing import Any, Self, TypeAlias

from attrs import field, frozen

_FAMILY_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_MAX_ID_LENGTH = 200
_MAX_ID_BITS = 4 * _MAX_ID_LENGTH
# Ids of ours for work that the service did not name. What it says that begins so is no id.
_NO_ID_PREFIX = "no-id:"


def _id_to_str(value: int | str) -> str:
    if isinstance(value, str):
        return value
    try:
        # numpy and pandas hand out integers that are not `int`; they mean the same id.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(
            f"an id is a string or an int, got {type(value).__name__}; "
            "write the id exactly as the submit reply gave it"
        )
    if number.bit_length() > _MAX_ID_BITS:
        # Python writes no number of that size, and says so in words of its own.
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
        return "begins or ends with a blank"
    for part in text.split("/"):
        if not part:
            return "is empty or has an empty part"
        if part in (".", ".."):
            return f"has the part {part!r}, which would name another path"
    return None


def _check_family(_instance: object, _attribute: object, value: Any) -> None:
    if not isinstance(value, str) or not _FAMILY_PATTERN.fullmatch(value):
        raise ValueError(
            f"a family is a name such as 'images' (letters, digits, '_' and '-'), got {value!r}"
        )


def _intern_family(value: Any) -> Any:
    # A million tickets of a family hold its name once.
    return sys.intern(value) if type(value) is str else value


def _check_id(_instance: object, _attribute: object, value: str) -> None:
    # Nearly every id is letters and digits alone, and there is nothing else to find fault with.
    plain = value.isascii() and value.isalnum() and len(value) <= _MAX_ID_LENGTH
    problem = None if plain else _find_problem(value)
    if problem:
        raise ValueError(
            f"an id is one non-empty path segment of the characters the service gave, but "
            f"{value[:_MAX_ID_LENGTH]!r} {problem}"
        )


@frozen(order=True, weakref_slot=False)
class Ticket:
    """
    Names one queued generation: the API family that resolves it and the id the service gave.

    The text form is `family:id`, and `Ticket.parse` reads it back. Ids may be given as `int` or
    `str` and are the same ticket. A ticket holds no key and is safe to store or to log.

    Where the service named no id, the ticket has one of ours, which begins with `no-id:`. It tells
    that work from all other, and cannot be looked up.

    Args:
        family: A name of the registry, such as `"images"` or `"enterprise_interior"`.
        id: The id of the generation. For a family with two ids, both joined by a slash.

    Raises:
        ValueError: The id could not stand as one path segment or one field.

    Example:
        >>> str(Ticket("images", 13443927))
        'images:13443927'
    """

    family: str = field(converter=_intern_family, validator=_check_family)
    id: str = field(converter=_id_to_str, validator=_check_id)

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read the text form, `family:id`.

        Raises:
            ValueError: There is no colon, or one of the two halves is not valid.
        """
        family, colon, id_ = text.partition(":")
        if not colon:
            raise ValueError(f"a ticket is written 'family:id', such as 'images:123', got {text!r}")
        return cls(family, id_)

    @classmethod
    def of(cls, value: "TicketLike") -> "Ticket":
        """
        Take a ticket in any of the forms a caller may hold: itself, its text, or a pair.

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
        Name work that the service named no id for.

        Args:
            family: The family of the work.
            mark: What tells it from all other such work.

        Raises:
            ValueError: See `Ticket`.
        """
        return cls(family, f"{_NO_ID_PREFIX}{local_id}")

    @property
    def has_id(self) -> bool:
        """Whether the service gave an id, so that the work can be looked up by it."""
        return not self.id.startswith(_NO_ID_PREFIX)

    def require_id(self) -> None:
        """
        Make sure that the work can be looked up, before anything is sent.

        Raises:
            ValueError: The service gave no id.
        """
        if not self.has_id:
            raise ValueError(
                f"{self} cannot be looked up: the service gave no id for it, and its result came "
                "with the reply to its submit; keep that Success"
            )

    def __str__(self) -> str:
        return f"{self.family}:{self.id}"


TicketLike: TypeAlias = Ticket | str | tuple[str, int | str]
"""Whatever stands for a ticket: a `Ticket`, its text form, or a `(family, id)` pair."""
