"""Batch JSON: the rows of JSON lines or of one array. What is neither is told."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from .columns import Form, Row, is_text, row_of, shortened

_TOO_DEEP = "it is nested too deep"


def lines_of(lines: Iterable[str], form: Form) -> Iterator[Row]:
    """The objects of JSON lines."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            value = json.loads(line)
        except RecursionError:
            yield Row(place=place, fault=_TOO_DEEP)
        except ValueError:
            yield Row(place=place, fault=f"{shortened(line.strip())!r} is no JSON on one line")
        else:
            yield _row(place, value, form)


def array_of(lines: Iterable[str], name: str, form: Form) -> Iterator[Row]:
    """
    The items of one array, over however many lines.

    Raises:
        click.UsageError: It is none.
    """
    try:
        items = json.loads("".join(lines))
    except (RecursionError, ValueError) as fault:
        why = _TOO_DEEP if isinstance(fault, RecursionError) else fault
        raise click.UsageError(
            f"{name} begins like a JSON array and is none: {why}; "
            "give an array, an object a line, or a ticket a line"
        ) from None
    for number, item in enumerate(items, 1):
        yield _row(f"item {number}", item, form)


def _row(place: str, value: Any, form: Form) -> Row:
    """An object by its names; a text or a whole number as what it is."""
    if isinstance(value, dict):
        return row_of(place, value, form)
    if is_text(value):
        return Row(place=place, text=str(value).strip())
    return Row(place=place, fault=f"{type(value).__name__} is no object with an id")
