"""Writes the outcomes of a journal as JSON lines, CSV or Parquet. It never changes the journal."""

import csv
import importlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar, get_args

from .._aio.durable_files import atomic_replace
from .._models.journal_errors import JournalDamaged
from .._models.outcomes import Unresolved
from .._models.replies import Failed, Success
from .._models.serialization import to_dict
from .queries import RecordedOutcome, outcome_page

ExportFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]
_Page: TypeAlias = list[RecordedOutcome]
T = TypeVar("T")

_PAGE_SIZE: Final = 5000
_COLUMNS: Final = (
    *("ticket", "state", "reason", "output", "message"),
    *("polls", "added_at", "completed_at", "body"),
)


def format_from_path(path: str) -> ExportFormat:
    """
    Return the export format for the suffix of a file name.

    Raises:
        ValueError: No format has this suffix.
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
    """
    Write a snapshot of all outcomes to a file. Return their number.

    Raises:
        JournalDamaged: The row of a ticket cannot be exported, so no file is written.
    """
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
    # All pages are read in one transaction, so that they belong to the same snapshot.
    db.execute("BEGIN")
    cursor: int | None = 0
    while cursor is not None:
        page, cursor = outcome_page(db, cursor, _PAGE_SIZE)
        yield page


def _write_jsonl(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8") as file:
        for page in pages:
            file.writelines(_converted(each, _json_line) for each in page)


def _write_csv(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for page in pages:
            writer.writerows(_converted(each, _csv_row) for each in page)


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
            rows = [_converted(each, _row) for each in page]
            file.write_table(arrow.Table.from_pylist(rows, schema=schema))


_WRITERS: Final[dict[ExportFormat, Callable[[Path, Iterable[_Page]], None]]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


def _converted(each: RecordedOutcome, convert: Callable[[RecordedOutcome], T]) -> T:
    """Convert one outcome. An error names the ticket, so that the caller can fix its row."""
    try:
        return convert(each)
    except Exception as error:
        ticket = each.outcome.ticket
        damaged = JournalDamaged(
            f"the outcome of {ticket} cannot be exported ({type(error).__name__}: {error!s:.200}); "
            "keep a copy of this journal, and delete the row of that ticket from the table "
            "replies to export the others"
        )
        damaged.ticket = ticket
        raise damaged from error


def _json_line(each: RecordedOutcome) -> str:
    return json.dumps(to_dict(each.outcome)) + "\n"


def _csv_row(each: RecordedOutcome) -> dict[str, Any]:
    row = _row(each)
    row["output"] = json.dumps(row["output"])
    for name in ("added_at", "completed_at"):
        row[name] = row[name].isoformat()
    return row


def _row(each: RecordedOutcome) -> dict[str, Any]:
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
        "output": [_encodable(link) for link in output],
        "message": _encodable(message),
        "polls": each.polls,
        "added_at": _utc(each.added_at),
        "completed_at": _utc(each.completed_at),
        "body": json.dumps(raw),
    }


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can contain but a UTF-8 file cannot."""
    return text.encode("utf-8", "replace").decode()


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
