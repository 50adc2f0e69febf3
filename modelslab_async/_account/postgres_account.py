"""PostgresAccount: a shared account for clients on many hosts, in a PostgreSQL database."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy

from .._journal.process_identity import has_died
from .._models.account_errors import WrongAccount
from .._models.argument_checks import check_type
from .._models.key_kind import Tier
from .._postgres.postgres_driver import quote_name, require_asyncpg
from .._postgres.store_clock import StoreClock
from .account_link import AccountLink
from .postgres_connection import PostgresConnection
from .postgres_report_exchange import PostgresMembership
from .postgres_schema_sql import VERSION, create_statements, migrate_statements
from .shared_limits import SharedLimits, check_account_limits

# The key of the PostgreSQL advisory lock that keeps two processes from creating the tables at the
# same time.
_CREATION_LOCK = 0x4D4C6163


class PostgresAccount:
    """
    An account for clients on many hosts. They share its slots, its poll rate and its pauses.

    A client that gets a webhook tells the other clients. The client that waits for the ticket then
    polls the ticket at once.

    Give the account to each client:
    `Client(account=PostgresAccount("postgresql://host/database", rate=100, queue=5))`. All
    processes that name the same database and schema share the account. If a host dies or is cut
    off, the other clients take over its tickets, and free the slots when these tickets end.

    The database holds only a digest of the API key. All times are on the database server's clock,
    so the clocks of the hosts do not matter. While the database server cannot be reached, clients
    start no submit and no poll. They report their usage once the server can be reached again.

    The constructor connects to the database once. It blocks for a few round trips, at most ten
    seconds for each of them. PostgreSQL 14 or later and the extra `postgres` are required.

    Args:
        address: The address of the database in the syntax of libpq, such as
            `"postgresql://user@host/database?sslmode=verify-full"`. The password may be in the
            address, in `PGPASSWORD` or in `~/.pgpass`. The password is never shown.
        rate: The maximum number of polls a second with one API key, of all clients together, up to
            2,147,483,647; None for no limit.
        queue: The maximum number of queued generations for each API key, of all clients together:
            5, 10 or 15, depending on the plan, and up to 2,147,483,647; None for no limit.
        schema: The schema with the tables of the account. It is created if it does not exist.
            Accounts with different limits need a schema each.

    Raises:
        ValueError: An argument is out of its range, or other clients have opened the account with
            other limits. The limits are checked again when a client of this object opens. If they
            differ then, the client's waits and submits raise the error.
        AccountError: The database server cannot be reached or used.
        ModuleNotFoundError: asyncpg is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        rate: float | None = None,
        queue: int | None = 5,
        schema: str = "modelslab_async",
    ) -> None:
        check_account_limits(rate, queue)
        check_type("schema", schema, str, "a text")
        require_asyncpg("PostgresAccount")
        self._limits = SharedLimits(rate, queue)
        self.schema = schema
        self._clock = StoreClock()
        self._connection = PostgresConnection(address)
        # The caller's thread may already run an event loop, so connect in another thread with an
        # event loop of its own.
        with ThreadPoolExecutor(1, thread_name_prefix="modelslab_async account") as thread:
            thread.submit(lambda: asyncio.run(self._prepare())).result()

    @property
    def rate(self) -> float | None:
        """The maximum number of polls a second with one API key; None for no limit."""
        return self._limits.rate

    @property
    def queue(self) -> int | None:
        """The maximum number of queued generations for each API key; None for no limit."""
        return self._limits.queue

    @property
    def address(self) -> str:
        """The address of the database, without user, password and settings."""
        return self._connection.shown

    def __repr__(self) -> str:
        return (
            f"PostgresAccount({self.address!r}, rate={self.rate!r}, queue={self.queue!r}, "
            f"schema={self.schema!r})"
        )

    def join(self, digest_of: Callable[[Tier], str]) -> AccountLink:
        """Let one more client join this account. Only `Client` calls this method."""
        return AccountLink(self.make_membership(), digest_of, has_rate=self.rate is not None)

    def make_membership(self) -> PostgresMembership:
        """Return a membership for one more client, with a connection of its own."""
        connection = PostgresConnection(self._connection.address)
        return PostgresMembership(connection, self.schema, self._limits, copy(self._clock))

    async def _prepare(self) -> None:
        connection = self._connection
        schema = quote_name(self.schema)
        try:
            if not await connection.fetch(
                "SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = 'account'",
                self.schema,
            ):
                await self._create(schema)
            await self._migrate(schema)
            clients = await connection.fetch(f"SELECT client, process FROM {schema}.clients")
            dead = [client for client, process in clients if has_died(process)]
            sent = time.monotonic()
            held = await connection.fetch_json(
                f"SELECT {schema}.open_account($1, $2, $3)::text", self.rate, self.queue, dead
            )
            self._clock.observe(sent=sent, received=time.monotonic(), theirs=held["now"])
        finally:
            await connection.aclose()
        recorded = SharedLimits(held["rate"], held["queue"])
        if recorded != self._limits:
            raise self._limits.refusal(self.address, recorded)

    async def _create(self, schema: str) -> None:
        """Create the tables, unless another process has just done so."""
        await self._connection.run_script(
            f"""
            BEGIN;
            SELECT pg_advisory_xact_lock({_CREATION_LOCK});
            DO $do$ BEGIN
            IF to_regnamespace('{schema.replace("'", "''")}') IS NULL THEN
                CREATE SCHEMA {schema};
            END IF;
            IF to_regclass('{schema.replace("'", "''")}.account') IS NULL THEN
                {create_statements(schema)}
            END IF;
            END $do$;
            COMMIT;
            """
        )

    async def _migrate(self, schema: str) -> None:
        """
        Migrate an account of an older version, unless another process has just migrated it.

        Raise an error for an unknown version.
        """
        versions = await self._read_versions(schema)
        if versions in ([1], [2], [3], [4]):
            await self._connection.run_script(
                f"""
                BEGIN;
                SELECT pg_advisory_xact_lock({_CREATION_LOCK});
                DO $migration$ BEGIN
                IF (SELECT version FROM {schema}.account) < {VERSION} THEN
                    {migrate_statements(schema)}
                END IF;
                END $migration$;
                COMMIT;
                """
            )
            versions = await self._read_versions(schema)
        self._check_version(versions)

    async def _read_versions(self, schema: str) -> list[int]:
        rows = await self._connection.fetch(f"SELECT version FROM {schema}.account")
        return [row[0] for row in rows]

    def _check_version(self, versions: list[int]) -> None:
        if versions != [VERSION]:
            raise WrongAccount(
                f"the schema {self.schema} has an account of version "
                f"{', '.join(map(str, versions))}, and this library knows version {VERSION}; use "
                "the same version of the library in all processes",
                path=self.address,
            )
