"""Stores the leases of runs and their claimed tickets in PostgreSQL. See `lease_rows`."""

from typing import Any, Final

from .._models.ticket import Ticket
from .lease_rows import Claim, ClaimedTicket
from .postgres_context import PostgresContext, holders_of, now_sql
from .postgres_copy_marks import check_not_copied
from .process_identity import has_died, this_process
from .schema import OPEN, SAVE_FAILED, SAVE_PENDING, UNRESOLVED

_BEGIN: Final = f"""
INSERT INTO runs (started_at, lease_until, batch, process)
SELECT moment, moment + $3, $1, $2 FROM (SELECT {now_sql(4)} AS moment) AS given RETURNING run
"""
_RENEW: Final = f"""
UPDATE runs SET lease_until = {now_sql(4)} + $3
WHERE batch = $1 AND run = $2 AND lease_until IS NOT NULL RETURNING run
"""
_OTHER_RUNS: Final = f"""
SELECT run, process, lease_until <= {now_sql(3)} FROM runs
WHERE batch = $1 AND lease_until IS NOT NULL AND run <> $2
"""
# Ends a run whose lease has expired or whose process has died. Skips a locked row, because its run
# is renewing the lease now.
_EXPIRE: Final = f"""
UPDATE runs SET lease_until = NULL
WHERE batch = $1 AND run IN (
    SELECT run FROM runs WHERE batch = $1 AND run = $2 AND lease_until IS NOT NULL
        AND ($3 OR lease_until <= {now_sql(4)})
    FOR UPDATE SKIP LOCKED
)
RETURNING run
"""
_END: Final = "UPDATE runs SET lease_until = NULL WHERE batch = $1 AND run = $2"
_OPEN: Final = f"unfinished WHERE batch = $1 AND state = {OPEN}"
_PENDING: Final = f"saves WHERE batch = $1 AND state <= {SAVE_FAILED} AND state = {SAVE_PENDING}"
# Frees the tickets of a run. Skips locked rows, because the process that has locked them may be
# suspended. A later claim frees the tickets in these rows.
_FREE_TICKETS: Final = f"""
UPDATE unfinished SET run = 0 WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {_OPEN} AND run = $2 FOR UPDATE SKIP LOCKED
))
"""
_FREE_SAVES: Final = f"""
UPDATE saves SET run = 0 WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {_PENDING} AND run = $2 FOR UPDATE SKIP LOCKED
))
"""
_ENDED_HOLDERS: Final = f"""
SELECT run FROM (
    {holders_of(_OPEN)} UNION {holders_of(_PENDING)}
) AS holders
WHERE NOT EXISTS (
    SELECT FROM runs WHERE runs.batch = $1 AND lease_until IS NOT NULL AND runs.run = holders.run
)
"""
# Returns only the tickets whose rows the claim has updated. The claim may also have locked rows
# that another run changed after the statement began. It does not update these rows.
_CLAIMED: Final = """
SELECT taken.ticket, family, id FROM taken CROSS JOIN LATERAL (
    SELECT family, id FROM tickets WHERE batch = $1 AND ticket = taken.ticket OFFSET 0
) AS known ORDER BY taken.ticket
"""
_CLAIM: Final = f"""
WITH free AS MATERIALIZED (
    SELECT ticket, ctid AS position FROM unfinished
    WHERE batch = $1 AND state = {OPEN} AND run = 0 AND ticket > $3
    ORDER BY ticket LIMIT $4 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE unfinished SET run = $2 WHERE ctid = ANY (ARRAY(SELECT position FROM free))
    RETURNING ticket
)
{_CLAIMED}
"""
_CLAIM_UNRESOLVED: Final = f"""
WITH free AS MATERIALIZED (
    SELECT ticket, ctid AS position FROM unfinished
    WHERE batch = $1 AND state = {UNRESOLVED} AND run < $3
    ORDER BY run, ticket LIMIT $4 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE unfinished SET state = {OPEN}, run = $2
    WHERE ctid = ANY (ARRAY(SELECT position FROM free)) RETURNING ticket
), reopened AS (
    UPDATE replies SET completed_at = NULL
    WHERE batch = $1 AND ticket = ANY (ARRAY(SELECT ticket FROM taken))
)
{_CLAIMED}
"""
# Finds out whether other runs have tickets that this run may claim later. A run asks this if it
# found no ticket to claim. If a ticket belongs to no run, another run has locked it and is claiming
# it now. The query can be slow, because it also reads deleted rows. VACUUM cannot remove these
# while another program has a transaction open.
_OTHERS_HAVE_SOME: Final = f"""
SELECT EXISTS (
    SELECT FROM {_OPEN} AND run > 0 AND run < $2
) OR EXISTS (
    SELECT FROM {_OPEN} AND run > $2
) OR EXISTS (
    SELECT FROM {_OPEN} AND run = 0
) OR EXISTS (
    SELECT FROM unfinished WHERE batch = $1 AND state = {UNRESOLVED} AND run < $3
)
"""


async def begin(db: PostgresContext, *, now: float, lease: float) -> int:
    """See `lease_rows.begin`."""
    await check_not_copied(db)
    (run_id,) = await db.fetch_row(_BEGIN, this_process(), lease, db.moment(now))
    return int(run_id)


async def renew(db: PostgresContext, run_id: int, *, now: float, lease: float) -> bool:
    """See `lease_rows.renew`."""
    renewed = await db.fetch_row(_RENEW, run_id, lease, db.moment(now))
    return renewed is not None


async def end(db: PostgresContext, run_id: int) -> None:
    """See `lease_rows.end`."""
    await db.fetch(_END, run_id)
    await _free(db, run_id)


async def _free(db: PostgresContext, run_id: int) -> None:
    db.last_claimed.pop(run_id, None)
    db.last_claimed_save.pop(run_id, None)
    await db.fetch(_FREE_TICKETS, run_id)
    await db.fetch(_FREE_SAVES, run_id)


async def claim(
    db: PostgresContext, run_id: int, *, before_run: int, limit: int, now: float, lease: float
) -> Claim | None:
    """See `lease_rows.claim`."""
    if not await renew(db, run_id, now=now, lease=lease):
        return None
    await expire_runs(db, run_id, now)
    rows = await claim_free(db, _CLAIM, db.last_claimed, run_id, limit)
    if len(rows) < limit:
        rows += await db.fetch(_CLAIM_UNRESOLVED, run_id, before_run, limit - len(rows))
    tickets = [ClaimedTicket(row_id, Ticket(family, id_)) for row_id, family, id_ in rows]
    if tickets:
        return Claim(tickets, has_others=True)
    (has_others,) = await db.fetch_row(_OTHERS_HAVE_SOME, run_id, before_run)
    return Claim([], has_others=has_others)


async def claim_free(
    db: PostgresContext, statement: str, last_claimed: dict[int, int], run_id: int, limit: int
) -> list[Any]:
    """
    Claim tickets or saves that belong to no run, and return their rows.

    If there are none, free the tickets and saves that still belong to ended runs, and try once
    more.

    Args:
        db: The batch and the connection.
        statement: The SQL statement that claims rows. Its parameters are the batch, the run, the
            row number after which to start, and the maximum number of rows.
        last_claimed: For each run, the row number of the row that the run claimed most recently.
        run_id: The run that claims.
        limit: The maximum number of rows to claim.
    """
    rows = await _claim_after_last(db, statement, last_claimed, run_id, limit)
    if not rows and await _free_leftovers(db):
        rows = await _claim_after_last(db, statement, last_claimed, run_id, limit)
    return rows


async def _claim_after_last(
    db: PostgresContext, statement: str, last_claimed: dict[int, int], run_id: int, limit: int
) -> list[Any]:
    last = last_claimed.get(run_id, 0)
    rows = await db.fetch(statement, run_id, last, limit)
    if not rows and last:
        # Start again at the lowest row number: since the last claim, other processes may have freed
        # rows with lower numbers.
        rows = await db.fetch(statement, run_id, 0, limit)
    last_claimed[run_id] = rows[-1][0] if rows else 0
    return rows


async def _free_leftovers(db: PostgresContext) -> bool:
    """Free tickets and saves that still belong to ended runs. Return whether any were found."""
    ended = await db.fetch(_ENDED_HOLDERS)
    for (run_id,) in ended:
        await _free(db, run_id)
    return bool(ended)


async def expire_runs(db: PostgresContext, run_id: int, now: float) -> None:
    """End the runs whose lease has expired or whose process has died, except the run `run_id`."""
    for other, process, is_over in await db.fetch(_OTHER_RUNS, run_id, db.moment(now)):
        is_dead = has_died(process)
        if (is_over or is_dead) and await db.fetch_row(_EXPIRE, other, is_dead, db.moment(now)):
            await _free(db, other)
