"""SharedHints: passes webhook hints between clients through the tables of a SQLite account."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from .._parsing.webhook_ids import WebhookHint

# Hints are deleted after this many seconds. Clients with open tickets have read them by then,
# because they read hints several times a second.
MAX_AGE_S: Final = 60.0
MAX_COUNT: Final = 10_000
# The maximum length of a hint in characters. Longer hints are dropped, because no ticket has such
# long ids.
_MAX_LENGTH: Final = 2000


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
        """Record hints for the other clients, and delete old hints."""
        db.executemany(
            "INSERT INTO webhook_hints (client, body, added_at) VALUES (?, ?, ?)",
            [(self._client, body, now) for body in write_hints(hints)],
        )
        db.execute(
            "DELETE FROM webhook_hints WHERE added_at < ? "
            "OR hint <= (SELECT max(hint) FROM webhook_hints) - ?",
            (now - MAX_AGE_S, MAX_COUNT),
        )

    def read_new(self, db: sqlite3.Connection, now: float) -> list[WebhookHint]:
        """Return the hints that other clients have added since the last call."""
        rows = db.execute(
            "SELECT hint, client, body FROM webhook_hints WHERE hint > ? AND added_at >= ? "
            "ORDER BY hint",
            (self._last_read, now - MAX_AGE_S),
        ).fetchall()
        if rows:
            self._last_read = rows[-1][0]
        return read_hints(body for _, client, body in rows if client != self._client)


def write_hints(hints: Iterable[WebhookHint]) -> list[str]:
    """Convert hints to JSON texts. Drop hints that are too long to belong to a ticket."""
    bodies = [json.dumps([hint.ids, hint.track_id]) for hint in hints]
    return [body for body in bodies if len(body) <= _MAX_LENGTH]


def read_hints(bodies: Iterable[str]) -> list[WebhookHint]:
    """Convert JSON texts back to hints."""
    contents = map(json.loads, bodies)
    return [WebhookHint(tuple(ids), track_id) for ids, track_id in contents]
