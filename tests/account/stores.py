"""The two stores of an account behind one face, for tests that run on both."""

import asyncio
import itertools
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from attrs import Factory, define

from modelslab_async._account import sqlite_report_exchange
from modelslab_async._account.postgres_account import PostgresAccount
from modelslab_async._account.sqlite_account import SQLiteAccount
from modelslab_async._account.sqlite_report_exchange import SQLiteMembership

_numbers = itertools.count()


@define
class ManualClock:
    """A clock that stands still until a test moves it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@define
class SQLiteStore:
    """A file."""

    path: Path
    # The seconds between two polls, of those that 1 / rate is.
    step = 1.05

    @property
    def name(self) -> str:
        return str(self.path)

    def opener(self) -> Callable[..., SQLiteAccount]:
        """A function that opens the account, also in another process."""
        path = self.path
        return lambda **limits: SQLiteAccount(path, **limits)

    def account(self, clock: Callable[[], float] = time.monotonic, **limits: Any) -> SQLiteAccount:
        return SQLiteAccount(self.path, clock=clock, **limits)

    def membership(self, account: SQLiteAccount) -> SQLiteMembership:
        return account.make_membership()

    async def set_clock(self, clock: ManualClock) -> None:
        """The account reads the clock itself."""

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            return db.execute(statement).fetchall()

    @asynccontextmanager
    async def locked(self) -> AsyncGenerator[None, None]:
        """Hold the lock of the account."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    def give_up_locks_soon(self, patch: pytest.MonkeyPatch) -> None:
        """Let an exchange fail that finds the account locked."""
        patch.setattr(sqlite_report_exchange, "LOCK_TIMEOUT_S", 0.05)

    def dump(self) -> bytes:
        """All that is stored."""
        return b"".join(file.read_bytes() for file in self.path.parent.iterdir())

    async def aclose(self) -> None:
        """There is nothing to close."""


@define
class PostgresStore:
    """A schema of its own. Its functions may read a clock that a test moves."""

    address: str
    schema: str = Factory(lambda: f"account {next(_numbers)}")
    step = 1.06
    _clock: Any = None
    _shown: float = 0.0

    @property
    def name(self) -> str:
        return self.address

    def opener(self) -> Callable[..., PostgresAccount]:
        """A function that opens the account, also in another process."""
        address, schema = self.address, self.schema
        return lambda **limits: PostgresAccount(address, schema=schema, **limits)

    def account(
        self, clock: Callable[[], float] = time.monotonic, **limits: Any
    ) -> PostgresAccount:
        if clock is not time.monotonic and not self._has_manual_clock():
            # An account has its schema before its clock is replaced.
            self.opener()(**limits)
            self.run(f'UPDATE "{self.schema}".account SET last_seen = 0')
            self.run(f'CREATE TABLE "{self.schema}".clock AS SELECT {clock.now}::float8 AS now')
            self.run(
                f'CREATE OR REPLACE FUNCTION "{self.schema}".store_time() RETURNS float8 '
                f'LANGUAGE sql AS $$ SELECT now FROM "{self.schema}".clock $$'
            )
        return self.opener()(**limits)

    def membership(self, account: PostgresAccount) -> Any:
        return account.make_membership()

    async def set_clock(self, clock: ManualClock) -> None:
        """Show the account the time."""
        if clock.now != self._shown:
            if self._clock is None:
                self._clock = await asyncpg.connect(self.address)
            await self._clock.execute(f'UPDATE "{self.schema}".clock SET now = {clock.now!r}')
            self._shown = clock.now

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement. A test may be in an event loop, so another one runs in a thread."""

        async def in_thread() -> Any:
            connection = await asyncpg.connect(self.address)
            try:
                await connection.execute(f'SET search_path = "{self.schema}"')
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(in_thread())).result()

    @asynccontextmanager
    async def locked(self) -> AsyncGenerator[None, None]:
        """Hold the lock of the account."""
        connection = await asyncpg.connect(self.address)
        try:
            await connection.execute(f'BEGIN; SELECT FROM "{self.schema}".account FOR UPDATE')
            yield
        finally:
            await connection.close()

    def give_up_locks_soon(self, _patch: pytest.MonkeyPatch) -> None:
        """Let an exchange fail that finds the account locked. A slow server changes nothing."""
        for function in ("open_account", "exchange"):
            self.run(f"ALTER FUNCTION \"{self.schema}\".{function} SET lock_timeout = '50ms'")

    def dump(self) -> bytes:
        """All that is stored."""
        tables = self.run(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.schema}'")
        assert tables
        return repr([self.run(f"SELECT * FROM {table}") for (table,) in tables]).encode()

    async def aclose(self) -> None:
        """Close the connection, and drop the schema."""
        if self._clock is not None:
            await self._clock.close()
        self.run(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')

    def _has_manual_clock(self) -> bool:
        return bool(self.run(f"SELECT 1 FROM pg_tables WHERE schemaname = '{self.schema}'"))
