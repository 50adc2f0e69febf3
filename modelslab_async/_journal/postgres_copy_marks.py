"""Marks a journal in a PostgreSQL database that is being copied or was copied. See `copy_marks`."""

from typing import Final

from .copy_marks import ENDLESS_LEASE, ORIGIN_PREFIX, CopyMark
from .postgres_context import PostgresContext


def lock_key(kind: int) -> str:
    """
    Return SQL for the key of an advisory lock on the batch with the number `$1`.

    All schemas of a database share one set of advisory locks, but two batches in different schemas
    can have the same number. Therefore the key also depends on the schema.
    """
    return f"hashtextextended(concat(current_schema(), ' ', $1::integer), {kind})"


# The kind of advisory lock that prevents new runs, submits and tickets during a copy. A transaction
# that adds one of them takes a shared lock. A copy takes exclusive locks. It keeps the lock on the
# source until it commits the copy mark, and the lock on the target until it commits the rows. If a
# run begins before the copy has the lock, the copy finds the run. If it begins later, the run waits
# for the lock, and then finds the mark. The run does not wait inside a transaction: it tries the
# shared lock, and the writer repeats its operation later.
_RUNS_LOCK: Final = 0x4D4C616A
_SHARE_RUNS: Final = f"SELECT pg_try_advisory_xact_lock_shared({lock_key(_RUNS_LOCK)})"
_LOCK_RUNS: Final = f"SELECT pg_advisory_xact_lock({lock_key(_RUNS_LOCK)})"
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


class CopyUnderWay(Exception):
    """The batch is being copied, so an operation cannot add a run, submit or ticket now."""


async def find_mark(db: PostgresContext) -> CopyMark | None:
    """See `copy_marks.find_mark`."""
    row = await db.fetch_row(_FIND, ENDLESS_LEASE)
    return None if row is None else CopyMark.parse(row[0])


async def check_not_copied(db: PostgresContext) -> None:
    """
    See `copy_marks.check_not_copied`. Also prevent copies of the batch until the next commit.

    Raises:
        CopyUnderWay: The batch is now the source or the target of a copy.
        JournalReadOnly: The batch has a mark.
    """
    (is_shared,) = await db.fetch_row(_SHARE_RUNS)
    if not is_shared:
        raise CopyUnderWay
    if (mark := await find_mark(db)) is not None:
        raise mark.refusal()


async def keep_runs_out(db: PostgresContext) -> None:
    """Wait until no transaction adds runs, submits or tickets. Block new ones until the commit."""
    await db.fetch(_LOCK_RUNS)


async def set_mark(db: PostgresContext, mark: CopyMark) -> None:
    """See `copy_marks.set_mark`."""
    await db.fetch(_REMOVE, ENDLESS_LEASE)
    await db.fetch(_SET, str(mark))


async def has_origin(db: PostgresContext, origin: str) -> bool:
    """See `copy_marks.has_origin`."""
    (is_found,) = await db.fetch_row(_HAS_ORIGIN, f"{ORIGIN_PREFIX}{origin}")
    return bool(is_found)


async def record_origin(db: PostgresContext, origin: str) -> None:
    """See `copy_marks.record_origin`."""
    await db.fetch(_RECORD_ORIGIN, f"{ORIGIN_PREFIX}{origin}")
