"""Chooses the columns of an export: fixed columns, and the columns of the input table."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from attrs import frozen

from .._models.ticket import Columns

ColumnType: TypeAlias = Literal["text", "integer", "long", "number", "boolean"]

OWN_COLUMNS: Final = (
    *("ticket", "state", "reason", "output", "message"),
    *("polls", "added_at", "completed_at", "body"),
    *("files", "track_id", "endpoint", "key", "file_hosts"),
)
# The prefix that is added to the name of an input column if the export already uses this name.
_PREFIX: Final = "input_"
# A float represents every integer up to this one exactly.
_MAX_EXACT_FLOAT: Final = 2**53
_MAX_LONG: Final = 2**63 - 1
# The types of columns that hold values of two types. For any other pair, the type of the column is
# "text".
_COMMON_TYPES: Final[Mapping[frozenset[ColumnType], ColumnType]] = {
    frozenset(("integer", "number")): "number",
    frozenset(("integer", "long")): "long",
}


@frozen
class InputColumn:
    """
    A column that an export takes from the input table.

    Attributes:
        name: The name of the column in the input table.
        export_name: The name of the column in the export.
        type: The type of the column in the export. If it is "text", a value that is not a string is
            exported as JSON.
    """

    name: str
    export_name: str
    type: ColumnType

    def value(self, columns: Columns) -> Any:
        """Return this column's value in one row; None if the row lacks this column."""
        value = columns.get(self.name)
        return value if value is None or self.type != "text" else as_text(value)


def input_columns(rows: Iterable[Columns]) -> tuple[InputColumn, ...]:
    """Return all columns of the input table, in the order in which they first appear."""
    types: dict[str, ColumnType | None] = {}
    for row in rows:
        for name, value in row.items():
            types[name] = _common_type(types.get(name), value)
    export_names = _export_names(types)
    return tuple(
        InputColumn(name, export_names[name], type_ or "text") for name, type_ in types.items()
    )


def as_text(value: Any) -> str:
    """Return a string that UTF-8 can encode. Convert a value that is not a string to JSON."""
    return encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain but a UTF-8 file cannot."""
    return text.encode("utf-8", "replace").decode()


def _export_names(names: Iterable[str]) -> Mapping[str, str]:
    """Return an export name for each column. The names are unique, even if case is ignored."""
    taken = set(OWN_COLUMNS)
    export_names: dict[str, str] = {}
    for name in names:
        export_name = encodable(name)
        while export_name.casefold() in taken:
            export_name = f"{_PREFIX}{export_name}"
        taken.add(export_name.casefold())
        export_names[name] = export_name
    return export_names


def _common_type(before: ColumnType | None, value: Any) -> ColumnType | None:
    """Return a column type that fits `value` and the earlier values, which have type `before`."""
    type_: ColumnType
    match value:
        case None:
            return before
        case bool():
            type_ = "boolean"
        case int() if abs(value) <= _MAX_EXACT_FLOAT:
            type_ = "integer"
        case int() if abs(value) <= _MAX_LONG:
            type_ = "long"
        case float():
            type_ = "number"
        case _:
            type_ = "text"
    if before is None or before == type_:
        return type_
    return _COMMON_TYPES.get(frozenset((before, type_)), "text")
