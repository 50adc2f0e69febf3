"""Records in the journal which files were downloaded. Other modules write the files themselves."""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from attrs import frozen

from .._models.argument_checks import MAX_INT32, MAX_INT64, check_count, check_texts, check_type
from .._models.ticket import Ticket
from .row_codec import damaged_row
from .ticket_id_codec import family_names, read_ticket, row_id_of

_COLUMNS: Final = "output_index, path, sha256, size, url, is_length_verified, recorded_at, host"


@frozen(kw_only=True)
class RecordedFile:
    """
    One saved file of a ticket.

    Attributes:
        ticket: The ticket.
        output_index: The zero-based index of the output.
        path: The path that the file was written to.
        sha256: The SHA-256 digest of the file, in hexadecimal digits.
        size: The size of the file in bytes.
        url: The link that the file was downloaded from.
        is_length_verified: Whether the server announced the file's length, and the file has this
            length.
        recorded_at: When the file was recorded, in seconds since 1970.
        host: The name of the host that saved the file; None if no name was recorded.
    """

    ticket: Ticket
    output_index: int
    path: str
    sha256: str
    size: int
    url: str
    is_length_verified: bool = True
    recorded_at: float
    host: str | None = None


def path_text(path: str | os.PathLike[str]) -> str:
    """
    Return the path of a file as a string.

    Raises:
        TypeError: The path is neither a str nor a path object that converts to a str.
    """
    expected = "the path of a file, as a text or a path object"
    check_type("path", path, str | os.PathLike, expected)
    text = os.fspath(path)
    check_type("path", text, str, expected)
    return text


def check_file(file: RecordedFile) -> None:
    """
    Check the arguments of `Journal.record_file`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The number of the output or the size is negative, or too high for its column.
    """
    check_count("output_index", file.output_index, least=0, most=MAX_INT32)
    check_count("size", file.size, unit="bytes", least=0, most=MAX_INT64)
    check_texts(sha256=file.sha256, url=file.url)
    check_type("is_length_verified", file.is_length_verified, bool, "True or False")


class FilePosition(NamedTuple):
    """A file's position in the list of all files, which is sorted by ticket and then by output."""

    row_id: int
    output_index: int


def record_file(db: sqlite3.Connection, file: RecordedFile) -> None:
    """
    Record a file. Replace an earlier record of the same output, if there is one.

    Raises:
        ValueError: The ticket is not in this journal.
    """
    db.execute(
        "INSERT OR REPLACE INTO files (ticket, output_index, path, sha256, size, url, "
        "is_length_verified, recorded_at, host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(row_id_of(db, file.ticket), file.output_index, file.path, file.sha256),
            *(file.size, file.url, file.is_length_verified, file.recorded_at, file.host),
        ),
    )


def files_of(db: sqlite3.Connection, ticket: Ticket) -> list[RecordedFile]:
    """Return the recorded files of a ticket, in the order of its outputs."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM files WHERE ticket = ? ORDER BY output_index",
        (row_id_of(db, ticket),),
    )
    return [_recorded(ticket, *row) for row in rows]


def files_between(
    db: sqlite3.Connection, tickets: Mapping[int, Ticket], after: int, last: int
) -> Mapping[int, tuple[RecordedFile, ...]]:
    """
    Return the recorded files of some tickets, keyed by the number of the ticket's row.

    Args:
        db: The journal.
        tickets: The tickets, keyed by the number of their row.
        after: Skip the tickets up to this row number.
        last: The row number of the last ticket to include.
    """
    rows = db.execute(
        f"SELECT ticket, {_COLUMNS} FROM files WHERE ticket > ? AND ticket <= ? "
        "ORDER BY ticket, output_index",
        (after, last),
    )
    files: defaultdict[int, tuple[RecordedFile, ...]] = defaultdict(tuple)
    for row_id, *columns in rows:
        if row_id in tickets:
            files[row_id] += (_recorded(tickets[row_id], *columns),)
    return files


def page_of_files(
    db: sqlite3.Connection, after: FilePosition, limit: int
) -> tuple[list[RecordedFile], FilePosition | None]:
    """
    Return a page of at most `limit` files, and the value of `after` for the next page.

    The page begins after the position `after`. If no page follows, the value for the next page is
    None.
    """
    rows = db.execute(
        f"SELECT files.ticket, family, id, {_COLUMNS} "
        "FROM files JOIN tickets ON tickets.ticket = files.ticket "
        "WHERE (files.ticket, output_index) > (?, ?) ORDER BY files.ticket, output_index LIMIT ?",
        (*after, limit),
    ).fetchall()
    # Load the names of the families after the rows, because another process may just have added a
    # row with a new family.
    names = family_names(db)
    page: list[RecordedFile] = []
    position = after
    for row_id, family, id_, output_index, *columns in rows:
        position = FilePosition(row_id, output_index)
        page.append(_recorded(read_ticket(names, row_id, family, id_), output_index, *columns))
    return page, position if len(rows) == limit else None


def _recorded(ticket: Ticket, output_index: int, *columns: Any) -> RecordedFile:
    """Return the file that a row describes. Check types, because SQLite does not enforce them."""
    path, sha256, size, url, is_length_verified, recorded_at, host = columns
    texts = (path, sha256, url, "" if host is None else host)
    if not all(isinstance(text, str) for text in texts):
        error = TypeError("no text but " + ", ".join(f"{text!r:.80}" for text in texts))
        raise damaged_row(ticket, f"file {output_index}", "files", error)
    return RecordedFile(
        ticket=ticket,
        output_index=output_index,
        path=path,
        sha256=sha256,
        size=size,
        url=url,
        is_length_verified=bool(is_length_verified),
        recorded_at=recorded_at,
        host=host,
    )
