"""Saves: whose outputs are still to become files, who is at it, and how it ended."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from .._models.replies import Success
from .._models.ticket import Ticket
from .compact_ids import family_names, row_id_of
from .recorded_files import RecordedFile, files_of
from .row_codec import decode
from .runs import expire_runs, renew
from .schema import SAVE_FAILED, SAVE_PENDING, SAVED, SUCCESS

# SQLite uses the partial index only for queries that repeat its condition.
_UNFINISHED: Final = f"saves.state <= {SAVE_FAILED}"
_PENDING: Final = f"{_UNFINISHED} AND saves.state = {SAVE_PENDING}"
_SELECT_SUCCESSES: Final = """
    SELECT saves.ticket, family, id, replies.state, body, extra
    FROM saves JOIN tickets ON tickets.ticket = saves.ticket
        JOIN replies ON replies.ticket = saves.ticket
"""


@frozen
class PendingSave:
    """A success whose files are to be saved, its number, and those of its files that are."""

    row_id: int
    success: Success
    files: tuple[RecordedFile, ...]


@frozen
class SaveClaim:
    """
    What a run may save.

    Attributes:
        pending: The successes.
        has_others: Whether other runs are at some, so that more may come.
    """

    pending: list[PendingSave]
    has_others: bool


@frozen(kw_only=True)
class UnsavedTicket:
    """
    A success of which not all files could be saved.

    Attributes:
        ticket: The ticket.
        error: What was in the way at the last try.
        failed_at: When that was, in seconds since 1970.
    """

    ticket: Ticket
    error: str
    failed_at: float


def queue_saves(db: sqlite3.Connection) -> int:
    """Have every success saved that no run has saved so far. Returns how many are new."""
    return db.execute(
        f"INSERT INTO saves (ticket) SELECT ticket FROM tickets WHERE state = {SUCCESS} "
        "AND NOT EXISTS (SELECT 1 FROM saves WHERE saves.ticket = tickets.ticket)"
    ).rowcount


def requeue_saves(db: sqlite3.Connection, tickets: Sequence[Ticket]) -> None:
    """
    Have successes saved once more; what is on record and on the disk is not fetched again.

    Raises:
        ValueError: A ticket is not in this journal.
    """
    db.executemany(
        f"INSERT OR REPLACE INTO saves (ticket) SELECT ticket FROM tickets "
        f"WHERE ticket = ? AND state = {SUCCESS}",
        [(row_id_of(db, ticket),) for ticket in tickets],
    )


def claim(
    db: sqlite3.Connection, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> SaveClaim | None:
    """
    Take some successes that nobody is saving, or that runs before a certain one could not save.

    Returns None where the run has no lease any more.
    """
    if not renew(db, run_id, now=now, lease=lease):
        return None
    expire_runs(db, now)
    rows = db.execute(
        f"{_SELECT_SUCCESSES} WHERE {_PENDING} AND saves.run = 0 LIMIT ?", (limit,)
    ).fetchall()
    rows += db.execute(
        f"{_SELECT_SUCCESSES} WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} AND saves.run < ? LIMIT ?",
        (before_run, limit - len(rows)),
    ).fetchall()
    db.executemany(
        f"UPDATE saves SET state = {SAVE_PENDING}, run = ? WHERE ticket = ?",
        [(run_id, row[0]) for row in rows],
    )
    names = family_names(db)
    pending: list[PendingSave] = []
    for row_id, family, id_, *columns in rows:
        ticket = Ticket(names[family], str(id_))
        success = decode(ticket, (columns[0], columns[1], columns[2]))
        if isinstance(success, Success):
            pending.append(PendingSave(row_id, success, tuple(files_of(db, ticket))))
    return SaveClaim(pending, has_others=_others_have_some(db, run_id))


def complete_save(
    db: sqlite3.Connection, run_id: int, row_id: int, *, error: str | None, now: float
) -> bool:
    """Write down that all files are saved, or why not. Returns whether it was this run's to do."""
    updated = db.execute(
        f"UPDATE saves SET state = ?, completed_at = ?, error = ? WHERE ticket = ? AND {_PENDING} AND run = ?",
        (SAVED if error is None else SAVE_FAILED, now, error, row_id, run_id),
    )
    return updated.rowcount == 1


def unsaved(db: sqlite3.Connection) -> list[UnsavedTicket]:
    """What could not be saved at the last try, in the order of adding."""
    names = family_names(db)
    rows = db.execute(
        "SELECT family, id, error, saves.completed_at FROM saves JOIN tickets USING (ticket) "
        f"WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} ORDER BY saves.ticket"
    )
    return [
        UnsavedTicket(ticket=Ticket(names[family], str(id_)), error=error, failed_at=failed_at)
        for family, id_, error, failed_at in rows
    ]


def _others_have_some(db: sqlite3.Connection, run_id: int) -> bool:
    (found,) = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM saves WHERE {_PENDING} AND run > 0 AND run <> ?)", (run_id,)
    ).fetchone()
    return bool(found)
