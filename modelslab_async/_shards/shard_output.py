"""Reads and writes parts. A part is a Parquet file with the outcomes of one shard's tickets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from attrs import asdict, frozen

from .._aio.durable_files import atomic_replace
from .._journal.export_columns import input_columns
from .._journal.parquet_export import outcome_row, require_arrow, write_parquet
from .._journal.queries import RecordedOutcome
from .._models.ticket import Columns
from .._tables.table_errors import UnusableTable

_METADATA: Final = "modelslab_async"
_ROWS_PER_GROUP: Final = 10_000


@frozen(kw_only=True)
class PartCounts:
    """The numbers of succeeded, failed and unresolved tickets in one output file."""

    success: int = 0
    failed: int = 0
    unresolved: int = 0

    def __add__(self, other: "PartCounts") -> "PartCounts":
        return PartCounts(
            success=self.success + other.success,
            failed=self.failed + other.failed,
            unresolved=self.unresolved + other.unresolved,
        )


def read_counts(path: Path) -> PartCounts | None:
    """
    Return how many tickets of an output file have each outcome; None if there is no such file.

    Raises:
        UnusableTable: The file is damaged.
    """
    if not path.exists():
        return None
    _, parquet = require_arrow()
    try:
        metadata = parquet.read_schema(str(path)).metadata
        return PartCounts(**json.loads(metadata[_METADATA.encode()]))
    except Exception as error:  # noqa: BLE001 -- A foreign file can raise anything.
        raise _damaged(path, error) from None


def read_settled_rows(path: Path) -> dict[str, dict[str, Any]]:
    """
    Return the rows of an output file, keyed by ticket. Leave out unresolved tickets.

    A file that does not exist has no rows.

    Raises:
        UnusableTable: The file is damaged.
    """
    if not path.exists():
        return {}
    _, parquet = require_arrow()
    try:
        rows = parquet.read_table(str(path)).to_pylist()
        return {row["ticket"]: row for row in rows if row["state"] != "unresolved"}
    except Exception as error:  # noqa: BLE001 -- A foreign file can raise anything.
        raise _damaged(path, error) from None


def write_part(
    path: Path,
    columns: Sequence[Columns],
    rows: Sequence[RecordedOutcome | dict[str, Any]],
) -> PartCounts:
    """
    Write or replace the output file of a shard. Return how many tickets have each outcome.

    Other processes see the file only when it is complete.

    Args:
        path: The path of the file.
        columns: For each ticket, its row of the input table.
        rows: For each ticket, its new outcome, or its row of the old output file.
    """
    inputs = input_columns(columns)
    written = [row if isinstance(row, dict) else outcome_row(row, inputs) for row in rows]
    states = [row["state"] for row in written]
    counts = PartCounts(**{state: states.count(state) for state in sorted(set(states))})
    pages = (written[at : at + _ROWS_PER_GROUP] for at in range(0, len(written), _ROWS_PER_GROUP))
    with atomic_replace(path) as draft:
        write_parquet(draft, pages, inputs, {_METADATA: json.dumps(asdict(counts))})
    return counts


def _damaged(path: Path, error: Exception) -> UnusableTable:
    return UnusableTable(
        f"{path} is damaged ({type(error).__name__}: {error!s:.200}); delete it, and the next call "
        "writes it again"
    )
