"""PostgresScope: what an operation needs of a database: its batch, a session and the time."""

from typing import Any, Final

from attrs import define, field

from .postgres_session import LONG_TIMEOUT_S, PostgresSession

# The time of the server, unless the caller has given another clock. `{0}` is the number of the
# parameter with the time of that clock, which is null otherwise.
_NOW: Final = "coalesce(${0}::float8, date_part('epoch', clock_timestamp()))"


def now_sql(parameter: int) -> str:
    """Return SQL for the current time: the parameter of this number, or else the server's time."""
    return _NOW.format(parameter)


@define(eq=False)
class PostgresScope:
    """
    One batch of a database, for operations.

    The first parameter of each statement is the number of the batch.

    Attributes:
        session: The connection that the operation uses.
        batch: The number of the batch.
        has_server_clock: Whether the server's clock counts, and not that of the caller.
        last_claimed: The last ticket that each run has claimed. The next claim continues there, so
            that it does not read the index entries of earlier claims.
    """

    session: PostgresSession
    batch: int
    has_server_clock: bool
    last_claimed: dict[int, int] = field(factory=dict[int, int])

    def moment(self, now: float) -> float | None:
        """Return a time of the caller's clock, or None if the server's clock counts."""
        return None if self.has_server_clock else now

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement on the batch, and return its rows."""
        return await self.session.fetch(statement, self.batch, *arguments)

    async def fetch_whole(self, statement: str, *arguments: Any) -> list[Any]:
        """Run one statement that may take long, because it reads all tickets of the batch."""
        return await self.session.fetch(statement, self.batch, *arguments, timeout=LONG_TIMEOUT_S)

    async def fetch_row(self, statement: str, *arguments: Any) -> Any:
        """Run one statement on the batch, and return its first row; None if there is none."""
        rows = await self.fetch(statement, *arguments)
        return rows[0] if rows else None
