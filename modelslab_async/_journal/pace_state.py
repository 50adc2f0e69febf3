"""Lessons: what a pace that learns knew when it was last kept; one row, and the last one counts."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any


def keep(db: sqlite3.Connection, learned: Mapping[str, Any]) -> None:
    """Write down what was learned, in place of what was kept before."""
    db.execute("REPLACE INTO lessons (one, learned) VALUES (1, ?)", (json.dumps(learned),))


def kept(db: sqlite3.Connection) -> dict[str, Any] | None:
    """What was kept last; None if nothing was."""
    row = db.execute("SELECT learned FROM lessons").fetchone()
    return None if row is None else json.loads(row[0])
