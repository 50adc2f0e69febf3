"""Saves: whose outputs are still to become files, who is at it, and how it ended."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from .._models.replies import Success
from .._models.ticket import Ticket
from .compact_ids import names_of, number_of
from .recorded_files import RecordedFile, files_of
from .row_codec import decode
from .runs import end_the_dead, renew
from .schema import OWED, SAVED, SUCCESS, UNSAVED

# SQLite uses the partial index only for queries that repeat its condition.
_UNFINISHED: Final = f"saves.state <= {UNSAVED}"
_OWED: Final = f"{_UNFINISHED} AND saves.state = {OWED}"
_SUCCESS: Final = """
    SELECT saves.ticket, family, id, replies.state, body, rest
    FROM saves JOIN tickets ON tickets.ticket = saves.ticket
        JOIN replies ON replies.ticket = saves.ticket
"""


@frozen
class Owed:
    """A success whose files are to be saved, its number, and those of its files that are."""

    number: int
    success: Success
    files: tuple[RecordedFile, ...]


@frozen
class SaveClaim:
    """
    What a run may save.

    Attributes:
        owed: The successes.
        others: Whether other runs are at some, so that more may come.
    """

    owed: list[Owed]
    others: bool


@frozen(kw_only=True)
class Lacking:
    """
    A success of which not all files could be saved.

    Attributes:
        ticket: The ticket.
        why: What was in the way at the last try.
        at: When that was, in seconds since 1970.
    """

    ticket: Ticket
    why: str
    at: float


def owe(db: sqlite3.Connection) -> int:
    """Have every success saved that no run has saved so far. Returns how many are new."""
    return db.execute(
        f"INSERT INTO saves (ticket) SELECT ticket FROM tickets WHERE state = {SUCCESS} "
        "AND NOT EXISTS (SELECT 1 FROM saves WHERE saves.ticket = tickets.ticket)"
    ).rowcount


def owe_again(db: sqlite3.Connection, tickets: Sequence[Ticket]) -> None:
    """
    Have successes saved once more; what is on record and on the disk is not fetched again.

    Raises:
        ValueError: A ticket is not in this journal.
    """
    db.executemany(
        f"INSERT OR REPLACE INTO saves (ticket) SELECT ticket FROM tickets "
        f"WHERE ticket = ? AND state = {SUCCESS}",
        [(number_of(db, ticket),) for ticket in tickets],
    )


def claim(
    db: sqlite3.Connection, run: int, *, before: int, most: int, now: float, lease: float
) -> SaveClaim | None:
    """
    Take some successes that nobody is saving, or that runs before a certain one could not save.

    Returns None where the run has no lease any more.
    """
    if not renew(db, run, now=now, lease=lease):
        return None
    end_the_dead(db, now)
    rows = db.execute(f"{_SUCCESS} WHERE {_OWED} AND saves.run = 0 LIMIT ?", (most,)).fetchall()
    rows += db.execute(
        f"{_SUCCESS} WHERE {_UNFINISHED} AND saves.state = {UNSAVED} AND saves.run < ? LIMIT ?",
        (before, most - len(rows)),
    ).fetchall()
    db.executemany(
        f"UPDATE saves SET state = {OWED}, run = ? WHERE ticket = ?",
        [(run, row[0]) for row in rows],
    )
    names = names_of(db)
    owed: list[Owed] = []
    for number, family, id_, *columns in rows:
        ticket = Ticket(names[family], str(id_))
        success = decode(ticket, (columns[0], columns[1], columns[2]))
        if isinstance(success, Success):
            owed.append(Owed(number, success, tuple(files_of(db, ticket))))
    return SaveClaim(owed, others=_others(db, run))


def end_save(db: sqlite3.Connection, run: int, number: int, *, why: str | None, now: float) -> bool:
    """Write down that all files are saved, or why not. Returns whether it was this run's to do."""
    ended = db.execute(
        f"UPDATE saves SET state = ?, ended = ?, why = ? WHERE ticket = ? AND {_OWED} AND run = ?",
        (SAVED if why is None else UNSAVED, now, why, number, run),
    )
    return ended.rowcount == 1


def lacking(db: sqlite3.Connection) -> list[Lacking]:
    """What could not be saved at the last try, in the order of adding."""
    names = names_of(db)
    rows = db.execute(
        "SELECT family, id, why, saves.ended FROM saves JOIN tickets USING (ticket) "
        f"WHERE {_UNFINISHED} AND saves.state = {UNSAVED} ORDER BY saves.ticket"
    )
    return [
        Lacking(ticket=Ticket(names[family], str(id_)), why=why, at=at)
        for family, id_, why, at in rows
    ]


def _others(db: sqlite3.Connection, run: int) -> bool:
    (found,) = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM saves WHERE {_OWED} AND run > 0 AND run <> ?)", (run,)
    ).fetchone()
    return bool(found)
