"""Lessons: what a pace that learns knew when it was last kept; one row, and the last one counts."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any


def save(db: sqlite3.Connection, state: Mapping[str, Any]) -> None:
    """Write down what was learned, in place of what was kept before."""
    db.execute("REPLACE INTO pace_state (id, state) VALUES (1, ?)", (json.dumps(state),))


def load(db: sqlite3.Connection) -> dict[str, Any] | None:
    """What was kept last; None if nothing was."""
    row = db.execute("SELECT state FROM pace_state").fetchone()
    return None if row is None else json.loads(row[0])
