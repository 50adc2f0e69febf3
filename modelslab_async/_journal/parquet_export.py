"""Turns outcomes into the rows of an export, and writes rows as a Parquet file."""

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .._models.replies import Failed, Success
from .._models.unresolved_outcomes import Unresolved
from .export_columns import OWN_COLUMNS, ColumnType, InputColumn, encodable
from .queries import RecordedOutcome

_ARROW_TYPES: Final[Mapping[ColumnType, str]] = {
    "text": "string",
    "integer": "int64",
    "long": "int64",
    "number": "float64",
    "boolean": "bool_",
}


def outcome_row(each: RecordedOutcome, inputs: Sequence[InputColumn]) -> dict[str, Any]:
    """Return an outcome as a row of an export. `inputs` are the columns of the input table."""
    match each.outcome:
        case Success(output=output, message=message, raw=raw):
            state, reason = "success", ""
        case Failed(reason=reason, message=message, raw=raw):
            state, output = "failed", ()
        case Unresolved(cause=cause, last=last):
            state, reason, output, message = "unresolved", type(cause).__name__, (), cause.message
            raw = last.raw if last else {}
    return {
        "ticket": str(each.outcome.ticket),
        "state": state,
        "reason": reason,
        "output": [encodable(link) for link in output],
        "message": encodable(message),
        "polls": each.polls,
        "added_at": _utc(each.added_at),
        "completed_at": _utc(each.completed_at),
        "body": json.dumps(raw),
        "files": [encodable(file.path) for file in each.files],
        "track_id": each.track_id,
        "endpoint": each.endpoint,
        "key": each.key,
        "file_hosts": [file.host for file in each.files],
        **{column.export_name: column.value(each.columns) for column in inputs},
    }


def write_parquet(
    draft: Path,
    pages: Iterable[list[dict[str, Any]]],
    inputs: Sequence[InputColumn],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """
    Write rows to a Parquet file.

    Args:
        draft: The path of the file to write.
        pages: The rows, as one list for each page.
        inputs: The columns of the input table.
        metadata: Names and values to store in the footer of the file.

    Raises:
        ImportError: The package pyarrow is not installed.
    """
    arrow, parquet = require_arrow()
    timestamp_type = arrow.timestamp("us", tz="UTC")
    types = {name: arrow.string() for name in OWN_COLUMNS}
    types |= dict.fromkeys(("output", "files", "file_hosts"), arrow.list_(arrow.string()))
    types |= {"polls": arrow.int64(), "added_at": timestamp_type, "completed_at": timestamp_type}
    types |= {each.export_name: getattr(arrow, _ARROW_TYPES[each.type])() for each in inputs}
    schema = arrow.schema([*types.items()], metadata=metadata)
    with parquet.ParquetWriter(str(draft), schema) as file:
        for rows in pages:
            file.write_table(arrow.Table.from_pylist(rows, schema=schema))


def require_arrow() -> tuple[Any, Any]:
    """
    Return the modules pyarrow and pyarrow.parquet.

    Raises:
        ImportError: The package pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise ImportError(
            'an export as Parquet needs pyarrow: pip install "modelslab-async[parquet]", or '
            "pip install pyarrow if you run from a clone"
        ) from missing


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
