"""
SharedHints: passes webhook hints between clients through the tables of an `SQLiteAccount`.

A webhook hint holds the ids from one webhook, so that clients know which tickets to poll now.
"""

import sqlite3
from collections.abc import Sequence

from .._parsing.webhook_ids import WebhookHint
from . import webhook_hint_codec


class SharedHints:
    """
    Adds and reads the webhook hints of an account for one of its clients.

    Args:
        client: The number of the client. It does not read its own hints.
    """

    def __init__(self, client: int) -> None:
        self._client = client
        self._last_read = 0

    def add(self, db: sqlite3.Connection, hints: Sequence[WebhookHint], now: float) -> None:
        """Record webhook hints for the other clients, and delete old hints."""
        db.executemany(
            "INSERT INTO webhook_hints (client, body, added_at) VALUES (?, ?, ?)",
            [(self._client, body, now) for body in webhook_hint_codec.write_hints(hints)],
        )
        db.execute(
            "DELETE FROM webhook_hints WHERE added_at < ? "
            "OR hint <= (SELECT max(hint) FROM webhook_hints) - ?",
            (now - webhook_hint_codec.MAX_AGE_S, webhook_hint_codec.MAX_COUNT),
        )

    def read_new(self, db: sqlite3.Connection, now: float) -> list[WebhookHint]:
        """Return the webhook hints that other clients have added since the previous call."""
        rows = db.execute(
            "SELECT hint, client, body FROM webhook_hints WHERE hint > ? AND added_at >= ? "
            "ORDER BY hint",
            (self._last_read, now - webhook_hint_codec.MAX_AGE_S),
        ).fetchall()
        if rows:
            self._last_read = rows[-1][0]
        return webhook_hint_codec.read_hints(
            body for _, client, body in rows if client != self._client
        )
