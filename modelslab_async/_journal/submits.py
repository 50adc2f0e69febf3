"""Intents: what is about to be submitted, written before it is sent. Holds no payload, no key."""

import sqlite3

from attrs import frozen

from .._models.replies import Success
from .._models.ticket import Ticket
from .compact_ids import names_of, number_of
from .schema import ALIVE
from .tickets import add, settle_new

_COLUMNS = "track_id, endpoint, payload_hash, at, family, id"
_INTENTS = f"SELECT {_COLUMNS} FROM intents LEFT JOIN tickets USING (ticket)"


@frozen(kw_only=True)
class Intent:
    """
    One submit that was written down before it was sent.

    Attributes:
        track_id: The mark that the request carries; one of the journal's own if it carries none.
        endpoint: What it is sent to.
        payload_hash: What tells its payload from others; a `SubmitUncertain` says the same.
        at: When it was written, in seconds since 1970.
        ticket: What it started; None as long as nobody knows whether it started anything.
    """

    track_id: str
    endpoint: str
    payload_hash: str
    at: float
    ticket: Ticket | None = None


def intend(db: sqlite3.Connection, intent: Intent, run: int | None) -> None:
    """
    Write down that a submit is about to be sent.

    Raises:
        ValueError: Its track_id was used before.
    """
    written = db.execute(
        "INSERT OR IGNORE INTO intents (track_id, endpoint, payload_hash, at, run) "
        "VALUES (?, ?, ?, ?, ?)",
        (intent.track_id, intent.endpoint, intent.payload_hash, intent.at, run),
    )
    if written.rowcount != 1:
        raise ValueError(
            f"track_id {intent.track_id!r} is in this journal already; each submit has its own"
        )


def confirm(
    db: sqlite3.Connection, track_id: str, ticket: Ticket, *, done: Success | None, now: float
) -> None:
    """
    Write down which ticket a submit started, and add that ticket, which may be done already.

    Raises:
        ValueError: No such submit was written down.
    """
    add(db, [ticket], now=now)
    number = number_of(db, ticket)
    confirmed = db.execute(
        "UPDATE intents SET state = 'confirmed', ticket = ? WHERE track_id = ?", (number, track_id)
    )
    _check_known(confirmed, track_id)
    if done is not None:
        settle_new(db, number, done, now=now)


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
    return _read(
        db,
        f"{_INTENTS} WHERE intents.state = 'doubtful' AND NOT EXISTS (SELECT 1 FROM runs "
        f"WHERE runs.run = intents.run AND {ALIVE}) ORDER BY intent",
        now,
    )


def find(db: sqlite3.Connection, track_id: str) -> Intent | None:
    """The submit with that mark, if it was ever written down."""
    return next(iter(_read(db, f"{_INTENTS} WHERE track_id = ?", track_id)), None)


def _read(db: sqlite3.Connection, query: str, value: object) -> list[Intent]:
    names = names_of(db)
    return [
        Intent(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            at=at,
            ticket=None if family is None else Ticket(names[family], str(id_)),
        )
        for track_id, endpoint, payload_hash, at, family, id_ in db.execute(query, (value,))
    ]


def _check_known(changed: sqlite3.Cursor, track_id: str) -> None:
    if changed.rowcount != 1:
        raise ValueError(f"no doubtful submit with the track_id {track_id!r} is in this journal")
