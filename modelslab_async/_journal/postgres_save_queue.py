"""Stores the queue of pending saves in PostgreSQL. See `save_queue`."""

from collections.abc import Sequence
from typing import Any, Final

from .._models.journal_errors import JournalDamaged
from .._models.replies import Success
from .._models.ticket import Ticket
from .postgres_context import PostgresContext, now_sql
from .postgres_copy_marks import check_not_copied
from .postgres_files import files_of_rows
from .postgres_leases import claim_free, expire_runs, renew
from .postgres_tickets import row_id_of
from .row_codec import decode
from .save_queue import PendingSave, SaveClaim, UnsavedTicket
from .schema import SAVE_FAILED, SAVE_PENDING, SAVED, SUCCESS

# The condition of the partial index `unfinished_saves`. PostgreSQL uses this index only for queries
# that contain this condition.
_UNFINISHED: Final = f"saves.batch = $1 AND saves.state <= {SAVE_FAILED}"
_PENDING: Final = f"{_UNFINISHED} AND saves.state = {SAVE_PENDING}"
_QUEUE: Final = f"""
WITH queued AS (
    INSERT INTO saves (batch, ticket) SELECT $1, ticket FROM replies
    WHERE batch = $1 AND state = {SUCCESS} AND completed_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM saves WHERE saves.batch = $1 AND saves.ticket = replies.ticket
    )
    ORDER BY ticket ON CONFLICT (batch, ticket) DO NOTHING RETURNING 1
)
SELECT count(*) FROM queued
"""
_INSERT_SUCCESSES: Final = f"""
INSERT INTO saves (batch, ticket) SELECT DISTINCT $1::integer, given.ticket
FROM unnest($2::bigint[]) AS given (ticket) CROSS JOIN LATERAL (
    SELECT FROM replies WHERE batch = $1 AND ticket = given.ticket
        AND state = {SUCCESS} AND completed_at IS NOT NULL OFFSET 0
) AS succeeded
ORDER BY given.ticket
"""
_QUEUE_GIVEN: Final = f"""
{_INSERT_SUCCESSES} ON CONFLICT (batch, ticket) DO NOTHING RETURNING 1
"""
_REQUEUE: Final = f"""
{_INSERT_SUCCESSES} ON CONFLICT (batch, ticket) DO UPDATE SET
    state = {SAVE_PENDING}, run = 0, completed_at = NULL, error = NULL, argument = NULL
"""
_CLAIMED: Final = """
SELECT taken.ticket, family, id, state, body, other_fields
FROM taken CROSS JOIN LATERAL (
        SELECT family, id FROM tickets WHERE batch = $1 AND ticket = taken.ticket OFFSET 0
    ) AS known
    CROSS JOIN LATERAL (
        SELECT state, body, other_fields FROM replies
        WHERE batch = $1 AND ticket = taken.ticket OFFSET 0
    ) AS reply
ORDER BY taken.ticket
"""
_CLAIM: Final = f"""
WITH free AS MATERIALIZED (
    SELECT ticket, ctid AS position FROM saves WHERE {_PENDING} AND run = 0 AND ticket > $3
    ORDER BY ticket LIMIT $4 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE saves SET run = $2 WHERE ctid = ANY (ARRAY(SELECT position FROM free))
    RETURNING ticket
)
{_CLAIMED}
"""
_CLAIM_FAILED: Final = f"""
WITH free AS MATERIALIZED (
    SELECT ticket, ctid AS position FROM saves
    WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} AND run < $3
    ORDER BY run, ticket LIMIT $4 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE saves SET state = {SAVE_PENDING}, run = $2
    WHERE ctid = ANY (ARRAY(SELECT position FROM free)) RETURNING ticket
)
{_CLAIMED}
"""
# Finds out whether other runs have saves that this run may claim later. A run asks this if it found
# no save to claim. If a save belongs to no run, another run has locked it and is claiming it now.
_OTHERS_HAVE_SOME: Final = f"""
SELECT EXISTS (SELECT FROM saves WHERE {_PENDING} AND run > 0 AND run < $2)
    OR EXISTS (SELECT FROM saves WHERE {_PENDING} AND run > $2)
    OR EXISTS (SELECT FROM saves WHERE {_PENDING} AND run = 0)
    OR EXISTS (
        SELECT FROM saves WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} AND run < $3
    )
"""
_COMPLETE: Final = f"""
UPDATE saves SET state = $4, completed_at = {now_sql(7)}, error = $5, argument = $6
WHERE batch = $1 AND ticket = $3 AND state = {SAVE_PENDING} AND run = $2 RETURNING 1
"""
_UNSAVED: Final = f"""
SELECT family, id, error, argument, saves.completed_at
FROM saves CROSS JOIN LATERAL (
    SELECT family, id FROM tickets WHERE batch = $1 AND ticket = saves.ticket OFFSET 0
) AS known
WHERE {_UNFINISHED} AND saves.state = {SAVE_FAILED} ORDER BY saves.ticket
"""


async def queue_saves(db: PostgresContext, tickets: Sequence[Ticket] | None = None) -> int:
    """See `save_queue.queue_saves`."""
    if tickets is not None:
        return len(await db.fetch(_QUEUE_GIVEN, [await row_id_of(db, each) for each in tickets]))
    return int((await db.fetch_whole(_QUEUE))[0][0])


async def requeue_saves(db: PostgresContext, tickets: Sequence[Ticket]) -> None:
    """See `save_queue.requeue_saves`."""
    await check_not_copied(db)
    await db.fetch(_REQUEUE, [await row_id_of(db, ticket) for ticket in tickets])


async def claim(
    db: PostgresContext, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> SaveClaim | None:
    """See `save_queue.claim`."""
    if not await renew(db, run_id, now=now, lease=lease):
        return None
    await expire_runs(db, run_id, now)
    rows = await claim_free(db, _CLAIM, db.last_claimed_save, run_id, limit)
    if len(rows) < limit:
        rows += await db.fetch(_CLAIM_FAILED, run_id, before_run, limit - len(rows))
    pending, damaged = await _read_claim(db, run_id, rows, now)
    if pending or damaged:
        return SaveClaim(pending, damaged, has_others=True)
    (has_others,) = await db.fetch_row(_OTHERS_HAVE_SOME, run_id, before_run)
    return SaveClaim([], [], has_others=has_others)


async def _read_claim(
    db: PostgresContext, run_id: int, rows: Sequence[Any], now: float
) -> tuple[list[PendingSave], list[JournalDamaged]]:
    """Decode the claimed saves. If a reply is damaged, only the save of its ticket fails."""
    tickets = {row_id: Ticket(family, id_) for row_id, family, id_, *_ in rows}
    files = await files_of_rows(db, tickets) if rows else {}
    pending: list[PendingSave] = []
    damaged: list[JournalDamaged] = []
    for row_id, _, _, *reply in rows:
        try:
            success = decode(tickets[row_id], reply)
        except JournalDamaged as error:
            damaged.append(error)
            await complete_save(db, run_id, row_id, error=error.message, argument="", now=now)
            continue
        if isinstance(success, Success):
            pending.append(PendingSave(row_id, success, files.get(row_id, ())))
    return pending, damaged


async def complete_save(
    db: PostgresContext,
    run_id: int,
    row_id: int,
    *,
    error: str | None,
    argument: str,
    now: float,
) -> bool:
    """See `save_queue.complete_save`."""
    state = SAVED if error is None else SAVE_FAILED
    updated = await db.fetch(_COMPLETE, run_id, row_id, state, error, argument, db.moment(now))
    return bool(updated)


async def unsaved(db: PostgresContext) -> list[UnsavedTicket]:
    """See `save_queue.unsaved`."""
    return [
        UnsavedTicket(
            ticket=Ticket(family, id_), error=error, argument=argument, failed_at=failed_at
        )
        for family, id_, error, argument, failed_at in await db.fetch_whole(_UNSAVED)
    ]
