"""Marks in a database that a journal was copied, as `copy_marks` does in a file."""

from typing import Final

from .copy_marks import ENDLESS_LEASE, ORIGIN_PREFIX, CopyMark
from .postgres_context import PostgresContext

# The class of the advisory locks on the runs of a batch. A beginning run and a submit share the
# lock, and a copy that sets its mark has it alone. So a run that has begun is seen by the copy, or
# sees the mark.
_RUNS_LOCK: Final = 0x4D4C616A
_SHARE_RUNS: Final = f"SELECT pg_advisory_xact_lock_shared({_RUNS_LOCK}, $1)"
_LOCK_RUNS: Final = f"SELECT pg_advisory_xact_lock({_RUNS_LOCK}, $1)"
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
_FIND_ORIGIN: Final = f"""
SELECT process FROM runs WHERE batch = $1 AND process LIKE '{ORIGIN_PREFIX}%'
"""
_RECORD_ORIGIN: Final = """
INSERT INTO runs (batch, started_at, process)
VALUES ($1, date_part('epoch', clock_timestamp()), $2)
"""


async def find_mark(db: PostgresContext) -> CopyMark | None:
    """See `copy_marks.find_mark`."""
    row = await db.fetch_row(_FIND, ENDLESS_LEASE)
    return None if row is None else CopyMark.parse(row[0])


async def check_not_copied(db: PostgresContext) -> None:
    """See `copy_marks.check_not_copied`. Keep a copy from beginning before the next commit."""
    await db.fetch(_SHARE_RUNS)
    if (mark := await find_mark(db)) is not None:
        raise mark.refusal()


async def keep_runs_out(db: PostgresContext) -> None:
    """Wait until no run is beginning. None can begin before the next commit."""
    await db.fetch(_LOCK_RUNS)


async def set_mark(db: PostgresContext, mark: CopyMark) -> None:
    """See `copy_marks.set_mark`."""
    await remove_mark(db)
    await db.fetch(_SET, str(mark))


async def remove_mark(db: PostgresContext) -> None:
    """See `copy_marks.remove_mark`."""
    await db.fetch(_REMOVE, ENDLESS_LEASE)


async def find_origin(db: PostgresContext) -> str | None:
    """See `copy_marks.find_origin`."""
    row = await db.fetch_row(_FIND_ORIGIN)
    return None if row is None else str(row[0]).removeprefix(ORIGIN_PREFIX)


async def record_origin(db: PostgresContext, origin: str) -> None:
    """See `copy_marks.record_origin`."""
    await db.fetch(_RECORD_ORIGIN, f"{ORIGIN_PREFIX}{origin}")
