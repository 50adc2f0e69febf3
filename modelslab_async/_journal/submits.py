"""Intents: what is about to be submitted, written before it is sent. Holds no payload, no key."""

import sqlite3

from attrs import frozen

from .._models.replies import Success
from .._models.ticket import Ticket
from .compact_ids import family_names, row_id_of
from .schema import RUN_IS_ALIVE
from .tickets import add, complete_new

_COLUMNS = "track_id, endpoint, payload_hash, recorded_at, family, id"
_SELECT_SUBMITS = f"SELECT {_COLUMNS} FROM submits LEFT JOIN tickets USING (ticket)"


@frozen(kw_only=True)
class PendingSubmit:
    """
    One submit that was written down before it was sent.

    Attributes:
        track_id: The mark that the request carries; one of the journal's own if it carries none.
        endpoint: What it is sent to.
        payload_hash: What tells its payload from others; a `SubmitUncertain` says the same.
        recorded_at: When it was written, in seconds since 1970.
        ticket: What it started; None as long as nobody knows whether it started anything.
    """

    track_id: str
    endpoint: str
    payload_hash: str
    recorded_at: float
    ticket: Ticket | None = None


def record_submit(db: sqlite3.Connection, submit: PendingSubmit, run_id: int | None) -> None:
    """
    Write down that a submit is about to be sent.

    Raises:
        ValueError: Its track_id was used before.
    """
    written = db.execute(
        "INSERT OR IGNORE INTO submits (track_id, endpoint, payload_hash, recorded_at, run) "
        "VALUES (?, ?, ?, ?, ?)",
        (submit.track_id, submit.endpoint, submit.payload_hash, submit.recorded_at, run_id),
    )
    if written.rowcount != 1:
        raise ValueError(
            f"track_id {submit.track_id!r} is in this journal already; each submit has its own"
        )


def confirm(
    db: sqlite3.Connection, track_id: str, ticket: Ticket, *, result: Success | None, now: float
) -> None:
    """
    Write down which ticket a submit started, and add that ticket, which may be done already.

    Raises:
        ValueError: No such submit was written down.
    """
    add(db, [ticket], now=now)
    row_id = row_id_of(db, ticket)
    confirmed = db.execute(
        "UPDATE submits SET state = 'confirmed', ticket = ? WHERE track_id = ?", (row_id, track_id)
    )
    _check_known(confirmed, track_id)
    if result is not None:
        complete_new(db, row_id, result, now=now)


def withdraw(db: sqlite3.Connection, track_id: str) -> None:
    """
    Forget a uncertain submit that started nothing: it was refused, or provably never left.

    Raises:
        ValueError: No such submit was written down, or it is confirmed.
    """
    deleted = db.execute(
        "DELETE FROM submits WHERE track_id = ? AND state = 'uncertain'", (track_id,)
    )
    _check_known(deleted, track_id)


def uncertain(db: sqlite3.Connection, *, now: float) -> list[PendingSubmit]:
    """The submits that nobody confirmed, but for those of runs that are alive."""
    return _select(
        db,
        f"{_SELECT_SUBMITS} WHERE submits.state = 'uncertain' AND NOT EXISTS (SELECT 1 FROM runs "
        f"WHERE runs.run = submits.run AND {RUN_IS_ALIVE}) ORDER BY submit",
        now,
    )


def find(db: sqlite3.Connection, track_id: str) -> PendingSubmit | None:
    """The submit with that mark, if it was ever written down."""
    return next(iter(_select(db, f"{_SELECT_SUBMITS} WHERE track_id = ?", track_id)), None)


def _select(db: sqlite3.Connection, query: str, value: object) -> list[PendingSubmit]:
    names = family_names(db)
    return [
        PendingSubmit(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            recorded_at=recorded_at,
            ticket=None if family is None else Ticket(names[family], str(id_)),
        )
        for track_id, endpoint, payload_hash, recorded_at, family, id_ in db.execute(
            query, (value,)
        )
    ]


def _check_known(changed: sqlite3.Cursor, track_id: str) -> None:
    if changed.rowcount != 1:
        raise ValueError(f"no uncertain submit with the track_id {track_id!r} is in this journal")
