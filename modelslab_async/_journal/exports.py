"""Exports: the outcomes of a journal as JSON lines, CSV or Parquet. The journal is left alone."""

import csv
import importlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from .._aio.durable_files import atomic_replace
from .._models.outcomes import Unresolved
from .._models.replies import Failed, Success
from .._models.serialization import to_dict
from .queries import RecordedOutcome, outcome_page

ExportFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]
_Page: TypeAlias = list[RecordedOutcome]

_PAGE_SIZE: Final = 5000
_COLUMNS: Final = (
    *(
        "ticket",
        "state",
        "reason",
        "output",
        "message",
        "polls",
        "added_at",
        "completed_at",
        "body",
    ),
)


def format_from_path(path: str) -> ExportFormat:
    """
    The form that the name of a file stands for.

    Raises:
        ValueError: It stands for none.
    """
    suffix = Path(path).suffix.removeprefix(".").lower()
    for file_format in get_args(ExportFormat):
        if suffix == file_format:
            known: ExportFormat = file_format
            return known
    raise ValueError(
        f"an export is a file such as out.jsonl, out.csv or out.parquet, got {path!r}; "
        "give file_format= for another name"
    )


def export(
    db: sqlite3.Connection, path: str, file_format: ExportFormat, is_cancelled: Callable[[], bool]
) -> int:
    """Write all outcomes, as they are at this moment, and return how many they are."""
    count = 0

    def pages() -> Iterator[_Page]:
        nonlocal count
        for page in _pages(db):
            if is_cancelled():
                raise InterruptedError("the export was cancelled")
            count += len(page)
            yield page

    with atomic_replace(Path(path)) as draft:
        _WRITERS[file_format](draft, pages())
    return count


def _pages(db: sqlite3.Connection) -> Iterator[_Page]:
    db.execute("BEGIN")
    cursor: int | None = 0
    while cursor is not None:
        page, cursor = outcome_page(db, cursor, _PAGE_SIZE)
        yield page


def _write_jsonl(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8") as file:
        for page in pages:
            file.writelines(json.dumps(to_dict(each.outcome)) + "\n" for each in page)


def _write_csv(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for page in pages:
            for each in page:
                row = _row(each)
                row["output"] = json.dumps(row["output"])
                row["added_at"], row["completed_at"] = (
                    row["added_at"].isoformat(),
                    row["completed_at"].isoformat(),
                )
                writer.writerow(row.values())


def _write_parquet(draft: Path, pages: Iterable[_Page]) -> None:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise ImportError(
            'an export as Parquet needs pyarrow: pip install "modelslab-async[parquet]"'
        ) from missing
    timestamp_type = arrow.timestamp("us", tz="UTC")
    types = {name: arrow.string() for name in _COLUMNS}
    types |= {"output": arrow.list_(arrow.string()), "polls": arrow.int64()}
    types |= {"added_at": timestamp_type, "completed_at": timestamp_type}
    schema = arrow.schema([(name, types[name]) for name in _COLUMNS])
    with parquet.ParquetWriter(str(draft), schema) as file:
        for page in pages:
            rows = [_row(each) for each in page]
            file.write_table(arrow.Table.from_pylist(rows, schema=schema))


_WRITERS: Final[dict[ExportFormat, Callable[[Path, Iterable[_Page]], None]]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


def _row(each: RecordedOutcome) -> dict[str, Any]:
    match each.outcome:
        case Success(output=output, message=message, raw=raw):
            state, reason = "success", ""
        case Failed(reason=reason, message=message, raw=raw):
            state, output = "failed", ()
        case Unresolved(cause=cause, last=last):
            state, reason, output, message = "unresolved", type(cause).__name__, (), cause.message
            raw = last.raw if last else {}
    values = (
        *(str(each.outcome.ticket), state, reason, list(output), message, each.polls),
        *(_utc(each.added_at), _utc(each.completed_at), json.dumps(raw)),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
