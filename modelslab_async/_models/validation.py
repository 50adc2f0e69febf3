"""Argument: what a caller gave, checked before anything begins. Shows nothing else."""

from collections.abc import Mapping
from inspect import iscoroutinefunction
from numbers import Integral, Real
from types import UnionType


def check_count(name: str, value: object, *, things: str = "", optional: bool = False) -> None:
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
    wanted = f"a number{_of(things)} of at least 1{' or None' * optional}"
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {wanted}, a whole one, got {_kind(value)}")
    if value < 1:
        raise ValueError(f"{name} is {wanted}, got {value}")


def check_rate(name: str, value: object, *, things: str) -> None:
    """
    Make sure that an argument says how many a second, or is None.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above zero, or has no bound.
    """
    wanted = f"a number of {things} a second above 0, or None"
    if value is not None and not 0 < _number(name, value, wanted) < float("inf"):
        raise ValueError(f"{name} is {wanted}, got {value}")


def check_span(name: str, value: object) -> None:
    """
    Make sure that an argument is a number of seconds above zero.

    Raises:
        TypeError: It is no number.
        ValueError: It is zero or less.
    """
    wanted = "a number of seconds above 0"
    # Written so that nan fails as well.
    if not _number(name, value, wanted) > 0:
        raise ValueError(f"{name} is {wanted}, got {value}")


def check_patience(name: str, value: object, *, optional: bool = False) -> None:
    """
    Make sure that an argument is a number of seconds that somebody waits; with 0 at once.

    Raises:
        TypeError: It is no number.
        ValueError: It is less than zero.
    """
    wanted = f"a number of seconds of at least 0{' or None' * optional}"
    if value is None and optional:
        return
    if not _number(name, value, wanted) >= 0:
        raise ValueError(f"{name} is {wanted}, got {value}")


def check_kind(name: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """
    Make sure that an argument is of one kind.

    Raises:
        TypeError: It is not what is `wanted`.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {wanted}, got {_kind(value)}")


def check_table(name: str, value: object, row: type) -> None:
    """
    Make sure that an argument is a table: names, and a row for each.

    Raises:
        TypeError: It is none, or something in it is no such row.
    """
    wanted = f"a mapping of names to {row.__name__}"
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {wanted}, got {_kind(value)}")
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, row):
            raise TypeError(f"{name} is {wanted}, got {_kind(each)} for {_kind(key)}")


def check_function(name: str, value: object, *, awaited: bool) -> None:
    """
    Make sure that an argument is a function or None; and none to be awaited, where nobody does.

    Raises:
        TypeError: It is no function, or one that would have to be awaited.
    """
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"{name} is a function or None, got {_kind(value)}")
    if awaited:
        return
    if iscoroutinefunction(value) or iscoroutinefunction(type(value).__call__):
        raise TypeError(
            f"{name} is called and not awaited, so that it holds nothing up, got a function that "
            "is `async def`; give a plain one, which may start a task"
        )


def _number(name: str, value: object, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {wanted}, got {_kind(value)}")
    return float(value)


def _of(things: str) -> str:
    return f" of {things}" if things else ""


def _kind(value: object) -> str:
    # Its type and not itself: whatever was given by mistake may be the key.
    return "None" if value is None else f"a value of type {type(value).__name__}"
