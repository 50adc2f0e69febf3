"""Marks a journal in a database that is being copied or was copied. See `copy_marks`."""

import asyncio
from typing import Final

from .copy_marks import ENDLESS_LEASE, ORIGIN_PREFIX, CopyMark
from .postgres_context import PostgresContext


def lock_key(kind: int) -> str:
    """
    Return SQL for the key of an advisory lock on a batch, whose number is the parameter `$1`.

    The key contains the schema, because batches in two schemas can have the same number, and the
    whole database has only one set of advisory locks.
    """
    return f"hashtextextended(concat(current_schema(), ' ', $1::integer), {kind})"


# The kind of advisory lock that keeps new runs, submits and tickets out of a batch while it is
# copied. Each of them shares the lock until its commit. A copy holds the lock alone: on its source
# while it sets the copy mark, and on its target until the commit. If a run begins first, the copy
# sees the run. Otherwise the run waits for the lock, and then sees the mark.
_RUNS_LOCK: Final = 0x4D4C616A
_SHARE_RUNS: Final = f"SELECT pg_try_advisory_xact_lock_shared({lock_key(_RUNS_LOCK)})"
_LOCK_RUNS: Final = f"SELECT pg_advisory_xact_lock({lock_key(_RUNS_LOCK)})"
# The seconds between two attempts to share the lock. A statement that waits for the lock would time
# out, because a copy may take minutes.
_SHARE_PAUSE_S: Final = 0.25
_FIND: Final = """
SELECT process FROM runs WHERE batch = $1 AND lease_until IS NOT NULL AND lease_until = $2
"""
_SET: Final = f"""
INSERT INTO runs (batch, started_at, lease_until, process)
VALUES ($1, date_part('epoch', clock_timestamp()), '{ENDLESS_LEASE}', $2)
"""
_REMOVE: Final = """
DELETE FROM runs WHERE batch = $1 AND lease_until IS NOT NULL AND lease_until = $2
"""
_HAS_ORIGIN: Final = "SELECT EXISTS (SELECT FROM runs WHERE batch = $1 AND process = $2)"
_RECORD_ORIGIN: Final = """
INSERT INTO runs (batch, started_at, process)
VALUES ($1, date_part('epoch', clock_timestamp()), $2)
"""


async def find_mark(db: PostgresContext) -> CopyMark | None:
    """See `copy_marks.find_mark`."""
    row = await db.fetch_row(_FIND, ENDLESS_LEASE)
    return None if row is None else CopyMark.parse(row[0])


async def check_not_copied(db: PostgresContext) -> None:
    """
    See `copy_marks.check_not_copied`. Until the next commit, no copy of the batch can begin.

    If the batch is the target of a copy now, wait until the copy ends.
    """
    while not (await db.fetch_row(_SHARE_RUNS))[0]:  # noqa: ASYNC110 -- the lock is the server's.
        await asyncio.sleep(_SHARE_PAUSE_S)
    if (mark := await find_mark(db)) is not None:
        raise mark.refusal()


async def keep_runs_out(db: PostgresContext) -> None:
    """Wait for runs and submits that are being recorded. Until the next commit, allow no more."""
    await db.fetch(_LOCK_RUNS)


async def set_mark(db: PostgresContext, mark: CopyMark) -> None:
    """See `copy_marks.set_mark`."""
    await remove_mark(db)
    await db.fetch(_SET, str(mark))


async def remove_mark(db: PostgresContext) -> None:
    """See `copy_marks.remove_mark`."""
    await db.fetch(_REMOVE, ENDLESS_LEASE)


async def has_origin(db: PostgresContext, origin: str) -> bool:
    """See `copy_marks.has_origin`."""
    (is_found,) = await db.fetch_row(_HAS_ORIGIN, f"{ORIGIN_PREFIX}{origin}")
    return bool(is_found)


async def record_origin(db: PostgresContext, origin: str) -> None:
    """See `copy_marks.record_origin`."""
    await db.fetch(_RECORD_ORIGIN, f"{ORIGIN_PREFIX}{origin}")
