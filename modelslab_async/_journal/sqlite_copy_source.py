"""SqliteCopySource: reads a journal's file for a copy, and marks the file as copied."""

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from .._models.journal_errors import JournalDamaged
from . import copy_marks
from .copy_marks import CopyMark
from .copy_rows import PAGE_ROWS, C, CopiedFile, CopiedSubmit, CopiedTicket, Page, R
from .lease_rows import expire_runs
from .page_size import PAGE_BYTES, rows_of_page
from .recorded_files import FilePosition
from .schema import OPEN, RUN_IS_ALIVE
from .sqlite_copy_file import SqliteCopyFile
from .ticket_id_codec import family_names, read_ticket

_ACTIVE_RUN: Final = (
    f"SELECT run, lease_until FROM runs WHERE {RUN_IS_ALIVE} AND lease_until < ? "
    "ORDER BY lease_until DESC"
)
_SELECT_TICKETS: Final = """
    SELECT tickets.ticket, family, id, added_at, tickets.state, tickets.completed_at, polls,
        max_lag, replies.state, body, other_fields, columns, saves.state, saves.completed_at,
        saves.error, saves.argument
    FROM tickets LEFT JOIN replies ON replies.ticket = tickets.ticket
        LEFT JOIN inputs ON inputs.ticket = tickets.ticket
        LEFT JOIN saves ON saves.ticket = tickets.ticket
    WHERE tickets.ticket > ? ORDER BY tickets.ticket LIMIT ?
"""
_SELECT_FILES: Final = """
    SELECT files.ticket, family, id, output_index, path, sha256, size, url, is_length_verified,
        recorded_at, host
    FROM files JOIN tickets ON tickets.ticket = files.ticket
    WHERE (files.ticket, output_index) > (?, ?) ORDER BY files.ticket, output_index LIMIT ?
"""
_SELECT_SUBMITS: Final = """
    SELECT submit, track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket,
        ticket, family, id
    FROM submits LEFT JOIN tickets USING (ticket)
    WHERE submit > ? ORDER BY submit LIMIT ?
"""


class SqliteCopySource:
    """
    See `CopySource`. Until `commit_mark`, the connection holds the write lock of the file.

    Attributes:
        path: The path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = SqliteCopyFile(path)
        self._names: dict[int, str] = {}

    async def find_mark(self) -> CopyMark | None:
        """See `CopySource.find_mark`."""
        return self._file.run(copy_marks.find_mark)

    async def check_idle(self) -> None:
        """See `CopySource.check_idle`."""
        self._file.run(check_idle)

    async def begin(self, target: str) -> None:
        """See `CopySource.begin`."""
        self._file.begin()
        self._file.run(lambda db: _mark(db, target))
        self._names = self._file.run(family_names)

    async def ticket_page(self, after: int) -> Page[CopiedTicket, int]:
        """See `CopySource.ticket_page`."""

        def read_row(row: tuple[Any, ...]) -> tuple[int, CopiedTicket]:
            ticket = read_ticket(self._names, *row[:3])
            copied = CopiedTicket(ticket.family, ticket.id, *row[3:])
            if copied.state not in (OPEN, copied.reply_state):
                raise JournalDamaged(f"{ticket} has ended, but its outcome is missing in `replies`")
            return row[0], copied

        return self._page(_SELECT_TICKETS, (after,), after, read_row)

    async def file_page(self, after: FilePosition) -> Page[CopiedFile, FilePosition]:
        """See `CopySource.file_page`."""

        def read_row(row: tuple[Any, ...]) -> tuple[FilePosition, CopiedFile]:
            ticket = read_ticket(self._names, *row[:3])
            return FilePosition(row[0], row[3]), CopiedFile(ticket.family, ticket.id, *row[3:])

        return self._page(_SELECT_FILES, after, after, read_row)

    async def submit_page(self, after: int) -> Page[CopiedSubmit, int]:
        """See `CopySource.submit_page`."""

        def read_row(row: tuple[Any, ...]) -> tuple[int, CopiedSubmit]:
            number, *columns, row_id, family, id_ = row
            ticket = None if row_id is None else read_ticket(self._names, row_id, family, id_)
            names = (None, None) if ticket is None else (ticket.family, ticket.id)
            return number, CopiedSubmit._make((*columns, *names))

        return self._page(_SELECT_SUBMITS, (after,), after, read_row)

    def _page(
        self,
        statement: str,
        arguments: tuple[int, ...],
        after: C,
        read_row: Callable[[tuple[Any, ...]], tuple[C, R]],
    ) -> Page[R, C]:
        """
        Return a page of rows for the target.

        `read_row` converts a row of the database to its position and the row for the target.
        """

        def read(db: sqlite3.Connection) -> Page[R, C]:
            rows: list[R] = []
            last = after
            found = db.execute(statement, (*arguments, PAGE_ROWS))
            for row in rows_of_page(found, PAGE_BYTES):
                last, copied = read_row(row)
                rows.append(copied)
            return Page(rows, last)

        return self._file.run(read)

    async def pace_state(self) -> str | None:
        """See `CopySource.pace_state`."""
        row = self._file.run(lambda db: db.execute("SELECT state FROM pace_state").fetchone())
        return None if row is None else str(row[0])

    async def commit_mark(self) -> None:
        """See `CopySource.commit_mark`."""
        self._file.commit()

    async def roll_back(self) -> None:
        """See `CopySource.roll_back`."""
        self._file.roll_back()

    async def finish(self) -> None:
        """See `CopySource.finish`."""

        def complete(db: sqlite3.Connection) -> None:
            if (mark := copy_marks.find_mark(db)) is not None:
                complete_mark = CopyMark(mark.target, is_complete=True)
                copy_marks.set_mark(db, complete_mark, now=time.time())

        self._file.begin()
        self._file.run(complete)
        self._file.commit()

    async def aclose(self) -> None:
        """See `CopySource.aclose`."""
        self._file.close()


def check_idle(db: sqlite3.Connection) -> None:
    """
    Check that no run is active.

    Raises:
        JournalLocked: A run is active.
    """
    now = time.time()
    active = db.execute(_ACTIVE_RUN, (now, copy_marks.ENDLESS_LEASE)).fetchone()
    if active is not None:
        run_id, lease_until = active
        raise copy_marks.active_run_error(run_id, lease_until - now)


def _mark(db: sqlite3.Connection, target: str) -> None:
    """Mark the journal, unless it has a mark."""
    check_idle(db)
    # A run whose lease has run out may belong to a suspended process. After this call, such a
    # process cannot continue its run, and the mark keeps it from beginning another run.
    expire_runs(db, time.time())
    if copy_marks.find_mark(db) is None:
        copy_marks.set_mark(db, CopyMark(target, is_complete=False), now=time.time())
