"""Leases: which run may look at which tickets, and until when. A ticket has one run at a time."""

import sqlite3
from typing import Final

from attrs import frozen

from .._models.ticket import Ticket
from .compact_ids import names_of
from .process_identity import this_process
from .schema import ALIVE, OPEN, OWED, UNRESOLVED, UNSAVED

# SQLite uses the partial index only for queries that repeat its condition.
_UNFINISHED: Final = f"state <= {UNRESOLVED}"
_LEASED: Final = f"{_UNFINISHED} AND state = {OPEN}"


@frozen
class Claim:
    """
    What a run may look at.

    Attributes:
        tickets: Each with its number in the journal.
        others: Whether some open tickets belong to other runs, so that more may come.
    """

    tickets: list[tuple[int, Ticket]]
    others: bool


def begin(db: sqlite3.Connection, *, now: float, lease: float) -> int:
    """Start a run of this process. Its number is higher than those of all before it."""
    db.execute(
        "INSERT INTO runs (began, lease_until, holder) VALUES (?, ?, ?)",
        (now, now + lease, this_process()),
    )
    return int(db.execute("SELECT last_insert_rowid()").fetchone()[0])


def renew(db: sqlite3.Connection, run: int, *, now: float, lease: float) -> bool:
    """Prolong a run's lease. Returns whether it still has one: another run may have ended it."""
    renewed = db.execute(
        "UPDATE runs SET lease_until = ? WHERE run = ? AND lease_until IS NOT NULL",
        (now + lease, run),
    )
    return renewed.rowcount == 1


def end(db: sqlite3.Connection, run: int) -> None:
    """End a run: what it did not settle or save is anybody's."""
    db.execute(f"UPDATE tickets SET run = 0 WHERE {_LEASED} AND run = ?", (run,))
    db.execute(
        f"UPDATE saves SET run = 0 WHERE state <= {UNSAVED} AND state = {OWED} AND run = ?", (run,)
    )
    db.execute("UPDATE runs SET lease_until = NULL WHERE run = ?", (run,))


def claim(
    db: sqlite3.Connection, run: int, *, before: int, most: int, now: float, lease: float
) -> Claim | None:
    """
    Take some tickets that are open, or that runs before a certain one left unresolved.

    Returns None where the run has no lease any more.
    """
    if not renew(db, run, now=now, lease=lease):
        return None
    end_the_dead(db, now)
    rows = db.execute(
        f"SELECT ticket, family, id FROM tickets WHERE {_LEASED} AND run = 0 LIMIT ?", (most,)
    ).fetchall()
    rows += db.execute(
        f"SELECT ticket, family, id FROM tickets WHERE {_UNFINISHED} AND state = {UNRESOLVED} "
        "AND run < ? LIMIT ?",
        (before, most - len(rows)),
    ).fetchall()
    db.executemany(
        f"UPDATE tickets SET state = {OPEN}, run = ?, ended = NULL WHERE ticket = ?",
        [(run, number) for number, _, _ in rows],
    )
    names = names_of(db)
    tickets = [(number, Ticket(names[family], str(id_))) for number, family, id_ in rows]
    return Claim(tickets, others=_others(db, run))


def end_the_dead(db: sqlite3.Connection, now: float) -> None:
    """End the runs whose lease is over, or whose process has died."""
    dead = f"SELECT run FROM runs WHERE lease_until IS NOT NULL AND NOT ({ALIVE})"
    for (run,) in db.execute(dead, (now,)).fetchall():
        end(db, run)


def _others(db: sqlite3.Connection, run: int) -> bool:
    """Whether other runs hold tickets; asked in two ranges so that one's own are not counted."""
    below, above = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM tickets WHERE {_LEASED} AND run > 0 AND run < ?), "
        f"EXISTS (SELECT 1 FROM tickets WHERE {_LEASED} AND run > ?)",
        (run, run),
    ).fetchone()
    return bool(below or above)
