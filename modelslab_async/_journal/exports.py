"""Writes the outcomes of a journal as JSON lines, CSV or Parquet, without changing the journal."""

import csv
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, get_args

from .._aio.durable_files import atomic_replace, remove_old_drafts
from .._models.argument_checks import check_type
from .._models.journal_errors import JournalDamaged
from .._models.serialization import to_dict
from .._models.ticket import Columns
from .export_columns import OWN_COLUMNS, InputColumn, as_text, input_columns
from .journal_files import is_journal_file
from .parquet_export import outcome_row, write_parquet
from .queries import RecordedOutcome, input_rows, outcome_page
from .recorded_files import path_text

ExportFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]
T = TypeVar("T")

PAGE_SIZE: Final = 5000


def format_from_path(path: str) -> ExportFormat:
    """
    Return the export format that the suffix of a file name stands for.

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


def target_and_format(
    path: str | os.PathLike[str], file_format: ExportFormat | None
) -> tuple[str, ExportFormat]:
    """
    Return the path and the format of an export. If no format is given, the suffix decides.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The path is empty, or the format or the suffix is unknown.
    """
    target = path_text(path)
    if not target:
        raise ValueError(
            "path is the path of a file, as a text or a path object, got an empty text; name a file"
        )
    # The file is written in another thread, and the program may leave its folder meanwhile.
    absolute = str(Path(target).absolute())
    if file_format is None:
        return absolute, format_from_path(target)
    formats = get_args(ExportFormat)
    expected_format = f"{', '.join(map(repr, formats))} or None"
    check_type("file_format", file_format, str, expected_format)
    if file_format not in formats:
        raise ValueError(f"file_format is {expected_format}, got another text")
    return absolute, file_format


def export(
    db: sqlite3.Connection, path: str, file_format: ExportFormat, stop: threading.Event
) -> int:
    """
    Write a snapshot of all outcomes to a file. Return the number of outcomes.

    Raises:
        InterruptedError: `stop` was set, so no file is written.
        JournalDamaged: The row of a ticket cannot be exported, so no file is written.
        ValueError: `path` leads to a file of the journal itself.
    """
    (_, _, own_file) = db.execute("PRAGMA database_list").fetchone()
    if is_journal_file(path, own_file):
        raise ValueError(f"{path!r} is a file of the journal; give the export another name")
    return write_export(_Snapshot(db, stop), path, file_format)


class Snapshot(Protocol):
    """All outcomes of a journal at one moment."""

    def pages(self) -> Iterator[list[RecordedOutcome]]:
        """Yield the outcomes, page by page."""
        ...

    def input_columns(self) -> tuple[InputColumn, ...]:
        """Return the columns of the input table, with their names and types in the export."""
        ...

    @property
    def count(self) -> int:
        """The number of outcomes that have been read so far."""
        ...

    def check_not_cancelled(self) -> None:
        """Raise `InterruptedError` if the export was cancelled."""
        ...


def write_export(snapshot: Snapshot, path: str, file_format: ExportFormat) -> int:
    """
    Write a snapshot to a file. Return the number of rows.

    An existing file is replaced only when the new file is complete.

    Raises:
        InterruptedError: The export was cancelled, so no file is written.
        JournalDamaged: The row of a ticket cannot be exported, so no file is written.
    """
    target = Path(path)
    remove_old_drafts(target)
    with atomic_replace(target) as draft:
        _WRITERS[file_format](draft, snapshot)
        snapshot.check_not_cancelled()
    return snapshot.count


class _Snapshot:
    """A snapshot of an SQLite file."""

    def __init__(self, db: sqlite3.Connection, stop: threading.Event) -> None:
        self.count = 0
        self._db = db
        self._stop = stop
        # Read everything in one transaction, so that all pages show the same moment.
        db.execute("BEGIN")

    def pages(self) -> Iterator[list[RecordedOutcome]]:
        """See `Snapshot`."""
        cursor: int | None = 0
        while cursor is not None:
            page, cursor = outcome_page(self._db, cursor, PAGE_SIZE)
            self.check_not_cancelled()
            self.count += len(page)
            yield page

    def input_columns(self) -> tuple[InputColumn, ...]:
        """See `Snapshot`."""
        return input_columns(self._input_rows())

    def _input_rows(self) -> Iterator[Columns]:
        for number, row in enumerate(input_rows(self._db)):
            if number % PAGE_SIZE == 0:
                self.check_not_cancelled()
            yield row

    def check_not_cancelled(self) -> None:
        """See `Snapshot`."""
        if self._stop.is_set():
            raise InterruptedError("the export was cancelled")


def _write_jsonl(draft: Path, snapshot: Snapshot) -> None:
    with draft.open("w", encoding="utf-8") as file:
        for page in snapshot.pages():
            file.writelines(_converted(each, _json_line) for each in page)


def _write_csv(draft: Path, snapshot: Snapshot) -> None:
    inputs = snapshot.input_columns()
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*OWN_COLUMNS, *(each.export_name for each in inputs)))
        writer.writeheader()
        for page in snapshot.pages():
            writer.writerows(_converted(each, partial(_csv_row, inputs=inputs)) for each in page)


def _write_parquet(draft: Path, snapshot: Snapshot) -> None:
    inputs = snapshot.input_columns()
    to_row = partial(outcome_row, inputs=inputs)
    pages = ([_converted(each, to_row) for each in page] for page in snapshot.pages())
    write_parquet(draft, pages, inputs)


_WRITERS: Final[dict[ExportFormat, Callable[[Path, Snapshot], None]]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


def _converted(each: RecordedOutcome, convert: Callable[[RecordedOutcome], T]) -> T:
    """Convert one outcome. If this fails, raise an error that names the ticket."""
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
    details = {
        "files": [
            {
                "n": file.output_index,
                "path": file.path,
                "sha256": file.sha256,
                "size": file.size,
                "host": file.host,
            }
            for file in each.files
        ],
        "track_id": each.track_id,
        "endpoint": each.endpoint,
        "key": each.key,
        "input": each.columns,
    }
    return json.dumps(to_dict(each.outcome) | details) + "\n"


def _csv_row(each: RecordedOutcome, inputs: Sequence[InputColumn]) -> dict[str, Any]:
    row = outcome_row(each, ())
    row |= {
        column.export_name: "" if value is None else as_text(value)
        for column in inputs
        for value in [each.columns.get(column.name)]
    }
    row["output"] = json.dumps(row["output"])
    row["files"] = json.dumps(row["files"])
    row["file_hosts"] = json.dumps(row["file_hosts"])
    for name in ("added_at", "completed_at"):
        row[name] = row[name].isoformat()
    return row
