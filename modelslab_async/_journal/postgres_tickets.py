"""Adds tickets to a PostgreSQL database, and completes each ticket once. See `tickets`."""

from collections.abc import Sequence
from typing import Any, Final

from .._models.ticket import NewTicket, Ticket
from .._models.unresolved_outcomes import Outcome
from .postgres_context import PostgresContext, now_sql
from .postgres_copy_marks import check_not_copied
from .postgres_leases import end
from .postgres_statement_rows import in_statements, transposed
from .row_codec import encode
from .schema import FAILED, OPEN, SAVE_PENDING, SUCCESS, UNRESOLVED
from .tickets import OutcomeRow, PollUpdate

_ADD: Final = f"""
WITH new AS (
    INSERT INTO tickets (batch, family, id, added_at)
    SELECT $1, family, id, {now_sql(4)}
    FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (family, id, n) ORDER BY n
    ON CONFLICT (batch, family, id) DO NOTHING RETURNING ticket
), queued AS (
    INSERT INTO unfinished (batch, state, run, ticket) SELECT $1, {OPEN}, 0, ticket FROM new
)
SELECT count(*) FROM new
"""
_ADD_COLUMNS: Final = """
INSERT INTO inputs (batch, ticket, columns)
SELECT $1, known.ticket, given.columns
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS given (family, id, columns, n)
    CROSS JOIN LATERAL (
        SELECT ticket FROM tickets
        WHERE batch = $1 AND family = given.family AND id = given.id OFFSET 0
    ) AS known
ORDER BY n ON CONFLICT (batch, ticket) DO NOTHING
"""
_FIND: Final = "SELECT ticket FROM tickets WHERE batch = $1 AND family = $2 AND id = $3"
# Finds an open ticket of this run, and locks its row. No other run can claim the ticket before the
# commit.
_LOCK_OWN: Final = f"""
CROSS JOIN LATERAL (
    SELECT ctid AS position FROM unfinished
    WHERE batch = $1 AND state = {OPEN} AND run = $2 AND ticket = given.ticket
    FOR UPDATE OFFSET 0
) AS locked
"""
_COMPLETE: Final = f"""
WITH own AS MATERIALIZED (
    SELECT given.*, position FROM unnest(
        $3::bigint[], $4::smallint[], $5::integer[], $6::float8[], $7::text[], $8::text[]
    ) AS given (ticket, state, polls, max_lag, body, other_fields) {_LOCK_OWN}
), finished AS (
    DELETE FROM unfinished WHERE ctid = ANY (ARRAY(SELECT position FROM own))
), written AS (
    INSERT INTO replies AS known (
        ticket, completed_at, max_lag, run, batch, polls, state, body, other_fields
    )
    SELECT ticket, {now_sql(9)}, max_lag, CASE state WHEN {UNRESOLVED} THEN $2::bigint END, $1,
        polls, state, body, other_fields
    FROM own ORDER BY ticket
    ON CONFLICT (batch, ticket) DO UPDATE SET
        completed_at = excluded.completed_at, max_lag = excluded.max_lag, run = excluded.run,
        polls = known.polls + excluded.polls, state = excluded.state, body = excluded.body,
        other_fields = excluded.other_fields
), given_up AS (
    INSERT INTO unfinished (batch, state, run, ticket)
    SELECT $1, {UNRESOLVED}, $2, ticket FROM own WHERE state = {UNRESOLVED}
), queued AS (
    INSERT INTO saves (batch, ticket)
    SELECT $1, ticket FROM own WHERE state = {SUCCESS} AND $10 ORDER BY ticket
    ON CONFLICT (batch, ticket) DO UPDATE SET
        state = {SAVE_PENDING}, run = 0, completed_at = NULL, error = NULL, argument = NULL
)
SELECT ticket FROM own
"""
_COMPLETE_NEW: Final = f"""
WITH own AS (
    DELETE FROM unfinished WHERE batch = $1 AND state = {OPEN} AND run = 0 AND ticket = $2
    RETURNING ticket
)
INSERT INTO replies (ticket, completed_at, batch, state, body, other_fields)
SELECT ticket, {now_sql(6)}, $1, $3::smallint, $4, $5 FROM own
ON CONFLICT (batch, ticket) DO UPDATE SET
    completed_at = excluded.completed_at, state = excluded.state, body = excluded.body,
    other_fields = excluded.other_fields
"""
_REOPEN_FAILED: Final = f"""
WITH failed AS (
    UPDATE replies SET completed_at = NULL, max_lag = NULL
    WHERE batch = $1 AND state = {FAILED} AND completed_at IS NOT NULL RETURNING ticket
), queued AS (
    INSERT INTO unfinished (batch, state, run, ticket) SELECT $1, {OPEN}, 0, ticket FROM failed
)
SELECT count(*) FROM failed
"""
_RECORD_POLLS: Final = f"""
WITH own AS MATERIALIZED (
    SELECT given.* FROM unnest(
        $3::bigint[], $4::integer[], $5::smallint[], $6::text[], $7::text[]
    ) AS given (ticket, polls, state, body, other_fields) {_LOCK_OWN}
)
INSERT INTO replies AS known (ticket, batch, polls, state, body, other_fields)
SELECT ticket, $1, polls, state, body, other_fields FROM own ORDER BY ticket
ON CONFLICT (batch, ticket) DO UPDATE SET polls = known.polls + excluded.polls,
    state = coalesce(excluded.state, known.state),
    body = CASE WHEN excluded.state IS NULL THEN known.body ELSE excluded.body END,
    other_fields =
        CASE WHEN excluded.state IS NULL THEN known.other_fields ELSE excluded.other_fields END
WHERE known.completed_at IS NULL
"""


async def add(db: PostgresContext, new_tickets: Sequence[NewTicket], *, now: float) -> int:
    """See `tickets.add`."""
    await check_not_copied(db)
    return await insert_new(db, new_tickets, now=now)


async def insert_new(db: PostgresContext, new_tickets: Sequence[NewTicket], *, now: float) -> int:
    """See `tickets.insert_new`."""
    families = [new.ticket.family for new in new_tickets]
    ids = [new.ticket.id for new in new_tickets]
    (added,) = await db.fetch_row(_ADD, families, ids, db.moment(now))
    with_columns = [
        (new.ticket.family, new.ticket.id, new.columns) for new in new_tickets if new.columns
    ]
    for rows in in_statements(with_columns):
        await db.fetch(_ADD_COLUMNS, *transposed(rows))
    return int(added)


async def row_id_of(db: PostgresContext, ticket: Ticket) -> int:
    """
    Return the number of a ticket's row in this journal.

    Raises:
        ValueError: The ticket is not in this journal.
    """
    row = await db.fetch_row(_FIND, ticket.family, ticket.id)
    if row is None:
        raise ValueError(f"{ticket} is not in this journal; add it first")
    return int(row[0])


async def complete(
    db: PostgresContext,
    run_id: int,
    completions: Sequence[OutcomeRow],
    *,
    now: float,
    save_files: bool = False,
) -> list[bool]:
    """See `tickets.complete`."""
    own: set[int] = set()
    for rows in in_statements([_completion_row(each) for each in completions]):
        written = await db.fetch(_COMPLETE, run_id, *transposed(rows), db.moment(now), save_files)
        own.update(ticket for (ticket,) in written)
    return [completion.row_id in own for completion in completions]


async def complete_new(db: PostgresContext, row_id: int, outcome: Outcome, *, now: float) -> None:
    """See `tickets.complete_new`."""
    await db.fetch(_COMPLETE_NEW, row_id, *encode(outcome), db.moment(now))


async def reopen_failed(db: PostgresContext) -> int:
    """See `tickets.reopen_failed`."""
    await check_not_copied(db)
    return int((await db.fetch_whole(_REOPEN_FAILED))[0][0])


async def record_polls(db: PostgresContext, run_id: int, updates: Sequence[PollUpdate]) -> None:
    """See `tickets.record_polls`."""
    for rows in in_statements([_poll_row(each) for each in updates]):
        await db.fetch(_RECORD_POLLS, run_id, *transposed(rows))


async def end_run(db: PostgresContext, run_id: int, updates: Sequence[PollUpdate]) -> None:
    """See `tickets.end_run`."""
    await record_polls(db, run_id, updates)
    await end(db, run_id)


def _completion_row(each: OutcomeRow) -> tuple[Any, ...]:
    state, body, other_fields = encode(each.outcome)
    return each.row_id, state, each.polls, each.max_lag, body, other_fields


def _poll_row(each: PollUpdate) -> tuple[Any, ...]:
    state, body, other_fields = (None, None, None) if each.last is None else encode(each.last)
    return each.row_id, each.polls, state, body, other_fields
