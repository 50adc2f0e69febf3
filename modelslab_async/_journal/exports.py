"""Exports: the outcomes of a journal as JSON lines, CSV or Parquet. The journal is left alone."""

import csv
import importlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from .._aio.durable_files import replacing
from .._models.outcomes import Unresolved
from .._models.replies import Failed, Success
from .._models.serialization import to_dict
from .queries import Ended, ended

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]
_Page: TypeAlias = list[Ended]

_PAGE: Final = 5000
_COLUMNS: Final = (
    *("ticket", "state", "reason", "output", "message", "looks", "added", "ended", "body"),
)


def form_of(path: str) -> Format:
    """
    The form that the name of a file stands for.

    Raises:
        ValueError: It stands for none.
    """
    suffix = Path(path).suffix.removeprefix(".").lower()
    for form in get_args(Format):
        if suffix == form:
            known: Format = form
            return known
    raise ValueError(
        f"an export is a file such as out.jsonl, out.csv or out.parquet, got {path!r}; "
        "give form= for another name"
    )


def export(db: sqlite3.Connection, path: str, form: Format, stopped: Callable[[], bool]) -> int:
    """Write all outcomes, as they are at this moment, and return how many they are."""
    count = 0

    def pages() -> Iterator[_Page]:
        nonlocal count
        for page in _pages(db):
            if stopped():
                raise InterruptedError("the export was cancelled")
            count += len(page)
            yield page

    with replacing(Path(path)) as draft:
        _WRITERS[form](draft, pages())
    return count


def _pages(db: sqlite3.Connection) -> Iterator[_Page]:
    db.execute("BEGIN")
    stop: int | None = 0
    while stop is not None:
        page, stop = ended(db, stop, _PAGE)
        yield page


def _write_jsonl(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8") as file:
        for page in pages:
            file.writelines(json.dumps(to_dict(each.outcome)) + "\n" for each in page)


def _write_csv(draft: Path, pages: Iterable[_Page]) -> None:
    with draft.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(_COLUMNS)
        for page in pages:
            for each in page:
                row = _row(each)
                row["output"] = json.dumps(row["output"])
                row["added"], row["ended"] = row["added"].isoformat(), row["ended"].isoformat()
                table.writerow(row.values())


def _write_parquet(draft: Path, pages: Iterable[_Page]) -> None:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise ImportError(
            'an export as Parquet needs pyarrow: pip install "modelslab-async[parquet]"'
        ) from missing
    moment = arrow.timestamp("us", tz="UTC")
    types = {name: arrow.string() for name in _COLUMNS}
    types |= {"output": arrow.list_(arrow.string()), "looks": arrow.int64()}
    types |= {"added": moment, "ended": moment}
    schema = arrow.schema([(name, types[name]) for name in _COLUMNS])
    with parquet.ParquetWriter(str(draft), schema) as file:
        for page in pages:
            rows = [_row(each) for each in page]
            file.write_table(arrow.Table.from_pylist(rows, schema=schema))


_WRITERS: Final[dict[Format, Callable[[Path, Iterable[_Page]], None]]] = {
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


def _row(each: Ended) -> dict[str, Any]:
    match each.outcome:
        case Success(output=output, message=message, raw=raw):
            state, reason = "success", ""
        case Failed(reason=reason, message=message, raw=raw):
            state, output = "failed", ()
        case Unresolved(cause=cause, last=last):
            state, reason, output, message = "unresolved", type(cause).__name__, (), cause.message
            raw = last.raw if last else {}
    values = (
        *(str(each.outcome.ticket), state, reason, list(output), message, each.looks),
        *(_moment(each.added), _moment(each.ended), json.dumps(raw)),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
