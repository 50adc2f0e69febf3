"""Reads the rows of JSON lines or of one JSON array. Names the problem of each bad row."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from attrs import frozen

from .table_errors import UnusableTable
from .ticket_columns import InputRow, InputSpec, is_id_value, row_from_cells, shorten

Parse: TypeAlias = Callable[[str], Any]

_TOO_DEEP = "it is nested too deeply"


class _RepeatedKey(ValueError):
    """An object has two values for one key."""


@frozen
class JsonItem:
    """
    An item of a JSON array, or the value of a line of JSON.

    Attributes:
        location: Where the value is, such as `line 3`.
        value: The value; None if it cannot be read.
        problem: Why the value cannot be read.
    """

    location: str
    value: Any = None
    problem: str = ""


def rows_from_json_lines(lines: Iterable[str], spec: InputSpec) -> Iterator[InputRow]:
    """Yield one row for each line of JSON."""
    return (_row_from_item(item, spec) for item in items_from_json_lines(lines, parse_json))


def rows_from_json_array(lines: Iterable[str], name: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    Yield one row for each item of a JSON array, which may span many lines.

    Raises:
        UnusableTable: The text is not a JSON array.
    """
    advice = "give an array, one object a line, or one ticket a line"
    items = items_from_json_array(lines, parse_json, name=name, advice=advice)
    return (_row_from_item(item, spec) for item in items)


def items_from_json_lines(lines: Iterable[str], parse: Parse) -> Iterator[JsonItem]:
    """Yield the value of each line of JSON, as `parse` returns it."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        location = f"line {number}"
        try:
            yield JsonItem(location, parse(line))
        except RecursionError:
            yield JsonItem(location, problem=_TOO_DEEP)
        except _RepeatedKey as error:
            yield JsonItem(location, problem=str(error))
        except ValueError:
            yield JsonItem(location, problem="it is not a line of JSON")


def items_from_json_array(
    lines: Iterable[str], parse: Parse, *, name: str, advice: str
) -> Iterator[JsonItem]:
    """
    Yield the items of a JSON array, which may span many lines.

    Args:
        lines: The lines of the text.
        parse: Parses JSON text, and returns its value.
        name: The name of the file, for the error message.
        advice: What the user can give instead, for the error message.

    Raises:
        UnusableTable: The text is not a JSON array.
    """
    try:
        values = parse("".join(lines))
    except _RepeatedKey as error:
        raise UnusableTable(f"in an object of {name}, {error}") from None
    except (RecursionError, ValueError) as error:
        reason = _TOO_DEEP if isinstance(error, RecursionError) else error
        raise UnusableTable(
            f"{name} begins like a JSON array but is none: {reason}; {advice}"
        ) from None
    for number, value in enumerate(values, 1):
        yield JsonItem(f"item {number}", value)


def parse_json(text: str) -> Any:
    """
    Parse JSON. NaN and Infinity become None: some programs write them for missing values.

    Raises:
        ValueError: The text is not JSON, or an object has two values for one key.
    """
    return json.loads(text, parse_constant=lambda _: None, object_pairs_hook=object_from_pairs)


def object_from_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """
    Return the dictionary of an object, as a hook of `json.loads`.

    Raises:
        ValueError: The object has two values for one key. A dictionary would keep the last one.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if values[key] != value:
                raise _RepeatedKey(f"{shorten(key)!r} has two values; keep one of them")
    return values


def _row_from_item(item: JsonItem, spec: InputSpec) -> InputRow:
    """Return the row for an item, which is a JSON object or a single ticket or id."""
    location, value = item.location, item.value
    if item.problem:
        return InputRow(location=location, problem=item.problem)
    if isinstance(value, dict):
        return row_from_cells(location, value, spec, {})
    if is_id_value(value):
        return InputRow(location=location, text=str(value).strip())
    return InputRow(
        location=location, problem=f"{type(value).__name__} is not an object with an id"
    )
