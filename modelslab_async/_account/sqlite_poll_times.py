"""Divides the poll rate of one API key among the clients of an `SQLiteAccount`."""

import sqlite3
from collections.abc import Sequence

from attrs import frozen

from .poll_permit_rules import (
    MAX_ANSWER_S,
    MAX_ASK_GAP_S,
    MAX_LATENESS_S,
    MAX_POLL_AGE_S,
    MAX_SHARE_S,
    MAX_SILENCE_S,
    SURPLUS_RESTS,
    count_permits,
    rest_seconds,
    step_seconds,
)
from .report_and_answer_types import PollResult


@frozen
class PollTimesOfKey:
    """
    Grants poll times for one API key to one client of an account. See `poll_permit_rules`.

    Args:
        db: A connection to the account's database, in a write transaction.
        key: The digest of the API key.
        client: The number of the client.
        rate: The maximum number of polls a second, of all clients together.
        now: The current time on the account's clock.
    """

    db: sqlite3.Connection
    key: str
    client: int
    rate: float
    now: float

    def record(self, results: Sequence[PollResult]) -> None:
        """
        Record what the client did with granted poll times. See `poll_permit_rules`.

        After each poll, a permit must rest for some seconds. If the client used a poll time, record
        when that poll started. While the poll is in flight, the permit stays open. If the client
        did not use the time, the permit's rest still counts from its previous poll.
        """
        self.db.executemany(
            """
            UPDATE poll_permits INDEXED BY poll_permits_by_granted
            SET latest_start = coalesce(:rests_from, last_start),
                last_start = CASE WHEN :is_open THEN last_start
                    ELSE coalesce(:rests_from, last_start) END
            WHERE key = :key AND client = :client AND granted = :granted
            """,
            [
                {
                    "key": self.key,
                    "client": self.client,
                    "granted": result.granted,
                    "rests_from": result.rests_from,
                    "is_open": result.is_open,
                }
                for result in results
            ],
        )

    def take(self, wanted: int) -> tuple[float, ...]:
        """
        Grant the client the next free poll times, at most `wanted`.

        Grant none if every permit is open and belongs to a silent client.
        """
        most = min(wanted, self._fair_share())
        step, count, known = step_seconds(self.rate), count_permits(self.rate), self._count_known()
        if known > count:
            self._remove_surplus_permits()
        rows = self._find_permits(count, most)
        row = self.db.execute(
            "SELECT next_at FROM poll_times WHERE key = ?", (self.key,)
        ).fetchone()
        if not rows and known >= count:
            return ()
        earliest = rows[0][1] if known >= count else self.now
        first = max(self.now, earliest, *(row or ()))
        permits: list[int] = []
        for permit, free_at in rows:
            # This permit will still be resting at the next poll time, so only a later answer can
            # grant it.
            if free_at > first + len(permits) * step:
                break
            permits.append(permit)
        permits += range(known, min(count, known + most - len(permits)))
        times = tuple(first + number * step for number in range(len(permits)))
        self._grant(permits, times)
        self.db.execute(
            "INSERT OR REPLACE INTO poll_times VALUES (?, ?)",
            (self.key, first + len(times) * step),
        )
        return times

    def _find_permits(self, count: int, most: int) -> list[tuple[int, float]]:
        """
        Return up to `most` permits, each with the time at which its rest ends.

        Skip an open permit of a silent client until its poll is `MAX_POLL_AGE_S` old.
        """
        return self.db.execute(
            """
            SELECT permit, latest_start + :rest FROM poll_permits
            INDEXED BY poll_permits_by_latest_start
            WHERE key = :key AND permit < :count AND (
                latest_start = last_start
                OR client IN (SELECT client FROM clients WHERE seen_at > :silent_since)
                OR latest_start <= :given_up_since
            )
            ORDER BY latest_start LIMIT :most
            """,
            {
                "rest": rest_seconds(self.rate),
                "key": self.key,
                "count": count,
                "silent_since": self.now - MAX_SILENCE_S,
                "given_up_since": self.now - MAX_POLL_AGE_S,
                "most": most,
            },
        ).fetchall()

    def _grant(self, permits: Sequence[int], times: Sequence[float]) -> None:
        """Grant permits to the client, one for each poll time."""
        rested_since = self.now - rest_seconds(self.rate)
        self.db.executemany(
            """
            INSERT INTO poll_permits VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (key, permit) DO UPDATE SET client = excluded.client,
                granted = excluded.granted, latest_start = excluded.latest_start
            """,
            [
                (self.key, permit, self.client, when, rested_since, when + MAX_LATENESS_S)
                for permit, when in zip(permits, times, strict=True)
            ],
        )

    def _remove_surplus_permits(self) -> None:
        """Remove the permits that the current rate does not need, once all of them have rested."""
        self.db.execute(
            """
            DELETE FROM poll_permits WHERE key = :key AND permit >= :count AND :rested_since >= (
                SELECT max(latest_start) FROM poll_permits WHERE key = :key AND permit >= :count
            )
            """,
            {
                "key": self.key,
                "count": count_permits(self.rate),
                "rested_since": self.now - SURPLUS_RESTS * rest_seconds(self.rate),
            },
        )

    def _count_known(self) -> int:
        """Return the number of permits that are stored. They are numbered from 0."""
        (last,) = self.db.execute(
            "SELECT max(permit) FROM poll_permits WHERE key = ?", (self.key,)
        ).fetchone()
        return 0 if last is None else last + 1

    def _fair_share(self) -> int:
        """Record that the client asks for poll times. Return how many the answer may grant."""
        self.db.execute("DELETE FROM pollers WHERE asked_at <= ?", (self.now - MAX_ASK_GAP_S,))
        self.db.execute(
            "INSERT OR REPLACE INTO pollers VALUES (?, ?, ?)", (self.key, self.client, self.now)
        )
        (asking,) = self.db.execute(
            "SELECT count(*) FROM pollers WHERE key = ?", (self.key,)
        ).fetchone()
        return max(1, int(self.rate * min(MAX_ANSWER_S, MAX_SHARE_S / asking)))
