"""Settling: tickets come in, are noted upon, and end once. Only the run that holds one ends it."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from attrs import frozen

from .._models.outcomes import Outcome
from .._models.replies import Processing
from .._models.ticket import Ticket
from .compact_ids import id_of, numbers_of
from .row_codec import encode
from .schema import FAILED, OPEN, SUCCESS

_ticket: Final = itemgetter(0)
_number: Final = itemgetter(4)

_MINE: Final = f"ticket = ? AND state = {OPEN} AND run = ?"
_END_NEW: Final = (
    f"UPDATE tickets SET state = ?, ended = ? WHERE ticket = ? AND state = {OPEN} AND run = 0"
)
_END: Final = f"UPDATE tickets SET state = ?, ended = ?, looks = looks + ?, late = ? WHERE {_MINE}"
_REPLY: Final = "INSERT OR REPLACE INTO replies (ticket, state, body, rest) VALUES (?, ?, ?, ?)"


@frozen
class End:
    """
    How a ticket ended.

    Attributes:
        number: Its number in the journal.
        looks: How many looks there were since the last note.
        outcome: The outcome.
        late: At most how many seconds after its end it was noticed, if that is known.
    """

    number: int
    looks: int
    outcome: Outcome
    late: float | None = None


@frozen
class Note:
    """What was learnt of an open ticket since the last note."""

    number: int
    looks: int
    last: Processing | None


def add(db: sqlite3.Connection, tickets: Sequence[Ticket], *, now: float) -> int:
    """Add those tickets that are not there yet. Returns how many they were."""
    numbers = numbers_of(db, {ticket.family for ticket in tickets})
    added = db.executemany(
        "INSERT OR IGNORE INTO tickets (family, id, added) VALUES (?, ?, ?)",
        [(numbers[ticket.family], id_of(ticket), now) for ticket in tickets],
    )
    return added.rowcount


def settle(
    db: sqlite3.Connection, run: int, ends: Sequence[End], *, now: float, owing: bool = False
) -> list[bool]:
    """
    End tickets. Says of each whether it was this run's to end; if not, nothing was written.

    With `owing`, the files of the successes are to be saved.
    """
    replies = [(end.number, *encode(end.outcome)) for end in ends]
    changes = [
        (reply[1], now, end.looks, end.late, end.number, run)
        for end, reply in zip(ends, replies, strict=True)
    ]
    db.execute("SAVEPOINT settling")
    # Neighbours in the file are written one after the other.
    ended = db.executemany(_END, sorted(changes, key=_number)).rowcount
    won = [True] * len(ends)
    if ended != len(ends):
        db.execute("ROLLBACK TO settling")
        won = [db.execute(_END, change).rowcount == 1 for change in changes]
        replies = [reply for reply, mine in zip(replies, won, strict=True) if mine]
    db.executemany(_REPLY, sorted(replies, key=_ticket))
    if owing:
        successes = [(number,) for number, state, *_ in replies if state == SUCCESS]
        db.executemany("INSERT OR REPLACE INTO saves (ticket) VALUES (?)", successes)
    db.execute("RELEASE settling")
    return won


def settle_new(db: sqlite3.Connection, number: int, outcome: Outcome, *, now: float) -> None:
    """End a ticket that no run has taken yet: its submit brought the result."""
    reply = (number, *encode(outcome))
    if db.execute(_END_NEW, (reply[1], now, number)).rowcount:
        db.execute(_REPLY, reply)


def reopen_failed(db: sqlite3.Connection) -> int:
    """Open again what failed. Returns how many they were."""
    return db.execute(
        f"UPDATE tickets SET state = {OPEN}, run = 0, ended = NULL, late = NULL "
        f"WHERE state = {FAILED}"
    ).rowcount


def note(db: sqlite3.Connection, run: int, notes: Sequence[Note]) -> None:
    """Write down looks and last replies of tickets that are still open, and still this run's."""
    db.executemany(
        f"UPDATE tickets SET looks = looks + ? WHERE {_MINE}",
        [(note.looks, note.number, run) for note in notes],
    )
    db.executemany(
        "INSERT OR REPLACE INTO replies (ticket, state, body, rest) SELECT ?, ?, ?, ? "
        f"WHERE EXISTS (SELECT 1 FROM tickets WHERE {_MINE})",
        [
            (note.number, *encode(note.last), note.number, run)
            for note in notes
            if note.last is not None
        ],
    )
