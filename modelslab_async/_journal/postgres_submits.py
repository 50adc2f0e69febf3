"""Records submits in a PostgreSQL database before they are sent. See `submits`."""

from collections.abc import Sequence, Set
from typing import Any, Final

from .._models.replies import Failed, Success
from .._models.ticket import NewTicket, Ticket, encode_columns
from .own_submits import OwnSubmit
from .postgres_context import PostgresContext, now_sql
from .postgres_copy_marks import check_not_copied
from .postgres_leases import renew
from .postgres_tickets import complete_new, insert_new, row_id_of
from .process_identity import has_died
from .schema import UNRESOLVED
from .submits import (
    DuplicateSubmit,
    PendingSubmit,
    check_own_ticket,
    decode_submit,
    in_flight_error,
)

_RECORD: Final = """
INSERT INTO submits (batch, track_id, endpoint, payload_hash, recorded_at, columns, run, key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING submit
"""
_DELETE: Final = "DELETE FROM submits WHERE batch = $1 AND submit = $2 AND ticket IS NULL"
_WITHDRAW_OWN: Final = f"{_DELETE} RETURNING submit"
_FIND: Final = "SELECT submit, columns FROM submits WHERE batch = $1 AND track_id = $2"
_SELECT_OF_TICKET: Final = """
SELECT track_id FROM submits WHERE batch = $1 AND ticket IS NOT NULL AND ticket = $2
"""
_CONFIRM: Final = """
UPDATE submits SET ticket = $3
WHERE batch = $1 AND submit = $2 AND (ticket IS NULL OR ticket = $3) RETURNING submit
"""
_MARK_UNCERTAIN: Final = """
UPDATE submits SET run = NULL, named_ticket = $3 WHERE batch = $1 AND submit = $2
"""
_COLUMNS: Final = (
    "submits.track_id, submits.endpoint, submits.payload_hash, submits.recorded_at, "
    "submits.columns, submits.key, submits.named_ticket, tickets.family, tickets.id"
)
_SELECT: Final = f"""
SELECT {_COLUMNS}
FROM submits LEFT JOIN tickets
    ON tickets.batch = submits.batch AND tickets.ticket = submits.ticket
WHERE submits.batch = $1
"""
# SQL for two columns about the run that sends a submit: whether its lease is still valid, and its
# process.
_RUN_STATE: Final = f"coalesce(runs.lease_until > {now_sql(2)}, false), runs.process"
_LOCK_SUBMIT: Final = f"""
SELECT submits.submit, {_RUN_STATE} FROM submits LEFT JOIN runs ON runs.run = submits.run
WHERE submits.batch = $1 AND submits.track_id = $3 AND submits.ticket IS NULL FOR UPDATE OF submits
"""
_SELECT_UNCERTAIN: Final = f"""
SELECT {_COLUMNS}, {_RUN_STATE}
FROM submits LEFT JOIN runs ON runs.run = submits.run
    LEFT JOIN tickets ON tickets.batch = submits.batch AND tickets.ticket = submits.ticket
WHERE submits.batch = $1 AND submits.ticket IS NULL ORDER BY submits.submit
"""
_SELECT_UNCERTAIN_IDS: Final = f"""
SELECT submits.track_id, {_RUN_STATE}
FROM submits LEFT JOIN runs ON runs.run = submits.run
WHERE submits.batch = $1 AND submits.ticket IS NULL
"""
_SELECT_ORPHANED: Final = f"""
SELECT {_COLUMNS}, {_RUN_STATE}
FROM unfinished CROSS JOIN LATERAL (
        SELECT * FROM submits
        WHERE batch = $1 AND ticket IS NOT NULL AND ticket = unfinished.ticket OFFSET 0
    ) AS submits
    LEFT JOIN tickets ON tickets.batch = $1 AND tickets.ticket = unfinished.ticket
    LEFT JOIN runs ON runs.run = submits.run
WHERE unfinished.batch = $1 AND unfinished.state <= {UNRESOLVED} ORDER BY submits.submit
"""


async def record_submit(db: PostgresContext, submit: PendingSubmit, run_id: int | None) -> int:
    """See `submits.record_submit`."""
    await check_not_copied(db)
    row = await _insert(db, submit, run_id)
    if row is None:
        raise DuplicateSubmit.of(submit)
    return int(row[0])


async def record_own(
    db: PostgresContext, submit: PendingSubmit, run_id: int, *, now: float, lease: float
) -> int | None:
    """See `own_submits.record_own`."""
    if not await renew(db, run_id, now=now, lease=lease):
        return None
    return await record_submit(db, submit, run_id)


async def _insert(db: PostgresContext, submit: PendingSubmit, run_id: int | None) -> Any:
    return await db.fetch_row(
        _RECORD,
        *(submit.track_id, submit.endpoint, submit.payload_hash, submit.recorded_at),
        *(encode_columns(submit.columns, submit.track_id) or None, run_id, submit.key),
    )


async def undo_record_submit(db: PostgresContext, row_id: int | None) -> None:
    """
    Delete the row of a submit that was never sent.

    The call that should have recorded the submit raised an error, so the caller did not send the
    submit. The row may have been committed nevertheless. Find the row by its number, because
    another submit may have the same track_id. If `row_id` is None, `record_own` inserted no row, so
    there is nothing to delete.
    """
    await db.fetch(_DELETE, row_id)


async def confirm(
    db: PostgresContext,
    track_id: str,
    ticket: Ticket,
    *,
    result: Success | Failed | None,
    now: float,
) -> None:
    """See `submits.confirm`."""
    row = await db.fetch_row(_FIND, track_id)
    _check_found(row, track_id)
    submit_row, columns = row
    row_id = await _add_ticket(db, NewTicket(ticket, columns or ""), result=result, now=now)
    _check_found(await db.fetch_row(_CONFIRM, submit_row, row_id), track_id)
    owners = await db.fetch(_SELECT_OF_TICKET, row_id)
    check_own_ticket(ticket, owners, track_id)


async def confirm_sent(
    db: PostgresContext,
    own: OwnSubmit,
    ticket: Ticket,
    *,
    result: Success | Failed | None,
    now: float,
) -> None:
    """See `own_submits.confirm_sent`."""
    new = NewTicket(ticket, encode_columns(own.submit.columns, own.submit.track_id))
    row_id = await _add_ticket(db, new, result=result, now=now)
    if await db.fetch_row(_CONFIRM, own.row_id, row_id) is not None:
        return
    if (inserted := await _insert(db, own.submit, own.run_id)) is not None:
        await db.fetch(_CONFIRM, inserted[0], row_id)


async def _add_ticket(
    db: PostgresContext, new: NewTicket, *, result: Success | Failed | None, now: float
) -> int:
    # Record the ticket even if the journal was copied, because its work is paid for.
    await insert_new(db, [new], now=now)
    row_id = await row_id_of(db, new.ticket)
    if result is not None:
        await complete_new(db, row_id, result, now=now)
    return row_id


async def mark_uncertain(
    db: PostgresContext, own: OwnSubmit, *, named_ticket: Ticket | None
) -> None:
    """See `own_submits.mark_uncertain`."""
    named = None if named_ticket is None else str(named_ticket)
    await db.fetch(_MARK_UNCERTAIN, own.row_id, named)


async def withdraw(db: PostgresContext, track_id: str, *, now: float) -> None:
    """See `submits.withdraw`."""
    row = await db.fetch_row(_LOCK_SUBMIT, db.moment(now), track_id)
    _check_found(row, track_id)
    submit_row, *run_state = row
    if _is_active(*run_state):
        raise in_flight_error(track_id)
    # Another process may record a new submit with this track_id at any time. So delete the row by
    # its number, not by its track_id.
    await db.fetch(_DELETE, submit_row)


async def withdraw_own(db: PostgresContext, own: OwnSubmit) -> bool:
    """See `own_submits.withdraw_own`."""
    return await db.fetch_row(_WITHDRAW_OWN, own.row_id) is not None


async def uncertain(db: PostgresContext, *, now: float) -> list[PendingSubmit]:
    """See `submits.uncertain`."""
    rows = await db.fetch(_SELECT_UNCERTAIN, db.moment(now))
    return [_submit(row[:-2]) for row in rows if not _is_active(*row[-2:])]


async def count_uncertain(db: PostgresContext, own: Set[str], *, now: float) -> int:
    """See `submits.count_uncertain`."""
    rows = await db.fetch_whole(_SELECT_UNCERTAIN_IDS, db.moment(now))
    return sum(track_id not in own for track_id, *state in rows if not _is_active(*state))


async def orphaned(db: PostgresContext, *, now: float) -> list[PendingSubmit]:
    """See `submits.orphaned`."""
    rows = await db.fetch(_SELECT_ORPHANED, db.moment(now))
    return [_submit(row[:-2]) for row in rows if not _is_active(*row[-2:])]


def _is_active(is_leased: bool, process: str | None) -> bool:  # noqa: FBT001 -- from a row.
    return is_leased and not has_died(process)


async def find(db: PostgresContext, track_id: str) -> PendingSubmit | None:
    """See `submits.find`."""
    row = await db.fetch_row(f"{_SELECT} AND submits.track_id = $2", track_id)
    return None if row is None else _submit(row)


async def find_by_key(db: PostgresContext, key: str) -> PendingSubmit | None:
    """See `submits.find_by_key`."""
    row = await db.fetch_row(f"{_SELECT} AND submits.key = $2 AND submits.key IS NOT NULL", key)
    return None if row is None else _submit(row)


def _submit(row: Sequence[Any]) -> PendingSubmit:
    *submit, family, id_ = row
    return decode_submit(submit, None if family is None else Ticket(family, id_))


def _check_found(row: Any, track_id: str) -> None:
    if row is None:
        raise ValueError(f"no uncertain submit with the track_id {track_id!r} is in this journal")
