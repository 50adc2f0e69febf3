"""Divides the poll rate of one key among clients, in the tables of an account. It opens no file."""

import sqlite3
from typing import Final

from .account_reports import MAX_LATENESS_S

# The times for this many seconds of the rate are divided by the number of clients that ask. A
# client is given no more at once, so that another that begins to ask gets its times soon.
_MAX_SHARE_S: Final = 0.25
# A client that has not asked for this many seconds is not counted among those that ask.
_MAX_ASK_GAP_S: Final = 1.0


def take_poll_times(
    db: sqlite3.Connection, key: str, *, client: int, rate: float, wanted: int, now: float
) -> tuple[float, ...]:
    """
    Return the next times at which a client may start a poll, and give them to no other.

    Args:
        db: A connection to the account, in a transaction that may write.
        key: The digest of the key.
        client: The number of the client.
        rate: The most polls a second of all clients together.
        wanted: The number of times that the client wants.
        now: The time on the account's clock.
    """
    db.execute("DELETE FROM pollers WHERE asked_at <= ?", (now - _MAX_ASK_GAP_S,))
    db.execute("INSERT OR REPLACE INTO pollers VALUES (?, ?, ?)", (key, client, now))
    asking = db.execute("SELECT count(*) FROM pollers WHERE key = ?", (key,)).fetchone()[0]
    count = min(wanted, max(1, int(rate * _MAX_SHARE_S / asking)))
    # Each time may be used a little late. With this step, still at most `rate` polls start within
    # any one second.
    step = (1.0 + MAX_LATENESS_S) / rate
    row = db.execute("SELECT next_at FROM poll_times WHERE key = ?", (key,)).fetchone()
    first = max(row[0], now) if row is not None else now
    db.execute("INSERT OR REPLACE INTO poll_times VALUES (?, ?)", (key, first + count * step))
    return tuple(first + number * step for number in range(count))
