"""Detects Parquet files, and reads their rows. Only reading the rows needs pyarrow."""

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any, Final

from .json_input import parse_json
from .table_errors import UnusableTable, missing_pyarrow
from .ticket_columns import InputRow, InputSpec, format_names, is_ticket_column, row_from_cells

_MAGIC: Final = b"PAR1"
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000
# Arrow writes a timestamp as `2026-01-02 03:04:05+0100`. In ISO 8601 there is a `T` in place of the
# blank, and a colon in the offset. The patterns match these two places.
_END_OF_DATE: Final = re.compile(r"(?<=-\d\d) (?=\d\d:)")
_END_OF_OFFSET_HOURS: Final = re.compile(r"(?<=[+-]\d\d)(?=\d\d$)")


def is_parquet(source: str) -> bool:
    """Whether a path leads to a Parquet file."""
    if not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def rows_from_parquet(source: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    Yield the rows of a Parquet file.

    Raises:
        MissingPyarrow: The package pyarrow is not installed.
        UnusableTable: The file is damaged, has no column of tickets or ids, or has a column that
            cannot be read.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise missing_pyarrow(f"reading the Parquet file {source}") from None
    try:
        with parquet.ParquetFile(source) as file:
            names = file.schema_arrow.names
            if not any(is_ticket_column(name, spec) for name in names):
                raise UnusableTable(
                    f"{source} has no column with a known name; it has {format_names(names)}; "
                    f"choose one with {spec.named_column}"
                )
            number = 0
            for batch in file.iter_batches():
                columns = [
                    _values(column, f"column {name!r} of {source}")
                    for name, column in zip(names, batch.columns, strict=True)
                ]
                for values in zip(*columns, strict=True):
                    number += 1
                    cells = dict(zip(names, values, strict=True))
                    yield row_from_cells(f"row {number}", _plain(cells), spec)
    except arrow.ArrowException as error:
        raise UnusableTable(
            f"{source} is a damaged Parquet file; write it again: {error!s:.200}"
        ) from None


def _values(column: Any, name: str) -> list[Any]:
    """
    Return the values of a column. A time that Python cannot hold becomes a text.

    Args:
        column: A part of the column, as an Arrow array.
        name: What the error message calls the column.

    Raises:
        UnusableTable: A value cannot be read.
    """
    # Catch all errors here, because pyarrow and the packages of time zones raise many kinds.
    with suppress(Exception):
        return [*column.to_pylist()]
    try:
        return [_value(cell) for cell in column]
    except Exception as error:  # noqa: BLE001 -- See above.
        raise UnusableTable(
            f"{name} has a value of type {column.type} that cannot be read; store it as text, or "
            f"leave the column out: {error!s:.200}"
        ) from None


def _value(cell: Any) -> Any:
    """Return the value of a cell. Return a text if it is a time that Python cannot hold."""
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        # Python has no nanoseconds, and only the years from 1 to 9999.
        match str(cell.type).partition("[")[0]:
            case "timestamp" | "date32" | "date64" | "time64":
                text = _END_OF_DATE.sub("T", cell.cast("string").as_py())
                return _END_OF_OFFSET_HOURS.sub(":", text)
            case "duration" if cell.type.unit == "ns":
                seconds, nanoseconds = divmod(cell.value, _NANOSECONDS_PER_SECOND)
                return f"{timedelta(seconds=seconds)}.{nanoseconds:09}"
            case _:
                raise


def _plain(cells: dict[str, Any]) -> dict[str, Any]:
    """Convert the values of a row's cells to values that JSON can hold."""
    plain: dict[str, Any] = parse_json(json.dumps(cells, default=_as_text))
    return plain


def _as_text(value: Any) -> str:
    match value:
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case _:
            return str(value)
