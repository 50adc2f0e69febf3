"""PostgresContext: the batch, the connection and the clock that a database operation uses."""

from typing import Any, Final

from attrs import define, field

from .postgres_session import LONG_TIMEOUT_S, PostgresSession

# `now_sql` replaces `{0}` with the number of a statement's parameter, such as 2 for `$2`.
_NOW: Final = "coalesce(${0}::float8, date_part('epoch', clock_timestamp()))"
# Each step of the recursion finds the next higher run number in the index, so the query reads only
# one row for each run.
_HOLDERS: Final = """(
WITH RECURSIVE holders AS (
    (SELECT run FROM {rows} AND run > 0 ORDER BY run LIMIT 1)
    UNION ALL SELECT (SELECT run FROM {rows} AND run > holders.run ORDER BY run LIMIT 1)
    FROM holders WHERE holders.run IS NOT NULL
)
SELECT run FROM holders WHERE run IS NOT NULL
)"""


def now_sql(parameter: int) -> str:
    """
    Return SQL for the current time.

    With `parameter=2`, the time is the statement's `$2`, or the server's time if `$2` is null.
    """
    return _NOW.format(parameter)


def holders_of(rows: str) -> str:
    """
    Return SQL that lists the numbers of the runs that have claimed any of the given rows.

    Args:
        rows: A table and a condition, as SQL: "table WHERE ...". The table needs an index on the
            columns of the condition, followed by the column `run`.
    """
    return _HOLDERS.format(rows=rows)


@define(eq=False)
class PostgresContext:
    """
    The batch and the connection that an operation uses.

    The methods pass the number of the batch as the first parameter of each statement.

    Attributes:
        session: The connection that the operation uses.
        batch: The number of the batch.
        has_server_clock: Whether to use the server's clock. If False, the caller's clock is used.
        last_claimed: For each run, the row number of the most recently claimed ticket. The run's
            next claim starts after this row.
        last_claimed_save: The same for claims of pending saves.
    """

    session: PostgresSession
    batch: int
    has_server_clock: bool
    last_claimed: dict[int, int] = field(factory=dict[int, int])
    last_claimed_save: dict[int, int] = field(factory=dict[int, int])

    def moment(self, now: float) -> float | None:
        """Return the argument for `now_sql`'s parameter: `now`, or None for the server's clock."""
        return None if self.has_server_clock else now

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement on the batch, and return its rows."""
        return await self.session.fetch(statement, self.batch, *arguments)

    async def fetch_whole(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement that may take long, because it reads all tickets of the batch."""
        return await self.session.fetch(statement, self.batch, *arguments, timeout=LONG_TIMEOUT_S)

    async def fetch_row(self, statement: str, *arguments: Any) -> Any:
        """Run one statement on the batch, and return its first row; None if it returns no row."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None
