"""Divides the poll rate of one key among the clients of an `SQLiteAccount`."""

import sqlite3
from typing import Final

from .account_messages import HELD_BACK_SHARE, MAX_LATENESS_S

# The longest time, in seconds, for which one answer grants poll times to a client. With a longer
# time, the other clients would wait longer for their poll times. All clients that ask for poll
# times have equal shares of the rate.
_MAX_SHARE_S: Final = 0.25
# The time, in seconds, for which a client keeps its share of the poll rate after it last asked for
# poll times.
_MAX_ASK_GAP_S: Final = 1.0


def take_poll_times(
    db: sqlite3.Connection, key: str, *, client: int, rate: float, wanted: int, now: float
) -> tuple[float, ...]:
    """
    Grant the next free poll times to one client.

    Args:
        db: A connection to the account, in a transaction that may write.
        key: The digest of the key.
        client: The number of the client.
        rate: The maximum number of polls a second, of all clients together.
        wanted: The number of times that the client asks for.
        now: The time on the account's clock.
    """
    db.execute("DELETE FROM pollers WHERE asked_at <= ?", (now - _MAX_ASK_GAP_S,))
    db.execute("INSERT OR REPLACE INTO pollers VALUES (?, ?, ?)", (key, client, now))
    asking = db.execute("SELECT count(*) FROM pollers WHERE key = ?", (key,)).fetchone()[0]
    count = min(wanted, max(1, int(rate * _MAX_SHARE_S / asking)))
    # The interval between two granted poll times is longer than `1 / rate`, because a poll may
    # start up to `MAX_LATENESS_S` late. Even then, at most `rate` polls start within any second.
    step = (1.0 + MAX_LATENESS_S + HELD_BACK_SHARE) / rate
    row = db.execute("SELECT next_at FROM poll_times WHERE key = ?", (key,)).fetchone()
    first = max(row[0], now) if row is not None else now
    db.execute("INSERT OR REPLACE INTO poll_times VALUES (?, ?)", (key, first + count * step))
    return tuple(first + number * step for number in range(count))
