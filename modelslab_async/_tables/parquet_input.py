"""Detects Parquet files, and reads their rows. Only reading the rows needs pyarrow."""

import importlib
import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

from .json_input import parse_json
from .table_errors import UnusableTable, missing_pyarrow
from .ticket_columns import (
    InputRow,
    InputSpec,
    format_names,
    is_ticket_column,
    row_from_cells,
    unique_names,
)

_MAGIC: Final = b"PAR1"
_NANOSECONDS_PER_SECOND: Final = 1_000_000_000


def is_parquet(source: str) -> bool:
    """Whether a path is the path of a Parquet file."""
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
            names, repeated = unique_names(file.schema_arrow.names)
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
                    cells = _plain(dict(zip(names, values, strict=True)))
                    yield row_from_cells(f"row {number}", cells, spec, repeated)
    except arrow.ArrowException as error:
        raise UnusableTable(
            f"{source} is a damaged Parquet file; write it again: {error!s:.200}"
        ) from None


def _values(column: Any, name: str) -> list[Any]:
    """
    Return the values of a column. Times and durations in nanoseconds become strings.

    Args:
        column: A part of the column, as an Arrow array.
        name: The name of the column in the error message.

    Raises:
        UnusableTable: A value cannot be read, or a list or structure holds times in nanoseconds.
    """
    try:
        # For nanoseconds, the values of `to_pylist` depend on whether pandas is installed, and may
        # lose digits. The name of a list type has the unit too: `list<item: timestamp[ns]>`.
        if "[ns" in str(column.type):
            return _nanosecond_texts(column)
        return [*column.to_pylist()]
    # pyarrow and the time zone packages raise many types of exceptions.
    except Exception as error:  # noqa: BLE001 -- See above.
        raise UnusableTable(
            f"{name} has a value of type {column.type} that cannot be read; store it as text, or "
            f"leave the column out: {error!s:.200}"
        ) from None


def _nanosecond_texts(column: Any) -> list[str | None]:
    """Return the values of a column of times or durations in nanoseconds, as strings."""
    arrow: Any = importlib.import_module("pyarrow")
    match str(column.type).partition("[")[0]:
        case "timestamp":
            kind = arrow.timestamp("s", tz=column.type.tz)
        case "time64":
            kind = arrow.time32("s")
        case "duration":
            kind = arrow.duration("s")
        case _:
            raise TypeError("the unit of its times is nanoseconds")
    parts = [
        (None, 0) if cell.value is None else divmod(cell.value, _NANOSECONDS_PER_SECOND)
        for cell in column
    ]
    # Python's times and durations have no nanoseconds, so convert only the whole seconds to them.
    wholes = arrow.array([seconds for seconds, _ in parts], kind).to_pylist()
    return [
        None if whole is None else _with_fraction(whole, nanoseconds)
        for whole, (_, nanoseconds) in zip(wholes, parts, strict=True)
    ]


def _with_fraction(whole: datetime | time | timedelta, nanoseconds: int) -> str:
    """Return a time or duration as a string, with 0, 6 or 9 decimals as needed."""
    text = _as_text(whole)
    if not nanoseconds:
        return text
    end = len("2026-01-02T03:04:05") if isinstance(whole, datetime) else len(text)
    fraction = f"{nanoseconds:09}".removesuffix("000")
    return f"{text[:end]}.{fraction}{text[end:]}"


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
