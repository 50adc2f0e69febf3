"""
Checks a caller's arguments, and converts tickets from any accepted form to `Ticket`.

An error message shows a value only if it is a number. Any other value may be the API key.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from numbers import Integral, Real
from types import UnionType
from typing import Final

from .ticket import NewTicket, NewTicketLike, Ticket, TicketLike

# The highest integers of PostgreSQL's INTEGER and BIGINT. SQLite's integers have 64 bits too.
MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1
# Python converts no integer with thousands of digits to text.
_MAX_SHOWN_BITS: Final = 128


def check_count(
    name: str,
    value: object,
    *,
    unit: str = "",
    least: int = 1,
    most: int | None = None,
    optional: bool = False,
) -> None:
    """
    Check that an argument is a whole number in a range.

    Args:
        name: The name of the argument.
        value: The value of the argument.
        unit: What the argument counts, in the plural.
        least: The lowest value that is allowed.
        most: The highest value that is allowed; None for no limit.
        optional: Whether None is allowed.

    Raises:
        TypeError: The value is not a whole number.
        ValueError: The value is outside the range.
    """
    allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
    expected = f"a number{unit and f' of {unit}'} {allowed}{' or None' * optional}"
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {expected}, a whole one, got {_describe_type(value)}")
    number = int(value)
    if number < least or (most is not None and number > most):
        raise ValueError(f"{name} is {expected}, got {_show_integer(number)}")


def check_rate(name: str, value: object, *, unit: str) -> None:
    """
    Check that an argument is a rate per second, or None.

    Raises:
        TypeError: The value is not a number.
        ValueError: The value is 0, negative, infinite or NaN.
    """
    expected = f"a number of {unit} a second above 0, or None"
    if value is not None:
        check_number(name, value, expected, lambda number: 0 < number < float("inf"))


def check_positive_seconds(name: str, value: object) -> None:
    """
    Check that an argument is a number of seconds above 0.

    Raises:
        TypeError: The value is not a number.
        ValueError: The value is 0, negative or NaN.
    """
    check_number(name, value, "a number of seconds above 0", lambda number: number > 0)


def check_nonnegative_seconds(name: str, value: object, *, optional: bool = False) -> None:
    """
    Check that an argument is a number of seconds that is 0 or more.

    Raises:
        TypeError: The value is not a number.
        ValueError: The value is negative or NaN.
    """
    expected = f"a number of seconds of at least 0{' or None' * optional}"
    if value is None and optional:
        return
    check_number(name, value, expected, lambda number: number >= 0)


def check_number(
    name: str, value: object, expected: str, is_valid: Callable[[float], bool]
) -> None:
    """
    Check that an argument is a number in a range.

    Args:
        name: The name of the argument.
        value: The value of the argument.
        expected: What the argument must be, for the error message.
        is_valid: Returns whether a number is in the range. It must return False for NaN, as every
            comparison with NaN does.

    Raises:
        TypeError: The value is not a number.
        ValueError: The number is outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")
    try:
        number = float(value)
    except OverflowError:
        # Do not show the value: it has hundreds of digits.
        raise ValueError(f"{name} is {expected}, got one that no float can hold") from None
    if not is_valid(number):
        raise ValueError(f"{name} is {expected}, got {value}")


def check_tickets(tickets: object, *, allow_async: bool = True) -> None:
    """
    Check that tickets can be iterated. Refuse a string: each character would count as a ticket.

    Args:
        tickets: The argument to check.
        allow_async: Whether an async iterable is allowed.

    Raises:
        TypeError: `tickets` cannot be iterated.
        ValueError: `tickets` is a string.
    """
    if isinstance(tickets, str):
        raise ValueError(  # noqa: TRY004 -- every malformed ticket is a ValueError.
            "many tickets come in a list, such as ['images:123'], not as a text"
        )
    expected = "an iterable of tickets, such as ['images:123']"
    check_iterable("tickets", tickets, expected, allow_async=allow_async)


def check_iterable(name: str, value: object, expected: str, *, allow_async: bool = True) -> None:
    """
    Check that an argument can be iterated by `for` or, with `allow_async`, by `async for`.

    Raises:
        TypeError: The value cannot be iterated.
    """
    # An object with `__getitem__` alone can be iterated too.
    if isinstance(value, Iterable) or hasattr(value, "__getitem__"):
        return
    if not (allow_async and isinstance(value, AsyncIterable)):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")


def check_type(name: str, value: object, expected_type: type | UnionType, expected: str) -> None:
    """
    Check that an argument has the expected type.

    Raises:
        TypeError: The value has another type.
    """
    if not isinstance(value, expected_type):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")


def check_texts(**values: object) -> None:
    """
    Check that some arguments, given by name, are strings.

    Raises:
        TypeError: A value is not a string.
    """
    for name, value in values.items():
        check_type(name, value, str, "a text")


def check_text(name: str, value: object, *, default: str) -> None:
    """
    Check that an argument is a non-empty string or None.

    Args:
        name: The name of the argument.
        value: The value of the argument.
        default: What the client uses if the argument is None. The error message shows it.

    Raises:
        TypeError: The value is neither a string nor None.
        ValueError: The string is empty.
    """
    expected = "a text or None"
    check_type(name, value, str | None, expected)
    if value == "":
        raise ValueError(f"{name} is {expected}, got an empty text; leave it out to use {default}")


def check_members(name: str, value: object, members: Iterable[str], expected: str) -> None:
    """
    Check that an argument is an object with certain methods or attributes.

    Args:
        name: The name of the argument.
        value: The value of the argument.
        members: The names of the methods and attributes.
        expected: What the argument must be, for the error message.

    Raises:
        TypeError: The value is a class instead of an object, or a member is missing.
    """
    if isinstance(value, type):
        raise TypeError(
            f"{name} is {expected}, got the class {value.__name__} instead of an object"
        )
    missing = [member for member in members if not hasattr(value, member)]
    if missing:
        raise TypeError(
            f"{name} is {expected}, got {_describe_type(value)} without {', '.join(missing)}"
        )


def check_mapping(name: str, value: object, row_type: type) -> None:
    """
    Check that an argument maps names to values of one type.

    Raises:
        TypeError: The value is not a mapping, or a name or value in it has the wrong type.
    """
    expected = f"a mapping of names to {row_type.__name__}"
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, row_type):
            raise TypeError(
                f"{name} is {expected}, got {_describe_type(each)} for {_describe_type(key)}"
            )


def check_callback(name: str, value: object, *, allow_async: bool, allow_none: bool = True) -> None:
    """
    Check that an argument is a function or, with `allow_none`, None.

    Args:
        name: The name of the argument.
        value: The value of the argument.
        allow_async: Whether an `async def` is allowed.
        allow_none: Whether None is allowed.

    Raises:
        TypeError: The value is not callable, or it is an `async def` where none is allowed.
    """
    if value is None and allow_none:
        return
    if not callable(value):
        expected = f"a function{' or None' * allow_none}"
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")
    if allow_async:
        return
    if iscoroutinefunction(value) or iscoroutinefunction(type(value).__call__):
        raise TypeError(
            f"{name} is called and not awaited, so that it holds nothing up, got a function that "
            "is `async def`; give a plain one, which may start a task"
        )


def new_tickets_of(given: Sequence[NewTicketLike | NewTicket]) -> list[NewTicket]:
    """
    Convert tickets from any accepted form to `NewTicket`, so that a journal can add them.

    Raises:
        TypeError: `given` cannot be iterated.
        ValueError: A ticket is ill-formed or has no id, or a dictionary is not JSON data.
    """
    check_tickets(given, allow_async=False)
    new_tickets = [NewTicket.of(ticket) for ticket in given]
    for new in new_tickets:
        new.ticket.require_id()
    return new_tickets


def tickets_of(given: Sequence[TicketLike]) -> list[Ticket]:
    """
    Convert tickets from any accepted form to `Ticket`.

    Raises:
        TypeError: `given` cannot be iterated.
        ValueError: A ticket is ill-formed.
    """
    check_tickets(given, allow_async=False)
    return [Ticket.of(ticket) for ticket in given]


def _show_integer(value: int) -> str:
    bits = value.bit_length()
    return str(value) if bits <= _MAX_SHOWN_BITS else f"an integer of {bits} bits"


def _describe_type(value: object) -> str:
    # Show only the type: the value may be the API key, passed as this argument by mistake.
    return "None" if value is None else f"a value of type {type(value).__name__}"
