"""Reads the rows of JSON lines or of one JSON array. It reports every row without an id."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from .input_columns import InputRow, InputSpec, is_id_value, row_from_cells, shorten

_TOO_DEEP = "it is nested too deeply"


def rows_from_json_lines(lines: Iterable[str], spec: InputSpec) -> Iterator[InputRow]:
    """Yield one row for each line of JSON."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        location = f"line {number}"
        try:
            value = _parse(line)
        except RecursionError:
            yield InputRow(location=location, problem=_TOO_DEEP)
        except ValueError:
            yield InputRow(
                location=location, problem=f"{shorten(line.strip())!r} is not a line of JSON"
            )
        else:
            yield _row_from_value(location, value, spec)


def rows_from_json_array(lines: Iterable[str], name: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    Yield one row for each item of a JSON array, which may span many lines.

    Raises:
        click.UsageError: The text is not a JSON array.
    """
    try:
        items = _parse("".join(lines))
    except (RecursionError, ValueError) as error:
        reason = _TOO_DEEP if isinstance(error, RecursionError) else error
        raise click.UsageError(
            f"{name} begins like a JSON array but is none: {reason}; "
            "give an array, one object a line, or one ticket a line"
        ) from None
    for number, item in enumerate(items, 1):
        yield _row_from_value(f"item {number}", item, spec)


def _parse(text: str) -> Any:
    # Some programs write NaN where a value is missing, which JSON does not have.
    return json.loads(text, parse_constant=lambda _: None)


def _row_from_value(location: str, value: Any, spec: InputSpec) -> InputRow:
    """Return the row for an object with named values, or for a single ticket or id."""
    if isinstance(value, dict):
        return row_from_cells(location, value, spec)
    if is_id_value(value):
        return InputRow(location=location, text=str(value).strip())
    return InputRow(
        location=location, problem=f"{type(value).__name__} is not an object with an id"
    )
