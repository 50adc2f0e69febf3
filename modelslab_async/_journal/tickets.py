"""Adds tickets to a journal, records their polls, and completes each ticket once."""

import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from attrs import frozen

from .._models.replies import Processing
from .._models.ticket import NewTicket
from .._models.unresolved_outcomes import Outcome
from . import lease_rows
from .copy_marks import check_not_copied
from .row_codec import encode
from .schema import FAILED, OPEN, SUCCESS
from .ticket_id_codec import compact_id, family_ids

_OWN_OPEN_TICKET: Final = f"ticket = ? AND state = {OPEN} AND run = ?"
_COMPLETE: Final = (
    "UPDATE tickets SET state = ?, completed_at = ?, polls = polls + ?, max_lag = ? "
    f"WHERE {_OWN_OPEN_TICKET}"
)
_COMPLETE_NEW: Final = (
    "UPDATE tickets SET state = ?, completed_at = ? "
    f"WHERE ticket = ? AND state = {OPEN} AND run = 0"
)
_INSERT_REPLY: Final = (
    "INSERT OR REPLACE INTO replies (ticket, state, body, other_fields) VALUES (?, ?, ?, ?)"
)
_INSERT_COLUMNS: Final = (
    "INSERT OR IGNORE INTO inputs (ticket, columns) "
    "SELECT ticket, ? FROM tickets WHERE family = ? AND id = ?"
)


@frozen
class OutcomeRow:
    """
    The outcome of a ticket, for the journal to record.

    Attributes:
        row_id: The number of the ticket's row in the journal.
        polls: The number of polls that the journal has not recorded yet.
        outcome: The outcome.
        max_lag: An upper bound, in seconds, on the time from the end of the work to the poll that
            discovered this end; None if unknown.
    """

    row_id: int
    polls: int
    outcome: Outcome
    max_lag: float | None = None


@frozen
class PollUpdate:
    """
    What to record about an open ticket: the number of new polls, and the last reply.

    Attributes:
        row_id: The number of the ticket's row in the journal.
        polls: The number of polls that the journal has not recorded yet.
        last: The most recent reply; None if no reply came.
    """

    row_id: int
    polls: int
    last: Processing | None


def add(db: sqlite3.Connection, new_tickets: Sequence[NewTicket], *, now: float) -> int:
    """
    Add those tickets that are not in the journal yet. Return how many were added.

    A new ticket may have a row of the input table. If the journal has the ticket but not this row,
    only the row is added.

    Raises:
        JournalReadOnly: The journal was copied to another store.
    """
    check_not_copied(db)
    return insert_new(db, new_tickets, now=now)


def insert_new(db: sqlite3.Connection, new_tickets: Sequence[NewTicket], *, now: float) -> int:
    """Add tickets as `add` does, even if the journal was copied."""
    ids_by_family = family_ids(db, {new.ticket.family for new in new_tickets})
    keys = [(ids_by_family[new.ticket.family], compact_id(new.ticket)) for new in new_tickets]
    added = db.executemany(
        "INSERT OR IGNORE INTO tickets (family, id, added_at) VALUES (?, ?, ?)",
        [(*key, now) for key in keys],
    )
    db.executemany(
        _INSERT_COLUMNS,
        [(new.columns, *key) for new, key in zip(new_tickets, keys, strict=True) if new.columns],
    )
    return added.rowcount


def complete(
    db: sqlite3.Connection,
    run_id: int,
    completions: Sequence[OutcomeRow],
    *,
    now: float,
    save_files: bool = False,
) -> list[bool]:
    """
    Record outcomes. For each outcome, return whether it was recorded.

    An outcome is recorded only if its ticket is open and belongs to this run. With `save_files`,
    the files of successes are queued to be saved.
    """
    # Sort by row, so that rows close to each other in the file are written together.
    ordered = sorted(completions, key=attrgetter("row_id"))
    replies = [(completion.row_id, *encode(completion.outcome)) for completion in ordered]
    changes = [
        (state, now, completion.polls, completion.max_lag, row_id, run_id)
        for completion, (row_id, state, _, _) in zip(ordered, replies, strict=True)
    ]
    lost: set[int] = set()
    db.execute("SAVEPOINT completing")
    if db.executemany(_COMPLETE, changes).rowcount != len(changes):
        # This run has lost some of the tickets. Write each outcome alone to find out which tickets.
        db.execute("ROLLBACK TO completing")
        written = [db.execute(_COMPLETE, change).rowcount == 1 for change in changes]
        lost = {
            completion.row_id
            for completion, is_written in zip(ordered, written, strict=True)
            if not is_written
        }
        replies = [reply for reply, is_written in zip(replies, written, strict=True) if is_written]
    db.executemany(_INSERT_REPLY, replies)
    if save_files:
        successes = [(row_id,) for row_id, state, _, _ in replies if state == SUCCESS]
        db.executemany("INSERT OR REPLACE INTO saves (ticket) VALUES (?)", successes)
    db.execute("RELEASE completing")
    return [completion.row_id not in lost for completion in completions]


def complete_new(db: sqlite3.Connection, row_id: int, outcome: Outcome, *, now: float) -> None:
    """
    Record the result of a submit as the outcome of its ticket.

    Do nothing if the ticket already has an outcome, or if a run has claimed the ticket.
    """
    state, body, other_fields = encode(outcome)
    if db.execute(_COMPLETE_NEW, (state, now, row_id)).rowcount:
        db.execute(_INSERT_REPLY, (row_id, state, body, other_fields))


def reopen_failed(db: sqlite3.Connection) -> int:
    """
    Reopen all failed tickets. Return their number.

    Raises:
        JournalReadOnly: The journal was copied to another store.
    """
    check_not_copied(db)
    return db.execute(
        f"UPDATE tickets SET state = {OPEN}, run = 0, completed_at = NULL, max_lag = NULL "
        f"WHERE state = {FAILED}"
    ).rowcount


def record_polls(db: sqlite3.Connection, run_id: int, updates: Sequence[PollUpdate]) -> None:
    """Record new polls and last replies. Skip tickets that no longer belong to the run."""
    db.executemany(
        f"UPDATE tickets SET polls = polls + ? WHERE {_OWN_OPEN_TICKET}",
        [(update.polls, update.row_id, run_id) for update in updates],
    )
    db.executemany(
        "INSERT OR REPLACE INTO replies (ticket, state, body, other_fields) SELECT ?, ?, ?, ? "
        f"WHERE EXISTS (SELECT 1 FROM tickets WHERE {_OWN_OPEN_TICKET})",
        [
            (update.row_id, *encode(update.last), update.row_id, run_id)
            for update in updates
            if update.last is not None
        ],
    )


def end_run(db: sqlite3.Connection, run_id: int, updates: Sequence[PollUpdate]) -> None:
    """End a run after recording its last polls. Its open tickets become free for other runs."""
    record_polls(db, run_id, updates)
    lease_rows.end(db, run_id)
