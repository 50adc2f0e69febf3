"""Files: what was downloaded for a ticket, as a journal remembers it. Touches no such file."""

import sqlite3
from typing import Any

from attrs import frozen

from .._models.ticket import Ticket
from .compact_ids import names_of, number_of


@frozen(kw_only=True)
class RecordedFile:
    """
    One file of a ticket.

    Attributes:
        ticket: Whose result it is.
        number: Which of the ticket's outputs, counted from 0.
        path: Where it was written.
        sha256: The digest of its bytes, in hexadecimal digits.
        size: How many bytes it has.
        url: Where it came from.
        at: When it was recorded, in seconds since 1970.
    """

    ticket: Ticket
    number: int
    path: str
    sha256: str
    size: int
    url: str
    at: float


def record_file(db: sqlite3.Connection, file: RecordedFile) -> None:
    """
    Remember a file; one with the same ticket and number is replaced.

    Raises:
        ValueError: The ticket is not in this journal.
    """
    db.execute(
        "INSERT OR REPLACE INTO files (ticket, number, path, sha256, size, url, at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            *(number_of(db, file.ticket), file.number, file.path),
            *(file.sha256, file.size, file.url, file.at),
        ),
    )


def files_of(db: sqlite3.Connection, ticket: Ticket) -> list[RecordedFile]:
    """The files of a ticket, in the order of its outputs."""
    rows = db.execute(
        "SELECT number, path, sha256, size, url, at FROM files WHERE ticket = ? ORDER BY number",
        (number_of(db, ticket),),
    )
    return [_recorded(ticket, row) for row in rows]


def page_of_files(
    db: sqlite3.Connection, after: tuple[int, int], most: int
) -> tuple[list[RecordedFile], tuple[int, int] | None]:
    """A page of all files, in the order of tickets and outputs, and where it stops."""
    names = names_of(db)
    rows = db.execute(
        "SELECT files.ticket, family, id, number, path, sha256, size, url, at "
        "FROM files JOIN tickets ON tickets.ticket = files.ticket "
        "WHERE (files.ticket, number) > (?, ?) ORDER BY files.ticket, number LIMIT ?",
        (*after, most),
    ).fetchall()
    page = [_recorded(Ticket(names[row[1]], str(row[2])), row[3:]) for row in rows]
    return page, (rows[-1][0], rows[-1][3]) if len(rows) == most else None


def _recorded(ticket: Ticket, row: tuple[Any, ...]) -> RecordedFile:
    number, path, sha256, size, url, at = row
    return RecordedFile(
        ticket=ticket, number=number, path=path, sha256=sha256, size=size, url=url, at=at
    )
