"""Stores the state of an adaptive pace, which learns when to poll, as opaque JSON."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from .._models.journal_errors import JournalDamaged


def save(db: sqlite3.Connection, state: Mapping[str, Any]) -> None:
    """Save the state of the pace. Replace the state that was saved before."""
    db.execute("REPLACE INTO pace_state (id, state) VALUES (1, ?)", (json.dumps(state),))


def load(db: sqlite3.Connection) -> dict[str, Any] | None:
    """
    Return the saved state of the pace; None if none was saved.

    Raises:
        JournalDamaged: The row does not contain a JSON object.
    """
    row = db.execute("SELECT state FROM pace_state").fetchone()
    if row is None:
        return None
    return decode_state(row[0])


def decode_state(text: Any) -> dict[str, Any]:
    """
    Decode the JSON text of a pace's state.

    Raises:
        JournalDamaged: The text is not a JSON object.
    """
    try:
        state = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise JournalDamaged(_damaged_message(error)) from error
    if not isinstance(state, dict):
        raise JournalDamaged(_damaged_message(TypeError(f"no object but {state!r:.80}")))
    return state


def _damaged_message(error: Exception) -> str:
    return (
        f"the saved pace makes no sense ({type(error).__name__}: {error!s:.200}); "
        "delete the row of the table pace_state"
    )
