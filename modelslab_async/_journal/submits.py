"""Records each submit before it is sent, so that paid work is never lost. Stores no payload."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from attrs import field, frozen

from .._models.argument_checks import MAX_INT64, check_count, check_texts, check_type
from .._models.replies import Failed, Success
from .._models.ticket import Columns, NewTicket, Ticket, encode_columns
from .copy_marks import check_not_copied
from .row_codec import decode_columns, decode_named_ticket
from .schema import RUN_IS_ALIVE, UNRESOLVED
from .ticket_id_codec import family_names, read_ticket, row_id_of
from .tickets import complete_new, insert_new

_SELECT_SUBMITS = (
    "SELECT track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket, ticket, "
    "family, id FROM submits LEFT JOIN tickets USING (ticket)"
)
_IS_UNCERTAIN = (
    "submits.state = 'uncertain' AND NOT EXISTS "
    f"(SELECT 1 FROM runs WHERE runs.run = submits.run AND {RUN_IS_ALIVE})"
)


@frozen(kw_only=True)
class PendingSubmit:
    """
    A submit, as the journal records it before it is sent.

    Attributes:
        track_id: The `track_id` of the request, or a random string if the request has none.
        endpoint: The name of the endpoint.
        payload_hash: The digest of the payload, as in `SubmitUncertain`.
        recorded_at: When the submit was recorded, in seconds since 1970.
        ticket: The ticket of the work; None while it is unknown whether the submit started work.
        columns: Values of the submit's row in the input table, keyed by the name of the column. The
            ticket of the work gets the same values.
        key: The submission key, which is the caller's own name for the submit; None if it has none.
        named_ticket: The ticket that the reply names although the reply is an error. It may be the
            work of this submit. None if no reply names a ticket.
    """

    track_id: str
    endpoint: str
    payload_hash: str
    recorded_at: float
    ticket: Ticket | None = None
    columns: Columns = field(factory=dict[str, Any])
    key: str | None = None
    named_ticket: Ticket | None = None


def check_submit(submit: PendingSubmit, run_id: int | None) -> None:
    """
    Check the arguments of `Journal.record_submit`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The number of the run is negative, or too high for its column.
    """
    check_texts(
        track_id=submit.track_id, endpoint=submit.endpoint, payload_hash=submit.payload_hash
    )
    check_type("key", submit.key, str | None, "a text or None")
    check_type("columns", submit.columns, Mapping, "a mapping of names to values, or None")
    check_count("run_id", run_id, least=0, most=MAX_INT64, optional=True)


class DuplicateSubmit(ValueError):
    """The journal already has a submit with the same track_id or submission key."""

    @classmethod
    def of(cls, submit: PendingSubmit) -> "DuplicateSubmit":
        """Return the error for a submit whose track_id or submission key is already used."""
        or_key = "" if submit.key is None else f" or key {submit.key!r}"
        return cls(
            f"track_id {submit.track_id!r}{or_key} is in this journal already; give each submit "
            "its own"
        )


def record_submit(db: sqlite3.Connection, submit: PendingSubmit, run_id: int | None) -> int:
    """
    Record a submit that is about to be sent. Return the number of its row.

    Raises:
        DuplicateSubmit: The journal already has a submit with this track_id or submission key.
        JournalReadOnly: The journal was copied to another store.
    """
    check_not_copied(db)
    row_id = insert(db, submit, run_id)
    if row_id is None:
        raise DuplicateSubmit.of(submit)
    return row_id


def insert(db: sqlite3.Connection, submit: PendingSubmit, run_id: int | None) -> int | None:
    """
    Insert a submit, and return its row number.

    Return None if its track_id or its submission key is already used.
    """
    written = db.execute(
        "INSERT INTO submits (track_id, endpoint, payload_hash, recorded_at, columns, run, key) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(submit.track_id, submit.endpoint, submit.payload_hash, submit.recorded_at),
            *(encode_columns(submit.columns, submit.track_id) or None, run_id, submit.key),
        ),
    )
    return written.lastrowid if written.rowcount == 1 else None


def confirm(
    db: sqlite3.Connection,
    track_id: str,
    ticket: Ticket,
    *,
    result: Success | Failed | None,
    now: float,
) -> None:
    """
    Record that a submit has started work, and add the ticket of that work to the journal.

    The ticket gets the submit's row of the input table. If the reply to the submit contained a
    result, the ticket is completed too. A repeated call with the same ticket changes nothing.

    Raises:
        ValueError: No submit with this track_id was recorded, the submit has another ticket, or
            the ticket belongs to another submit.
    """
    submit_row, columns = db.execute(
        "SELECT submit, columns FROM submits WHERE track_id = ?", (track_id,)
    ).fetchone() or (None, None)
    row_id = add_ticket(db, NewTicket(ticket, columns or ""), result=result, now=now)
    _check_found(set_ticket(db, submit_row, row_id), track_id)
    owners = db.execute("SELECT track_id FROM submits WHERE ticket = ?", (row_id,))
    check_own_ticket(ticket, owners, track_id)


def add_ticket(
    db: sqlite3.Connection, new: NewTicket, *, result: Success | Failed | None, now: float
) -> int:
    """
    Add the ticket of a submit, and complete it if there is a result. Return its row number.

    The ticket is added even if the journal was copied, because its work is paid for.
    """
    insert_new(db, [new], now=now)
    row_id = row_id_of(db, new.ticket)
    if result is not None:
        complete_new(db, row_id, result, now=now)
    return row_id


def set_ticket(db: sqlite3.Connection, submit_row: int | None, ticket_row: int) -> sqlite3.Cursor:
    """Record the ticket of a submit, unless the submit already has another ticket."""
    return db.execute(
        "UPDATE submits SET state = 'confirmed', ticket = ? "
        "WHERE submit = ? AND (ticket IS NULL OR ticket = ?)",
        (ticket_row, submit_row, ticket_row),
    )


def check_own_ticket(ticket: Ticket, submits: Iterable[Sequence[str]], track_id: str) -> None:
    """
    Check that a ticket belongs to no other submit.

    Args:
        ticket: The ticket.
        submits: Rows with one column: the track_id of each submit that has this ticket.
        track_id: The track_id of the submit that gets the ticket.

    Raises:
        ValueError: The ticket belongs to another submit.
    """
    for (other,) in submits:
        if other != track_id:
            raise ValueError(f"{ticket} is the ticket of the submit with the track_id {other!r}")


def withdraw(db: sqlite3.Connection, track_id: str, *, now: float) -> None:
    """
    Delete the record of a submit that was refused or never sent.

    Raises:
        ValueError: No submit with this track_id was recorded, the submit has a ticket, or an active
            run is sending it.
    """
    in_flight = db.execute(
        "SELECT 1 FROM submits JOIN runs USING (run) "
        f"WHERE track_id = ? AND submits.state = 'uncertain' AND {RUN_IS_ALIVE}",
        (track_id, now),
    )
    if in_flight.fetchone() is not None:
        raise in_flight_error(track_id)
    deleted = db.execute(
        "DELETE FROM submits WHERE track_id = ? AND state = 'uncertain'", (track_id,)
    )
    _check_found(deleted, track_id)


def in_flight_error(track_id: str) -> ValueError:
    """Return the error for deleting the record of a submit that is in flight."""
    return ValueError(
        f"the submit with the track_id {track_id!r} is in flight in another process or task; "
        "wait for its reply, or until that process has ended"
    )


def uncertain(db: sqlite3.Connection, *, now: float) -> list[PendingSubmit]:
    """Return submits that may have started work and belong to no active run, oldest first."""
    return _select(db, f"{_SELECT_SUBMITS} WHERE {_IS_UNCERTAIN} ORDER BY submit", now)


def count_uncertain(db: sqlite3.Connection, own: Set[str], *, now: float) -> int:
    """
    Return the number of submits that `uncertain` returns, without those of this process.

    `own` contains the track_ids of the submits that this process has in flight, or whose results
    it has not recorded yet.
    """
    rows = db.execute(f"SELECT track_id FROM submits WHERE {_IS_UNCERTAIN}", (now,))
    return sum(track_id not in own for (track_id,) in rows)


def orphaned(db: sqlite3.Connection, *, now: float) -> list[PendingSubmit]:
    """Return submits that belong to no active run and whose ticket is open or unresolved."""
    return _select(
        db,
        f"{_SELECT_SUBMITS} WHERE tickets.state <= {UNRESOLVED} AND NOT EXISTS (SELECT 1 FROM runs "
        f"WHERE runs.run = submits.run AND {RUN_IS_ALIVE}) ORDER BY submit",
        now,
    )


def find(db: sqlite3.Connection, track_id: str) -> PendingSubmit | None:
    """Return the submit with this track_id; None if none is recorded."""
    return next(iter(_select(db, f"{_SELECT_SUBMITS} WHERE track_id = ?", track_id)), None)


def find_by_key(db: sqlite3.Connection, key: str) -> PendingSubmit | None:
    """Return the submit with this submission key; None if none is recorded."""
    return next(iter(_select(db, f"{_SELECT_SUBMITS} WHERE key = ?", key)), None)


def _select(db: sqlite3.Connection, query: str, value: object) -> list[PendingSubmit]:
    rows = db.execute(query, (value,)).fetchall()
    # Load the names of the families after the rows, because another process may just have added a
    # row with a new family.
    names = family_names(db)
    return [_submit(names, row) for row in rows]


def _submit(names: Mapping[int, str], row: Sequence[Any]) -> PendingSubmit:
    *submit, row_id, family, id_ = row
    return decode_submit(
        submit, None if row_id is None else read_ticket(names, row_id, family, id_)
    )


def decode_submit(row: Sequence[Any], ticket: Ticket | None) -> PendingSubmit:
    """Return a submit, from the columns of its row in either store and from its ticket."""
    track_id, endpoint, payload_hash, recorded_at, columns, key, named = row
    return PendingSubmit(
        track_id=track_id,
        endpoint=endpoint,
        payload_hash=payload_hash,
        recorded_at=recorded_at,
        key=key,
        ticket=ticket,
        columns=decode_columns(track_id, columns, "submits"),
        named_ticket=decode_named_ticket(track_id, named),
    )


def _check_found(changed: sqlite3.Cursor, track_id: str) -> None:
    if changed.rowcount != 1:
        raise ValueError(f"no uncertain submit with the track_id {track_id!r} is in this journal")
