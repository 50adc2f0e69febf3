"""Files: what was downloaded for a ticket, as a journal remembers it. Touches no such file."""

import sqlite3
from typing import Any

from attrs import frozen

from .._models.ticket import Ticket
from .compact_ids import family_names, row_id_of


@frozen(kw_only=True)
class RecordedFile:
    """
    One file of a ticket.

    Attributes:
        ticket: Whose result it is.
        output_index: Which of the ticket's outputs, counted from 0.
        path: Where it was written.
        sha256: The digest of its bytes, in hexadecimal digits.
        size: How many bytes it has.
        url: Where it came from.
        recorded_at: When it was recorded, in seconds since 1970.
    """

    ticket: Ticket
    output_index: int
    path: str
    sha256: str
    size: int
    url: str
    recorded_at: float


def record_file(db: sqlite3.Connection, file: RecordedFile) -> None:
    """
    Remember a file; one with the same ticket and number is replaced.

    Raises:
        ValueError: The ticket is not in this journal.
    """
    db.execute(
        "INSERT OR REPLACE INTO files (ticket, output_index, path, sha256, size, url, recorded_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(row_id_of(db, file.ticket), file.output_index, file.path),
            *(file.sha256, file.size, file.url, file.recorded_at),
        ),
    )


def files_of(db: sqlite3.Connection, ticket: Ticket) -> list[RecordedFile]:
    """The files of a ticket, in the order of its outputs."""
    rows = db.execute(
        "SELECT output_index, path, sha256, size, url, recorded_at FROM files WHERE ticket = ? ORDER BY output_index",
        (row_id_of(db, ticket),),
    )
    return [_recorded(ticket, row) for row in rows]


def page_of_files(
    db: sqlite3.Connection, after: tuple[int, int], limit: int
) -> tuple[list[RecordedFile], tuple[int, int] | None]:
    """A page of all files, in the order of tickets and outputs, and where it stops."""
    names = family_names(db)
    rows = db.execute(
        "SELECT files.ticket, family, id, output_index, path, sha256, size, url, recorded_at "
        "FROM files JOIN tickets ON tickets.ticket = files.ticket "
        "WHERE (files.ticket, output_index) > (?, ?) ORDER BY files.ticket, output_index LIMIT ?",
        (*after, limit),
    ).fetchall()
    page = [_recorded(Ticket(names[row[1]], str(row[2])), row[3:]) for row in rows]
    return page, (rows[-1][0], rows[-1][3]) if len(rows) == limit else None


def _recorded(ticket: Ticket, row: tuple[Any, ...]) -> RecordedFile:
    output_index, path, sha256, size, url, recorded_at = row
    return RecordedFile(
        ticket=ticket,
        output_index=output_index,
        path=path,
        sha256=sha256,
        size=size,
        url=url,
        recorded_at=recorded_at,
    )
