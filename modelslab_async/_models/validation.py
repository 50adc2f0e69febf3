"""Argument: what a caller gave, checked before anything begins. Shows nothing else."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from numbers import Integral, Real
from types import UnionType


def check_count(name: str, value: object, *, unit: str = "", optional: bool = False) -> None:
    """
    Make sure that an argument counts something, from one on.

    Args:
        name: The argument.
        value: What was given for it.
        things: What it counts, in the plural.
        optional: Whether None will do.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is less than one.
    """
    expected = f"a number{_of_unit(unit)} of at least 1{' or None' * optional}"
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {expected}, a whole one, got {_describe_type(value)}")
    if value < 1:
        raise ValueError(f"{name} is {expected}, got {value}")


def check_rate(name: str, value: object, *, unit: str) -> None:
    """
    Make sure that an argument says how many a second, or is None.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above zero, or has no bound.
    """
    expected = f"a number of {unit} a second above 0, or None"
    if value is not None and not 0 < _to_float(name, value, expected) < float("inf"):
        raise ValueError(f"{name} is {expected}, got {value}")


def check_positive_seconds(name: str, value: object) -> None:
    """
    Make sure that an argument is a number of seconds above zero.

    Raises:
        TypeError: It is no number.
        ValueError: It is zero or less.
    """
    expected = "a number of seconds above 0"
    # Written so that nan fails as well.
    if not _to_float(name, value, expected) > 0:
        raise ValueError(f"{name} is {expected}, got {value}")


def check_nonnegative_seconds(name: str, value: object, *, optional: bool = False) -> None:
    """
    Make sure that an argument is a number of seconds that somebody waits; with 0 at once.

    Raises:
        TypeError: It is no number.
        ValueError: It is less than zero.
    """
    expected = f"a number of seconds of at least 0{' or None' * optional}"
    if value is None and optional:
        return
    if not _to_float(name, value, expected) >= 0:
        raise ValueError(f"{name} is {expected}, got {value}")


def check_type(name: str, value: object, expected_type: type | UnionType, expected: str) -> None:
    """
    Make sure that an argument is of one kind.

    Raises:
        TypeError: It is not what is `wanted`.
    """
    if not isinstance(value, expected_type):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")


def check_mapping(name: str, value: object, row_type: type) -> None:
    """
    Make sure that an argument is a table: names, and a row for each.

    Raises:
        TypeError: It is none, or something in it is no such row.
    """
    expected = f"a mapping of names to {row_type.__name__}"
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, row_type):
            raise TypeError(
                f"{name} is {expected}, got {_describe_type(each)} for {_describe_type(key)}"
            )


def check_callback(name: str, value: object, *, allow_async: bool) -> None:
    """
    Make sure that an argument is a function or None; and none to be awaited, where nobody does.

    Raises:
        TypeError: It is no function, or one that would have to be awaited.
    """
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"{name} is a function or None, got {_describe_type(value)}")
    if allow_async:
        return
    if iscoroutinefunction(value) or iscoroutinefunction(type(value).__call__):
        raise TypeError(
            f"{name} is called and not awaited, so that it holds nothing up, got a function that "
            "is `async def`; give a plain one, which may start a task"
        )


def _to_float(name: str, value: object, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {expected}, got {_describe_type(value)}")
    return float(value)


def _of_unit(unit: str) -> str:
    return f" of {unit}" if unit else ""


def _describe_type(value: object) -> str:
    # Its type and not itself: whatever was given by mistake may be the key.
    return "None" if value is None else f"a value of type {type(value).__name__}"
