"""Divides the poll rate of one key among the clients of an `SQLiteAccount`."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from .account_messages import PollResult
from .poll_permits import MAX_LATENESS_S, count_permits, rest_seconds, step_seconds

# One answer grants a client at most its share of the polls in this many seconds. All clients that
# ask have equal shares. With a larger number, a new client waits longer. With a smaller number,
# slow answers leave poll times unused.
_MAX_SHARE_S: Final = 0.4
# One answer grants at most the polls of this many seconds at the full rate. The limit exists
# because other clients cannot use a granted poll time that its client leaves unused.
_MAX_ANSWER_S: Final = 0.25
# A client keeps its share of the rate for this many seconds after it has asked for poll times.
_MAX_ASK_GAP_S: Final = 1.0


@frozen
class PollTimesOfKey:
    """
    The poll times of one key in an account, for one of its clients. See `poll_permits`.

    Args:
        db: A connection to the account, in a transaction that may write.
        key: The digest of the key.
        client: The number of the client.
        rate: The maximum number of polls a second, of all clients together.
        now: The time on the account's clock.
    """

    db: sqlite3.Connection
    key: str
    client: int
    rate: float
    now: float

    def record(self, results: Sequence[PollResult]) -> None:
        """Let permits rest from when their polls started. Unused permits need no more rest."""
        self.db.executemany(
            """
            UPDATE poll_permits SET latest_start = coalesce(:rests_from, last_start),
                last_start = coalesce(:rests_from, last_start)
            WHERE key = :key AND client = :client AND granted = :granted
            """,
            [
                {
                    "key": self.key,
                    "client": self.client,
                    "granted": result.granted,
                    "rests_from": result.rests_from,
                }
                for result in results
            ],
        )

    def take(self, wanted: int) -> tuple[float, ...]:
        """Grant the next free poll times to the client: at most as many as it wants."""
        self._add_missing_permits()
        rest, step = rest_seconds(self.rate), step_seconds(self.rate)
        permits = self.db.execute(
            """
            SELECT permit, latest_start + ? FROM poll_permits WHERE key = ? AND permit < ?
            ORDER BY latest_start LIMIT ?
            """,
            (rest, self.key, count_permits(self.rate), min(wanted, self._fair_share())),
        ).fetchall()
        row = self.db.execute(
            "SELECT next_at FROM poll_times WHERE key = ?", (self.key,)
        ).fetchone()
        first = max(permits[0][1], self.now, *(row or ()))
        times: list[float] = []
        for permit, free_at in permits:
            when = first + len(times) * step
            # Do not wait for a permit that still rests. The next answer may grant it, or another.
            if free_at > when:
                break
            self.db.execute(
                """
                UPDATE poll_permits SET client = ?, granted = ?, latest_start = ?
                WHERE key = ? AND permit = ?
                """,
                (self.client, when, when + MAX_LATENESS_S, self.key, permit),
            )
            times.append(when)
        self.db.execute(
            "INSERT OR REPLACE INTO poll_times VALUES (?, ?)",
            (self.key, first + len(times) * step),
        )
        return tuple(times)

    def _add_missing_permits(self) -> None:
        count = count_permits(self.rate)
        (known,) = self.db.execute(
            "SELECT count(*) FROM poll_permits WHERE key = ?", (self.key,)
        ).fetchone()
        rested_since = self.now - rest_seconds(self.rate)
        self.db.executemany(
            "INSERT INTO poll_permits VALUES (?, ?, 0, 0, ?, ?)",
            [(self.key, permit, rested_since, rested_since) for permit in range(known, count)],
        )

    def _fair_share(self) -> int:
        """Return the most poll times that one answer may grant to the client."""
        self.db.execute("DELETE FROM pollers WHERE asked_at <= ?", (self.now - _MAX_ASK_GAP_S,))
        self.db.execute(
            "INSERT OR REPLACE INTO pollers VALUES (?, ?, ?)", (self.key, self.client, self.now)
        )
        (asking,) = self.db.execute(
            "SELECT count(*) FROM pollers WHERE key = ?", (self.key,)
        ).fetchone()
        return max(1, int(self.rate * min(_MAX_ANSWER_S, _MAX_SHARE_S / asking)))
