"""PostgresStore: stores a journal in a PostgreSQL database, which several hosts can share."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, Self, TypeVar

from .._models.journal_errors import JournalError
from . import exports
from .exports import ExportFormat
from .postgres_batch_location import PostgresBatch
from .postgres_context import PostgresContext
from .postgres_errors import is_lost
from .postgres_operation_map import COUNTERPARTS, OUTLASTS_LEAVING, SNAPSHOTS, UNDO
from .postgres_patience import DatabaseAway, Patience
from .postgres_session import PostgresSession, machine_clock
from .postgres_writer import PostgresWriter

P = ParamSpec("P")
T = TypeVar("T")


class PostgresStore:
    """
    The journal of one batch in a database. Create a store with `open`.

    A store belongs to the event loop and to the process in which it was made. All writes share one
    connection, and most reads share another one. An operation that reads a whole batch opens a
    connection of its own.

    Attributes:
        path: The hosts, the database and the batch, for messages.
    """

    def __init__(
        self, batch: PostgresBatch, number: int, *, clock: Callable[[], float] | None
    ) -> None:
        self.path = batch.shown
        self.spans_hosts = True
        self._batch = batch
        self._number = number
        self._clock = clock
        self._translate = batch.translate
        self._patience = Patience(self._translate)
        self._reader = batch.make_session()
        self._read_lock = asyncio.Lock()
        self._writer: PostgresWriter | None = None
        self._pid = os.getpid()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"PostgresStore({self.path!r})"

    @classmethod
    async def open(cls, path: str, *, clock: Callable[[], float] | None = None) -> Self:
        """
        Open the journal of a batch. Create the tables and the batch if they are missing.

        Args:
            path: The address of the database, with the name of the batch.
            clock: The clock to use in place of the server's, for tests.

        Raises:
            JournalError: The server cannot be reached or used.
            ValueError: The address is malformed, or names no batch.
        """
        batch = PostgresBatch.parse(path)
        return cls(batch, await batch.prepare(), clock=clock)

    def clock(self) -> float:
        """Return the time on the clock that was passed to `open`, or else on the server's clock."""
        return self._batch.store_clock.at(machine_clock()) if self._clock is None else self._clock()

    def write(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[T]:
        """See `JournalStore`."""
        counterpart = COUNTERPARTS[operation]
        self._check_usable()
        if self._writer is None:
            session = self._batch.make_session()
            self._writer = PostgresWriter(
                session, self._scope(session), patience=self._patience, translate=self._translate
            )
        return self._writer.put(
            lambda scope: counterpart(scope, *args, **kwargs),
            undo=UNDO.get(operation),
            outlasts_leaving=operation in OUTLASTS_LEAVING,
        )

    async def read(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """See `JournalStore`."""
        counterpart = COUNTERPARTS[operation]
        self._check_usable()

        async def attempt() -> T:
            async with self._reading(is_snapshot=operation in SNAPSHOTS) as session:
                result: T = await counterpart(self._scope(session), *args, **kwargs)
                return result

        try:
            return await self._patience.repeat(attempt)
        except DatabaseAway as away:
            failure: Exception = away.failure
        except Exception as error:  # noqa: BLE001 -- it is raised below.
            failure = self._translate.for_caller(error)
        raise failure

    async def export(self, path: str, file_format: ExportFormat) -> int:
        """See `JournalStore`."""
        return await self.read(exports.export, path, file_format, threading.Event())

    async def wait_briefly(self, write: Awaitable[T]) -> T:
        """See `JournalStore`."""
        return await self._patience.wait_briefly(asyncio.ensure_future(write))

    def start_leaving(self) -> None:
        """See `JournalStore`."""
        self._patience.start_leaving()

    async def aclose(self) -> None:
        """See `JournalStore`."""
        if self._is_closed:
            return
        self._is_closed = True
        self.start_leaving()
        try:
            if self._writer is not None:
                await self._writer.aclose()
        finally:
            async with self._read_lock:
                if self._patience.is_away:
                    self._reader.drop()
                await self._reader.aclose()

    @asynccontextmanager
    async def _reading(self, *, is_snapshot: bool) -> AsyncGenerator[PostgresSession, None]:
        """Yield the connection for reads, or a new connection for a read of the whole batch."""
        if is_snapshot:
            session = self._batch.make_session()
            try:
                await session.connect()
                yield session
            finally:
                await session.aclose()
            return
        async with self._read_lock:
            try:
                await self._reader.connect()
                yield self._reader
            except Exception as error:
                if is_lost(error):
                    self._reader.drop()
                raise

    def _check_usable(self) -> None:
        if self._is_closed:
            raise JournalError("this journal is closed; open it again", path=self.path)
        if self._pid != os.getpid():
            raise RuntimeError("this journal belongs to another process; open it in each")

    def _scope(self, session: PostgresSession) -> PostgresContext:
        return PostgresContext(session, self._number, has_server_clock=self._clock is None)
