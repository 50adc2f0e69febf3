"""PostgresSession: a connection to the journal's database, which can be reopened after a loss."""

import asyncio
import time
from contextlib import suppress
from typing import Any, Final

from .._postgres.postgres_driver import connect, quote_name
from .._postgres.store_clock import StoreClock

# Timeouts in seconds: for connecting, for a statement, and for a statement that may read a whole
# batch.
CONNECT_TIMEOUT_S: Final = 10
_STATEMENT_TIMEOUT_S: Final = 60.0
LONG_TIMEOUT_S: Final = 3600.0
# If a transaction is idle for this long, the server ends it. So a suspended process does not keep
# rows locked.
_MAX_IDLE_IN_TRANSACTION: Final = "15s"

# The settings `enable_...` restrict the query planner to nested loops over indexes. Other plans may
# be fast for a small table, but become slow as the table grows. In the statements, `LATERAL` and
# `OFFSET 0` fix the order of the loops.
_SETTINGS: Final = """
SET search_path = {schema};
SET default_transaction_isolation = 'read committed';
SET idle_in_transaction_session_timeout = '{max_idle}';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_bitmapscan = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
"""
# Makes each commit wait until its data is on disk. Leaves the setting `remote_apply` as it is,
# because it is even stricter than `on`.
_SYNCHRONOUS: Final = """
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
"""
_TIME: Final = "SELECT date_part('epoch', clock_timestamp())"


def machine_clock() -> float:
    """Return the time on a monotonic clock. On Linux, it also runs while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class PostgresSession:
    """
    One connection to the database. Its methods raise the errors of the driver unchanged.

    Args:
        address: The address of the database. It may contain a password.
        schema: The schema that contains the tables.
        store_clock: Estimates the time on the server's clock. Each new connection updates it.
    """

    def __init__(self, address: str, schema: str, store_clock: StoreClock) -> None:
        self._address = address
        self._schema = schema
        self._store_clock = store_clock
        self._connection: Any = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(schema={self._schema!r})"

    async def connect(self) -> None:
        """Open the connection, unless it is open already."""
        if self._connection is not None and not self._connection.is_closed():
            return
        connection = await self._open()
        try:
            settings = _SETTINGS.format(
                schema=quote_name(self._schema), max_idle=_MAX_IDLE_IN_TRANSACTION
            )
            await connection.execute(settings, timeout=_STATEMENT_TIMEOUT_S)
            await connection.execute(_SYNCHRONOUS, timeout=_STATEMENT_TIMEOUT_S)
            self._connection = connection
            await self.read_clock()
        except BaseException:
            self._connection = None
            connection.terminate()
            raise

    async def _open(self) -> Any:
        try:
            return await connect(self._address, timeout=CONNECT_TIMEOUT_S)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            # An unknown host name, for example, raises an OSError. Raise a ConnectionError instead,
            # because callers treat any other OSError as an error of a local file.
            lost = ConnectionError(f"{type(error).__name__}: {error}")
        raise lost

    async def read_clock(self) -> None:
        """Read the time of the server, and update the estimate of the server's clock."""
        sent = machine_clock()
        theirs = await self._connection.fetchval(_TIME, timeout=_STATEMENT_TIMEOUT_S)
        self._store_clock.observe(sent=sent, received=machine_clock(), theirs=theirs)

    async def fetch(
        self, statement: str, *arguments: Any, timeout: float | None = None
    ) -> list[Any]:
        """Run one statement, and return its rows."""
        rows = await self._connection.fetch(
            statement, *arguments, timeout=timeout or _STATEMENT_TIMEOUT_S
        )
        return [*rows]

    async def run_script(self, statements: str) -> None:
        """Run several statements that have no parameters."""
        await self._connection.execute(statements, timeout=_STATEMENT_TIMEOUT_S)

    def drop(self) -> None:
        """Drop the connection without waiting, because it may be broken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # All writes are committed already, so nothing is lost if the close fails.
            with suppress(Exception):
                await asyncio.shield(connection.close(timeout=CONNECT_TIMEOUT_S))
