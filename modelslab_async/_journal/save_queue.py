"""Keeps the queue of tickets whose files must be saved. Other modules save the files."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from .._models.journal_errors import JournalDamaged
from .._models.replies import Success
from .._models.ticket import Ticket
from .copy_marks import check_not_copied
from .lease_rows import expire_runs, others_have_some, renew
from .recorded_files import RecordedFile, files_of
from .row_codec import decode
from .schema import SAVE_FAILED, SAVE_PENDING, SAVED, SUCCESS
from .ticket_id_codec import family_names, read_ticket, row_id_of

# The condition of the partial index `unfinished_saves`. SQLite uses this index only for queries
# that contain this condition.
_UNFINISHED: Final = f"saves.state <= {SAVE_FAILED}"
_PENDING: Final = f"{_UNFINISHED} AND saves.state = {SAVE_PENDING}"
_SELECT_SUCCESSES: Final = """
    SELECT saves.ticket, family, id, replies.state, body, other_fields
    FROM saves JOIN tickets ON tickets.ticket = saves.ticket
        JOIN replies ON replies.ticket = saves.ticket
"""
_INSERT_SUCCESS: Final = (
    f"INTO saves (ticket) SELECT ticket FROM tickets WHERE ticket = ? AND state = {SUCCESS}"
)


@frozen
class PendingSave:
    """
    A ticket whose files must be saved.

    Attributes:
        row_id: The number of the ticket's row in the journal.
        success: The reply with the links to the files.
        files: The files that earlier attempts have saved and recorded.
    """

    row_id: int
    success: Success
    files: tuple[RecordedFile, ...]


@frozen
class SaveClaim:
    """
    The pending saves that a run has claimed.

    Attributes:
        pending: The claimed saves.
        damaged: An error for each ticket whose rows are damaged. The save of that ticket has been
            recorded as failed.
        has_others: Whether other runs have pending saves, which this run may later claim. If this
            run got a save, the value is True without a check, because the check can be slow.
    """

    pending: list[PendingSave]
    damaged: list[JournalDamaged]
    has_others: bool


@frozen(kw_only=True)
class UnsavedTicket:
    """
    A ticket with files that could not be saved.

    Attributes:
        ticket: The ticket.
        error: The error message of the most recent attempt.
        argument: The keyword argument that would allow the save; see `DownloadError`.
        failed_at: When the most recent attempt failed, in seconds since 1970.
    """

    ticket: Ticket
    error: str
    argument: str
    failed_at: float


def queue_saves(db: sqlite3.Connection, tickets: Sequence[Ticket] | None = None) -> int:
    """
    Queue succeeded tickets that were never queued before. Return how many were queued.

    Args:
        db: A connection to the journal.
        tickets: The tickets to consider; None for all tickets of the journal.

    Raises:
        ValueError: A ticket is not in this journal.
    """
    if tickets is not None:
        row_ids = [(row_id_of(db, ticket),) for ticket in tickets]
        return db.executemany(f"INSERT OR IGNORE {_INSERT_SUCCESS}", row_ids).rowcount
    return db.execute(
        f"INSERT INTO saves (ticket) SELECT ticket FROM tickets WHERE state = {SUCCESS} "
        "AND NOT EXISTS (SELECT 1 FROM saves WHERE saves.ticket = tickets.ticket)"
    ).rowcount


def requeue_saves(db: sqlite3.Connection, tickets: Sequence[Ticket]) -> None:
    """
    Queue succeeded tickets again, for example because saved files are missing.

    The journal keeps its records of files that were saved earlier.

    Raises:
        JournalReadOnly: The journal was copied to another store.
        ValueError: A ticket is not in this journal.
    """
    check_not_copied(db)
    row_ids = [(row_id_of(db, ticket),) for ticket in tickets]
    db.executemany(f"INSERT OR REPLACE {_INSERT_SUCCESS}", row_ids)


def claim(
    db: sqlite3.Connection, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> SaveClaim | None:
    """
    Claim pending saves. Also claim saves that failed in runs with numbers below `before_run`.

    If a row is damaged, only the save of its ticket fails. Return None if the run `run_id` has lost
    its lease.
    """
    if not renew(db, run_id, now=now, lease=lease):
        return None
    expire_runs(db, now)
    rows = db.execute(
        f"{_SELECT_SUCCESSES} WHERE {_PENDING} AND saves.run = 0 LIMIT ?", (limit,)
    ).fetchall()
    rows += db.execute(
        f"{_SELECT_SUCCESSES} WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} "
        "AND saves.run < ? LIMIT ?",
        (before_run, limit - len(rows)),
    ).fetchall()
    db.executemany(
        f"UPDATE saves SET state = {SAVE_PENDING}, run = ? WHERE ticket = ?",
        [(run_id, row[0]) for row in rows],
    )
    names = family_names(db)
    pending: list[PendingSave] = []
    damaged: list[JournalDamaged] = []
    for row_id, family, id_, *reply in rows:
        ticket = read_ticket(names, row_id, family, id_)
        try:
            success = decode(ticket, reply)
            files = tuple(files_of(db, ticket))
        except JournalDamaged as error:
            damaged.append(error)
            complete_save(db, run_id, row_id, error=error.message, argument="", now=now)
            continue
        if isinstance(success, Success):
            pending.append(PendingSave(row_id, success, files))
    has_some = bool(pending or damaged)
    has_others = has_some or others_have_some(db, f"saves WHERE {_PENDING}", run_id)
    return SaveClaim(pending, damaged, has_others=has_others)


def complete_save(
    db: sqlite3.Connection,
    run_id: int,
    row_id: int,
    *,
    error: str | None,
    argument: str,
    now: float,
) -> bool:
    """
    Record the result of saving a ticket's files. If `error` is None, all files were saved.

    Return False, and record nothing, if the ticket no longer belongs to the run.
    """
    updated = db.execute(
        "UPDATE saves SET state = ?, completed_at = ?, error = ?, argument = ? "
        f"WHERE ticket = ? AND {_PENDING} AND run = ?",
        (SAVED if error is None else SAVE_FAILED, now, error, argument, row_id, run_id),
    )
    return updated.rowcount == 1


def unsaved(db: sqlite3.Connection) -> list[UnsavedTicket]:
    """Return the tickets whose most recent save failed, in the order in which they were added."""
    rows = db.execute(
        "SELECT ticket, family, id, error, argument, saves.completed_at FROM saves JOIN tickets "
        f"USING (ticket) WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} ORDER BY saves.ticket"
    ).fetchall()
    # Load the names of the families after the rows, because another process may just have added a
    # row with a new family.
    names = family_names(db)
    return [
        UnsavedTicket(
            ticket=read_ticket(names, row_id, family, id_),
            error=error,
            argument=argument,
            failed_at=failed_at,
        )
        for row_id, family, id_, error, argument, failed_at in rows
    ]
