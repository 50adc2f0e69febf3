"""Settling: tickets come in, are noted upon, and end once. Only the run that holds one ends it."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from attrs import frozen

from .._models.outcomes import Outcome
from .._models.replies import Processing
from .._models.ticket import Ticket
from .compact_ids import compact_id, family_ids
from .row_codec import encode
from .schema import FAILED, OPEN, SUCCESS

_reply_row_id: Final = itemgetter(0)
_change_row_id: Final = itemgetter(4)

_OWN_OPEN_TICKET: Final = f"ticket = ? AND state = {OPEN} AND run = ?"
_COMPLETE_NEW: Final = f"UPDATE tickets SET state = ?, completed_at = ? WHERE ticket = ? AND state = {OPEN} AND run = 0"
_COMPLETE: Final = f"UPDATE tickets SET state = ?, completed_at = ?, polls = polls + ?, max_lag = ? WHERE {_OWN_OPEN_TICKET}"
_INSERT_REPLY: Final = (
    "INSERT OR REPLACE INTO replies (ticket, state, body, extra) VALUES (?, ?, ?, ?)"
)


@frozen
class Completion:
    """
    How a ticket ended.

    Attributes:
        row_id: Its number in the journal.
        polls: How many polls there were since the last note.
        outcome: The outcome.
        max_lag: At most how many seconds after its end it was noticed, if that is known.
    """

    row_id: int
    polls: int
    outcome: Outcome
    max_lag: float | None = None


@frozen
class PollUpdate:
    """What was learnt of an open ticket since the last note."""

    row_id: int
    polls: int
    last: Processing | None


def add(db: sqlite3.Connection, tickets: Sequence[Ticket], *, now: float) -> int:
    """Add those tickets that are not there yet. Returns how many they were."""
    ids_by_family = family_ids(db, {ticket.family for ticket in tickets})
    added = db.executemany(
        "INSERT OR IGNORE INTO tickets (family, id, added_at) VALUES (?, ?, ?)",
        [(ids_by_family[ticket.family], compact_id(ticket), now) for ticket in tickets],
    )
    return added.rowcount


def complete(
    db: sqlite3.Connection,
    run_id: int,
    completions: Sequence[Completion],
    *,
    now: float,
    save_files: bool = False,
) -> list[bool]:
    """
    End tickets. Says of each whether it was this run's to end; if not, nothing was written.

    With `owing`, the files of the successes are to be saved.
    """
    replies = [(completion.row_id, *encode(completion.outcome)) for completion in completions]
    changes = [
        (reply[1], now, completion.polls, completion.max_lag, completion.row_id, run_id)
        for completion, reply in zip(completions, replies, strict=True)
    ]
    db.execute("SAVEPOINT completing")
    # Neighbours in the file are written one after the other.
    written_count = db.executemany(_COMPLETE, sorted(changes, key=_change_row_id)).rowcount
    written = [True] * len(completions)
    if written_count != len(completions):
        db.execute("ROLLBACK TO completing")
        written = [db.execute(_COMPLETE, change).rowcount == 1 for change in changes]
        replies = [reply for reply, is_written in zip(replies, written, strict=True) if is_written]
    db.executemany(_INSERT_REPLY, sorted(replies, key=_reply_row_id))
    if save_files:
        successes = [(row_id,) for row_id, state, *_ in replies if state == SUCCESS]
        db.executemany("INSERT OR REPLACE INTO saves (ticket) VALUES (?)", successes)
    db.execute("RELEASE completing")
    return written


def complete_new(db: sqlite3.Connection, row_id: int, outcome: Outcome, *, now: float) -> None:
    """End a ticket that no run has taken yet: its submit brought the result."""
    reply = (row_id, *encode(outcome))
    if db.execute(_COMPLETE_NEW, (reply[1], now, row_id)).rowcount:
        db.execute(_INSERT_REPLY, reply)


def reopen_failed(db: sqlite3.Connection) -> int:
    """Open again what failed. Returns how many they were."""
    return db.execute(
        f"UPDATE tickets SET state = {OPEN}, run = 0, completed_at = NULL, max_lag = NULL "
        f"WHERE state = {FAILED}"
    ).rowcount


def record_polls(db: sqlite3.Connection, run_id: int, updates: Sequence[PollUpdate]) -> None:
    """Write down polls and last replies of tickets that are still open, and still this run's."""
    db.executemany(
        f"UPDATE tickets SET polls = polls + ? WHERE {_OWN_OPEN_TICKET}",
        [(update.polls, update.row_id, run_id) for update in updates],
    )
    db.executemany(
        "INSERT OR REPLACE INTO replies (ticket, state, body, extra) SELECT ?, ?, ?, ? "
        f"WHERE EXISTS (SELECT 1 FROM tickets WHERE {_OWN_OPEN_TICKET})",
        [
            (update.row_id, *encode(update.last), update.row_id, run_id)
            for update in updates
            if update.last is not None
        ],
    )
