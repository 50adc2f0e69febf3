"""Saves and loads the state of an adaptive pace in PostgreSQL. See `pace_state`."""

import json
from collections.abc import Mapping
from typing import Any, Final

from .pace_state import decode_state
from .postgres_context import PostgresContext

_SAVE_PACE: Final = """
INSERT INTO pace_state (batch, state) VALUES ($1, $2)
ON CONFLICT (batch) DO UPDATE SET state = excluded.state
"""
_LOAD_PACE: Final = "SELECT state FROM pace_state WHERE batch = $1"


async def save_pace(db: PostgresContext, state: Mapping[str, Any]) -> None:
    """See `pace_state.save`."""
    await db.fetch(_SAVE_PACE, json.dumps(state))


async def load_pace(db: PostgresContext) -> dict[str, Any] | None:
    """See `pace_state.load`."""
    row = await db.fetch_row(_LOAD_PACE)
    return None if row is None else decode_state(row[0])
