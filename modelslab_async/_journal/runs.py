"""Leases: which run may look at which tickets, and until when. A ticket has one run at a time."""

import sqlite3
from typing import Final

from attrs import frozen

from .._models.ticket import Ticket
from .compact_ids import family_names
from .process_identity import this_process
from .schema import OPEN, RUN_IS_ALIVE, SAVE_FAILED, SAVE_PENDING, UNRESOLVED

# SQLite uses the partial index only for queries that repeat its condition.
_UNFINISHED: Final = f"state <= {UNRESOLVED}"
_OPEN_TICKETS: Final = f"{_UNFINISHED} AND state = {OPEN}"


@frozen
class Claim:
    """
    What a run may look at.

    Attributes:
        tickets: Each with its number in the journal.
        others: Whether some open tickets belong to other runs, so that more may come.
    """

    tickets: list[tuple[int, Ticket]]
    has_others: bool


def begin(db: sqlite3.Connection, *, now: float, lease: float) -> int:
    """Start a run of this process. Its number is higher than those of all before it."""
    db.execute(
        "INSERT INTO runs (started_at, lease_until, process) VALUES (?, ?, ?)",
        (now, now + lease, this_process()),
    )
    return int(db.execute("SELECT last_insert_rowid()").fetchone()[0])


def renew(db: sqlite3.Connection, run_id: int, *, now: float, lease: float) -> bool:
    """Prolong a run's lease. Returns whether it still has one: another run may have ended it."""
    renewed = db.execute(
        "UPDATE runs SET lease_until = ? WHERE run = ? AND lease_until IS NOT NULL",
        (now + lease, run_id),
    )
    return renewed.rowcount == 1


def end(db: sqlite3.Connection, run_id: int) -> None:
    """End a run: what it did not settle or save is anybody's."""
    db.execute(f"UPDATE tickets SET run = 0 WHERE {_OPEN_TICKETS} AND run = ?", (run_id,))
    db.execute(
        f"UPDATE saves SET run = 0 WHERE state <= {SAVE_FAILED} AND state = {SAVE_PENDING} AND run = ?",
        (run_id,),
    )
    db.execute("UPDATE runs SET lease_until = NULL WHERE run = ?", (run_id,))


def claim(
    db: sqlite3.Connection, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> Claim | None:
    """
    Take some tickets that are open, or that runs before a certain one left unresolved.

    Returns None where the run has no lease any more.
    """
    if not renew(db, run_id, now=now, lease=lease):
        return None
    expire_runs(db, now)
    rows = db.execute(
        f"SELECT ticket, family, id FROM tickets WHERE {_OPEN_TICKETS} AND run = 0 LIMIT ?",
        (limit,),
    ).fetchall()
    rows += db.execute(
        f"SELECT ticket, family, id FROM tickets WHERE {_UNFINISHED} AND state = {UNRESOLVED} "
        "AND run < ? LIMIT ?",
        (before_run, limit - len(rows)),
    ).fetchall()
    db.executemany(
        f"UPDATE tickets SET state = {OPEN}, run = ?, completed_at = NULL WHERE ticket = ?",
        [(run_id, row_id) for row_id, _, _ in rows],
    )
    names = family_names(db)
    tickets = [(row_id, Ticket(names[family], str(id_))) for row_id, family, id_ in rows]
    return Claim(tickets, has_others=_others_have_some(db, run_id))


def expire_runs(db: sqlite3.Connection, now: float) -> None:
    """End the runs whose lease is over, or whose process has died."""
    expired = f"SELECT run FROM runs WHERE lease_until IS NOT NULL AND NOT ({RUN_IS_ALIVE})"
    for (run_id,) in db.execute(expired, (now,)).fetchall():
        end(db, run_id)


def _others_have_some(db: sqlite3.Connection, run_id: int) -> bool:
    """Whether other runs hold tickets; asked in two ranges so that one's own are not counted."""
    below, above = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM tickets WHERE {_OPEN_TICKETS} AND run > 0 AND run < ?), "
        f"EXISTS (SELECT 1 FROM tickets WHERE {_OPEN_TICKETS} AND run > ?)",
        (run_id, run_id),
    ).fetchone()
    return bool(below or above)
