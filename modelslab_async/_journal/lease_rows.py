"""
Stores the leases of runs, and which tickets each run has claimed.

Two runs never claim the same ticket at the same time.
"""

import sqlite3
from typing import Final, NamedTuple

from attrs import frozen

from .._models.ticket import Ticket
from .copy_marks import check_not_copied
from .process_identity import this_process
from .schema import OPEN, RUN_IS_ALIVE, SAVE_FAILED, SAVE_PENDING, UNRESOLVED
from .ticket_id_codec import family_names, read_ticket

# The condition of the partial index `unfinished`. SQLite uses this index only for queries that
# contain this condition.
_UNFINISHED: Final = f"state <= {UNRESOLVED}"
_OPEN_TICKETS: Final = f"{_UNFINISHED} AND state = {OPEN}"


class ClaimedTicket(NamedTuple):
    """A ticket and the number of its row in the journal."""

    row_id: int
    ticket: Ticket


@frozen
class Claim:
    """
    The tickets that a run has claimed.

    Attributes:
        tickets: The claimed tickets.
        has_others: Whether other runs have open tickets, which this run may later claim. If this
            run got tickets, the value is True without a check, because the check can be slow.
    """

    tickets: list[ClaimedTicket]
    has_others: bool


def begin(db: sqlite3.Connection, *, now: float, lease: float) -> int:
    """
    Start a run of this process. Return its number. Later runs have higher numbers.

    Raises:
        JournalReadOnly: The journal was copied to another store.
    """
    check_not_copied(db)
    db.execute(
        "INSERT INTO runs (started_at, lease_until, process) VALUES (?, ?, ?)",
        (now, now + lease, this_process()),
    )
    (run_id,) = db.execute("SELECT last_insert_rowid()").fetchone()
    return int(run_id)


def renew(db: sqlite3.Connection, run_id: int, *, now: float, lease: float) -> bool:
    """
    Renew a run's lease. Return False if the run has ended.

    After a lease has expired, another process may end the run.
    """
    renewed = db.execute(
        "UPDATE runs SET lease_until = ? WHERE run = ? AND lease_until IS NOT NULL",
        (now + lease, run_id),
    )
    return renewed.rowcount == 1


def end(db: sqlite3.Connection, run_id: int) -> None:
    """End a run. Its open tickets and its pending saves become free for other runs."""
    db.execute(f"UPDATE tickets SET run = 0 WHERE {_OPEN_TICKETS} AND run = ?", (run_id,))
    db.execute(
        f"UPDATE saves SET run = 0 WHERE state <= {SAVE_FAILED} AND state = {SAVE_PENDING} "
        "AND run = ?",
        (run_id,),
    )
    db.execute("UPDATE runs SET lease_until = NULL WHERE run = ?", (run_id,))


def claim(
    db: sqlite3.Connection, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> Claim | None:
    """
    Renew a run's lease, and claim open tickets that no run has claimed.

    Also claim tickets that were left unresolved by runs with numbers below `before_run`. Return
    None if the run `run_id` has lost its lease.
    """
    if not renew(db, run_id, now=now, lease=lease):
        return None
    expire_runs(db, now)
    open_rows = f"SELECT ticket, family, id FROM tickets WHERE {_OPEN_TICKETS} AND run = 0 LIMIT ?"
    rows = db.execute(open_rows, (limit,)).fetchall()
    if not rows and _free_tickets_of_ended_runs(db):
        rows = db.execute(open_rows, (limit,)).fetchall()
    rows += db.execute(
        f"SELECT ticket, family, id FROM tickets WHERE {_UNFINISHED} AND state = {UNRESOLVED} "
        "AND run < ? LIMIT ?",
        (before_run, limit - len(rows)),
    ).fetchall()
    names = family_names(db)
    tickets = [
        ClaimedTicket(row_id, read_ticket(names, row_id, family, id_))
        for row_id, family, id_ in rows
    ]
    db.executemany(
        f"UPDATE tickets SET state = {OPEN}, run = ?, completed_at = NULL WHERE ticket = ?",
        [(run_id, claimed.row_id) for claimed in tickets],
    )
    has_others = bool(tickets) or others_have_some(db, f"tickets WHERE {_OPEN_TICKETS}", run_id)
    return Claim(tickets, has_others=has_others)


def expire_runs(db: sqlite3.Connection, now: float) -> None:
    """End the runs whose lease has expired or whose process has died."""
    expired = f"SELECT run FROM runs WHERE lease_until IS NOT NULL AND NOT ({RUN_IS_ALIVE})"
    for (run_id,) in db.execute(expired, (now,)).fetchall():
        end(db, run_id)


def _free_tickets_of_ended_runs(db: sqlite3.Connection) -> int:
    """
    Release open tickets that still belong to ended runs.

    Only a damaged or edited journal has such tickets, because `end` releases a run's tickets.
    """
    return db.execute(
        f"UPDATE tickets SET run = 0 WHERE {_OPEN_TICKETS} AND run != 0 "
        "AND run NOT IN (SELECT run FROM runs WHERE lease_until IS NOT NULL)"
    ).rowcount


def others_have_some(db: sqlite3.Connection, unfinished: str, run_id: int) -> bool:
    """
    Return whether other runs have claimed any of the unfinished rows.

    Args:
        db: A connection to the journal.
        unfinished: A table and the condition for its unfinished rows, as SQL: "table WHERE ...".
        run_id: The number of this run.
    """
    # Query lower and higher run numbers separately, because a query with `run != ?` would read all
    # rows of this run.
    below, above = db.execute(
        f"SELECT EXISTS (SELECT 1 FROM {unfinished} AND run > 0 AND run < ?), "
        f"EXISTS (SELECT 1 FROM {unfinished} AND run > ?)",
        (run_id, run_id),
    ).fetchone()
    return bool(below or above)
