"""Records saved files in a PostgreSQL database. See `recorded_files`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .._models.ticket import Ticket
from .postgres_context import PostgresContext
from .postgres_tickets import row_id_of
from .recorded_files import FilePosition, RecordedFile

_RECORD: Final = """
INSERT INTO files (
    batch, ticket, output_index, path, sha256, size, url, is_length_verified, recorded_at, host
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (batch, ticket, output_index) DO UPDATE SET
    path = excluded.path, sha256 = excluded.sha256, size = excluded.size, url = excluded.url,
    is_length_verified = excluded.is_length_verified, recorded_at = excluded.recorded_at,
    host = excluded.host
"""
_COLUMN_NAMES: Final = (
    *("output_index", "path", "sha256", "size", "url"),
    *("is_length_verified", "recorded_at", "host"),
)
_COLUMNS: Final = ", ".join(_COLUMN_NAMES)
_SELECT_BETWEEN: Final = f"""
SELECT ticket, {_COLUMNS} FROM files
WHERE batch = $1 AND ticket > $2 AND ticket <= $3 ORDER BY ticket, output_index
"""
_SELECT_OF: Final = f"""
SELECT ticket, {_COLUMNS} FROM files
WHERE batch = $1 AND ticket = ANY ($2::bigint[]) ORDER BY ticket, output_index
"""
_SELECT_PAGE: Final = f"""
SELECT files.ticket, family, id, {_COLUMNS}
FROM files CROSS JOIN LATERAL (
    SELECT family, id FROM tickets WHERE batch = $1 AND ticket = files.ticket OFFSET 0
) AS known
WHERE files.batch = $1 AND (files.ticket, output_index) > ($2, $3)
ORDER BY files.ticket, output_index LIMIT $4
"""


async def record_file(db: PostgresContext, file: RecordedFile) -> None:
    """See `recorded_files.record_file`."""
    await db.fetch(
        _RECORD,
        *(await row_id_of(db, file.ticket), file.output_index, file.path, file.sha256),
        *(file.size, file.url, file.is_length_verified, file.recorded_at, file.host),
    )


async def files_of(db: PostgresContext, ticket: Ticket) -> list[RecordedFile]:
    """See `recorded_files.files_of`."""
    row_id = await row_id_of(db, ticket)
    files = await files_of_rows(db, {row_id: ticket})
    return [*files.get(row_id, ())]


async def files_of_rows(
    db: PostgresContext, tickets: Mapping[int, Ticket]
) -> Mapping[int, tuple[RecordedFile, ...]]:
    """Return the recorded files of some tickets, keyed by the number of the ticket's row."""
    return _by_row(tickets, await db.fetch(_SELECT_OF, [*tickets]))


async def files_between(
    db: PostgresContext, tickets: Mapping[int, Ticket], after: int, last: int
) -> Mapping[int, tuple[RecordedFile, ...]]:
    """See `recorded_files.files_between`."""
    return _by_row(tickets, await db.fetch(_SELECT_BETWEEN, after, last))


async def page_of_files(
    db: PostgresContext, after: FilePosition, limit: int
) -> tuple[list[RecordedFile], FilePosition | None]:
    """See `recorded_files.page_of_files`."""
    rows = await db.fetch(_SELECT_PAGE, *after, limit)
    page = [_recorded(Ticket(family, id_), columns) for _, family, id_, *columns in rows]
    if len(rows) < limit:
        return page, None
    return page, FilePosition(rows[-1][0], rows[-1][3])


def _by_row(
    tickets: Mapping[int, Ticket], rows: Sequence[Sequence[Any]]
) -> Mapping[int, tuple[RecordedFile, ...]]:
    files: defaultdict[int, tuple[RecordedFile, ...]] = defaultdict(tuple)
    for row_id, *columns in rows:
        if row_id in tickets:
            files[row_id] += (_recorded(tickets[row_id], columns),)
    return files


def _recorded(ticket: Ticket, columns: Sequence[Any]) -> RecordedFile:
    return RecordedFile(ticket=ticket, **dict(zip(_COLUMN_NAMES, columns, strict=True)))
