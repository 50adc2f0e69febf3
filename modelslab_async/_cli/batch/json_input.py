"""Batch JSON: the rows of JSON lines or of one array. What is neither is told."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from .columns import InputRow, InputSpec, is_id_value, row_from_cells, shorten

_TOO_DEEP = "it is nested too deep"


def rows_from_json_lines(lines: Iterable[str], spec: InputSpec) -> Iterator[InputRow]:
    """The objects of JSON lines."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        location = f"line {number}"
        try:
            value = json.loads(line)
        except RecursionError:
            yield InputRow(location=location, problem=_TOO_DEEP)
        except ValueError:
            yield InputRow(
                location=location, problem=f"{shorten(line.strip())!r} is no JSON on one line"
            )
        else:
            yield _row_from_value(location, value, spec)


def rows_from_json_array(lines: Iterable[str], name: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    The items of one array, over however many lines.

    Raises:
        click.UsageError: It is none.
    """
    try:
        items = json.loads("".join(lines))
    except (RecursionError, ValueError) as problem:
        why = _TOO_DEEP if isinstance(problem, RecursionError) else problem
        raise click.UsageError(
            f"{name} begins like a JSON array and is none: {why}; "
            "give an array, an object a line, or a ticket a line"
        ) from None
    for number, item in enumerate(items, 1):
        yield _row_from_value(f"item {number}", item, spec)


def _row_from_value(location: str, value: Any, spec: InputSpec) -> InputRow:
    """An object by its names; a text or a whole number as what it is."""
    if isinstance(value, dict):
        return row_from_cells(location, value, spec)
    if is_id_value(value):
        return InputRow(location=location, text=str(value).strip())
    return InputRow(location=location, problem=f"{type(value).__name__} is no object with an id")
