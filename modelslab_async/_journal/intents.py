"""Intents: what is about to be submitted, written before it is sent. Holds no payload, no key."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from .._core.tickets import Ticket
from .families import number_of
from .settling import add

_KEY = "key"


@frozen(kw_only=True)
class Intent:
    """
    One submit of which nobody knows yet whether it started work.

    Attributes:
        track_id: The mark that the request carries.
        endpoint: What it is sent to.
        payload_sha256: The digest of its payload without the key, in hexadecimal digits.
        at: When it was written, in seconds since 1970.
    """

    track_id: str
    endpoint: str
    payload_sha256: str
    at: float


def digest(payload: Mapping[str, Any]) -> str:
    """The SHA-256 of a payload: the same for the same fields in any order, and without the key."""
    fields = {name: value for name, value in payload.items() if name != _KEY}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def intend(db: sqlite3.Connection, intent: Intent, run: int | None) -> None:
    """
    Write down that a submit is about to be sent.

    Raises:
        ValueError: Its track_id was used before.
    """
    written = db.execute(
        "INSERT OR IGNORE INTO intents (track_id, endpoint, payload_sha256, at, run) "
        "VALUES (?, ?, ?, ?, ?)",
        (intent.track_id, intent.endpoint, intent.payload_sha256, intent.at, run),
    )
    if written.rowcount != 1:
        raise ValueError(
            f"track_id {intent.track_id!r} is in this journal already; each submit has its own"
        )


def confirm(db: sqlite3.Connection, track_id: str, ticket: Ticket, *, now: float) -> None:
    """
    Write down which ticket a submit started, and add that ticket.

    Raises:
        ValueError: No such submit was written down.
    """
    add(db, [ticket], now=now)
    confirmed = db.execute(
        "UPDATE intents SET state = 'confirmed', ticket = ? WHERE track_id = ?",
        (number_of(db, ticket), track_id),
    )
    _check_known(confirmed, track_id)


def withdraw(db: sqlite3.Connection, track_id: str) -> None:
    """
    Forget a doubtful submit that started nothing: it was refused, or provably never left.

    Raises:
        ValueError: No such submit was written down, or it is confirmed.
    """
    forgotten = db.execute(
        "DELETE FROM intents WHERE track_id = ? AND state = 'doubtful'", (track_id,)
    )
    _check_known(forgotten, track_id)


def doubtful(db: sqlite3.Connection, *, now: float) -> list[Intent]:
    """The submits that nobody confirmed, but for those of runs that are alive."""
    rows = db.execute(
        "SELECT track_id, endpoint, payload_sha256, at FROM intents "
        "WHERE state = 'doubtful' AND NOT EXISTS (SELECT 1 FROM runs "
        "WHERE runs.run = intents.run AND lease_until > ?) ORDER BY intent",
        (now,),
    )
    return [
        Intent(track_id=track_id, endpoint=endpoint, payload_sha256=payload_sha256, at=at)
        for track_id, endpoint, payload_sha256, at in rows
    ]


def _check_known(changed: sqlite3.Cursor, track_id: str) -> None:
    if changed.rowcount != 1:
        raise ValueError(f"no doubtful submit with the track_id {track_id!r} is in this journal")
