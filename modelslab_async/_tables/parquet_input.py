"""Detects Parquet files, and reads their rows. Only reading the rows needs pyarrow."""

import importlib
import json
from collections.abc import Iterator
from datetime import date, time
from pathlib import Path
from typing import Any, Final

from .json_input import parse_json
from .table_errors import UnusableTable, missing_pyarrow
from .ticket_columns import InputRow, InputSpec, format_names, is_ticket_column, row_from_cells

_MAGIC: Final = b"PAR1"


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
        UnusableTable: The file is damaged, or has no column of tickets or ids.
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
                for cells in batch.to_pylist():
                    number += 1
                    yield row_from_cells(f"row {number}", _plain(cells), spec)
    except arrow.ArrowException as error:
        raise UnusableTable(
            f"{source} is a damaged Parquet file; write it again: {error!s:.200}"
        ) from None


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
