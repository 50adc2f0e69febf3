"""Divides the slots of one API key among the clients of an `SQLiteAccount`."""

import math
import sqlite3
from typing import Final

from attrs import frozen

from .._models.ticket import Ticket
from .._submitting.slot_holders import MAX_SLOT_AGE_S
from .._submitting.uncertain_slots import DEFAULT_DURATION_S
from .report_and_answer_types import HeldTicket, KeyAllotment, SlotUse

# A client that has sent no report for this many seconds loses its turn for a slot. A waiting client
# reports many times a second, so only a suspended process loses its turn.
_MAX_REPORT_GAP_S: Final = 0.5


@frozen(kw_only=True)
class SlotsOfKey:
    """
    Grants slots of one API key to the client that has sent a report.

    Args:
        db: A connection to the account, in a transaction that may write.
        key: The digest of the API key.
        queue: The number of slots; None for no limit.
        client: The number of the client that has sent the report.
        now: The time on the account's clock.
    """

    db: sqlite3.Connection
    key: str
    queue: int | None
    client: int
    now: float

    def exchange(self, use: SlotUse) -> KeyAllotment:
        """Record the client's usage, and return what the client may use from now on."""
        if self.queue is None:
            return KeyAllotment()
        self._record(use)
        adopted = self._adopt() if use.waiting else ()
        granted = self._grant(use, self.queue)
        return KeyAllotment(
            slot_limit=use.total + len(adopted) + granted,
            has_other_waiters=self._count_waiters_before(math.inf) > 0,
            adopted=adopted,
        )

    def _record(self, use: SlotUse) -> None:
        owner = {"key": self.key, "client": self.client}
        kept = {(each.ticket.family, each.ticket.id) for each in use.tickets}
        recorded = self.db.execute(
            "SELECT family, id FROM held_tickets WHERE key = :key AND client = :client", owner
        ).fetchall()
        self.db.executemany(
            "DELETE FROM held_tickets WHERE key = ? AND family = ? AND id = ?",
            [(self.key, *ticket) for ticket in recorded if ticket not in kept],
        )
        self.db.executemany(
            """
            INSERT INTO held_tickets (key, family, id, client, endpoint, submitted_at)
            VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (key, family, id) DO UPDATE SET client = excluded.client
            """,
            [
                (
                    *(self.key, each.ticket.family, each.ticket.id),
                    *(self.client, each.endpoint, each.submitted_at),
                )
                for each in use.tickets
                if (each.ticket.family, each.ticket.id) not in set(recorded)
            ],
        )
        self.db.execute("DELETE FROM uncertain WHERE key = :key AND client = :client", owner)
        self.db.executemany(
            "INSERT INTO uncertain (key, client, until) VALUES (?, ?, ?)",
            [(self.key, self.client, until) for until in use.uncertain_until],
        )
        self.db.execute(
            """
            INSERT INTO submitting (key, client, in_flight, waiting, reported_at, granted_at)
            VALUES (:key, :client, :in_flight, :waiting, :now, :now)
            ON CONFLICT (key, client) DO UPDATE SET
                in_flight = excluded.in_flight, waiting = excluded.waiting,
                reported_at = excluded.reported_at,
                -- A client that begins to wait goes behind those that wait already.
                granted_at = iif(waiting = 0, excluded.granted_at, granted_at)
            """,
            {**owner, "in_flight": use.in_flight, "waiting": use.waiting, "now": self.now},
        )

    def _adopt(self) -> tuple[HeldTicket, ...]:
        """Make this client the owner of the tickets of clients that have died or left."""
        rows = self.db.execute(
            """
            UPDATE held_tickets SET client = ?
            WHERE key = ? AND client NOT IN (SELECT client FROM clients)
            RETURNING family, id, endpoint, submitted_at
            """,
            (self.client, self.key),
        ).fetchall()
        return tuple(
            HeldTicket(Ticket(family, id_), endpoint, submitted_at)
            for family, id_, endpoint, submitted_at in rows
        )

    def _grant(self, use: SlotUse, queue: int) -> int:
        """Return how many more submits the client may admit, and count them as in flight."""
        last_grant: float = self.db.execute(
            "SELECT granted_at FROM submitting WHERE key = ? AND client = ?",
            (self.key, self.client),
        ).fetchone()[0]
        free = queue - self._count_used()
        # Leave one slot for each other client that has waited for longer than this client.
        free_for_me = max(0, free - self._count_waiters_before(last_grant))
        # If other clients wait too, grant one slot at a time, so that the clients take turns.
        max_grant = 1 if self._count_waiters_before(math.inf) else use.waiting
        granted = min(use.waiting, free_for_me, max_grant)
        if granted:
            self.db.execute(
                """
                UPDATE submitting SET in_flight = in_flight + ?, granted_at = ?
                WHERE key = ? AND client = ?
                """,
                (granted, self.now, self.key, self.client),
            )
        return granted

    def _count_used(self) -> int:
        used: int = self.db.execute(
            """
            SELECT (SELECT count(*) FROM held_tickets WHERE key = :key)
                + (SELECT count(*) FROM uncertain WHERE key = :key)
                + (SELECT coalesce(sum(in_flight), 0) FROM submitting WHERE key = :key)
            """,
            {"key": self.key},
        ).fetchone()[0]
        return used

    def _count_waiters_before(self, moment: float) -> int:
        """Count the other clients that began to wait for their next slot before `moment`."""
        count: int = self.db.execute(
            """
            SELECT count(*) FROM submitting
            WHERE key = ? AND client != ? AND waiting > 0 AND granted_at < ? AND reported_at > ?
            """,
            (self.key, self.client, moment, self.now - _MAX_REPORT_GAP_S),
        ).fetchone()[0]
        return count


def free_expired_slots(db: sqlite3.Connection, now: float) -> None:
    """
    Free expired slots of tickets and uncertain submits whose clients have died or left.

    A live client frees its own expired slots, or uses them for new submits.
    """
    db.execute(
        "DELETE FROM uncertain WHERE until <= ? AND client NOT IN (SELECT client FROM clients)",
        (now,),
    )
    db.execute(
        """
        DELETE FROM held_tickets
        WHERE submitted_at <= ? AND client NOT IN (SELECT client FROM clients)
        """,
        (now - MAX_SLOT_AGE_S,),
    )


def orphan_slots(db: sqlite3.Connection, now: float) -> None:
    """
    Mark submits as uncertain if their client died or left before the replies came.

    The submits may have started work, so they keep their slots for a while. The tickets of such a
    client stay as they are, so that other clients can adopt them.
    """
    rows = db.execute(
        """
        SELECT key, in_flight FROM submitting WHERE client NOT IN (SELECT client FROM clients)
        """
    ).fetchall()
    db.executemany(
        "INSERT INTO uncertain (key, client, until) VALUES (?, 0, ?)",
        [(key, now + DEFAULT_DURATION_S) for key, count in rows for _ in range(count)],
    )
    db.execute("DELETE FROM submitting WHERE client NOT IN (SELECT client FROM clients)")
    db.execute("UPDATE uncertain SET client = 0 WHERE client NOT IN (SELECT client FROM clients)")
