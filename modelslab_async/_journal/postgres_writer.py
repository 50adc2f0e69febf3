"""PostgresWriter: writes a journal over one connection, and commits operations in groups."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from attrs import frozen

from .postgres_context import PostgresContext
from .postgres_errors import READ_ONLY, ErrorTranslator, error_code, is_conflict, is_lost
from .postgres_patience import DatabaseAway, Patience
from .postgres_session import PostgresSession

_MAX_OPERATIONS_PER_COMMIT: Final = 1000
_MAX_CONFLICTS: Final = 100

# Begins a transaction, and records its number. It is safe to insert the number and the writer's
# name with `format`, because this process has made both of them.
_BEGIN: Final = """
BEGIN;
INSERT INTO writers (writer, commits) VALUES ('{writer}', {number})
    ON CONFLICT (writer) DO UPDATE SET commits = excluded.commits, seen_at = now()
"""
# Reads the number of the writer's last commit. It uses INSERT instead of SELECT, because INSERT
# waits until the server has committed or rolled back the writer's earlier transaction.
_LAST_COMMIT: Final = """
INSERT INTO writers (writer, commits) VALUES ($1, 0)
    ON CONFLICT (writer) DO UPDATE SET seen_at = now() RETURNING commits
"""
# Deletes the row of this writer, and rows that killed processes left behind at least a day ago. A
# process needs its row only for a short time after a lost connection.
_FORGET: Final = (
    "DELETE FROM writers WHERE writer = $1 OR seen_at < now() - interval '1 day' RETURNING 1"
)


@frozen(eq=False)
class QueuedWrite:
    """An operation to carry out in a transaction, and the future that gets its result."""

    operation: Callable[[PostgresContext], Awaitable[Any]]
    future: asyncio.Future[Any]


class PostgresWriter:
    """
    Carries out queued operations in order, one transaction at a time.

    Operations that are queued during one transaction share the next one. If the connection is lost
    during a commit, the writer asks the server whether the commit took place. If it did not, the
    writer repeats the transaction.

    Args:
        session: A connection for this writer alone.
        scope: Passed to each operation: the batch and the connection.
        patience: Repeats a transaction while the database cannot be reached.
        translate: Turns an error of the driver into the error that callers get.
    """

    def __init__(
        self,
        session: PostgresSession,
        scope: PostgresContext,
        *,
        patience: Patience,
        translate: ErrorTranslator,
    ) -> None:
        self._session = session
        self._scope = scope
        self._patience = patience
        self._translate = translate
        self._name = secrets.token_hex(8)
        self._number = 0
        self._queue: asyncio.Queue[QueuedWrite | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(), name="modelslab_async journal")

    def put(self, operation: Callable[[PostgresContext], Awaitable[Any]]) -> asyncio.Future[Any]:
        """Queue an operation. The returned future gets the result after the commit."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(QueuedWrite(operation, future))
        return future

    async def aclose(self) -> None:
        """Finish all queued operations, and close the connection."""
        self._queue.put_nowait(None)
        await asyncio.wait([self._task])
        if self._number:
            try:
                await self._session.fetch(_FORGET, self._name)
            except Exception:  # noqa: BLE001 -- another process will remove the row.
                self._session.drop()
        await self._session.aclose()

    async def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[QueuedWrite] = []
            queued = await self._queue.get()
            while queued is not None:
                group.append(queued)
                if len(group) == _MAX_OPERATIONS_PER_COMMIT or self._queue.empty():
                    break
                queued = self._queue.get_nowait()
            is_open = queued is not None
            if group:
                await self._commit(group)

    async def _commit(self, group: Sequence[QueuedWrite]) -> None:
        """Carry out a group of operations. Each operation's future gets its result or its error."""
        self._number += 1
        transaction = _Transaction(self._session, self._scope, self._name, self._number, group)
        try:
            results = await self._patience.repeat(transaction.attempt)
        except DatabaseAway as away:
            _fail(group, away.failure)
        except _UnknownCommit as unknown:
            _fail(group, self._translate(unknown.error))
        except Exception as error:  # noqa: BLE001 -- the caller of the operation gets it.
            if len(group) > 1:
                # One operation of the group failed. Commit each operation alone, so that the others
                # succeed.
                for queued in group:
                    await self._commit([queued])
            else:
                _fail(group, self._translate.for_caller(error))
        else:
            for queued, result in zip(group, results, strict=True):
                if not queued.future.done():
                    queued.future.set_result(result)


class _UnknownCommit(Exception):
    """The server cannot say whether a commit took place, so the transaction is not repeated."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Transaction:
    """
    One transaction, which may take several attempts.

    Args:
        session: The connection.
        scope: Passed to each operation: the batch and the connection.
        writer: The name of the writer in the table `writers`.
        number: The number of the commit.
        group: The operations.
    """

    def __init__(
        self,
        session: PostgresSession,
        scope: PostgresContext,
        writer: str,
        number: int,
        group: Sequence[QueuedWrite],
    ) -> None:
        self._session = session
        self._scope = scope
        self._writer = writer
        self._number = number
        self._group = group
        # The operations' results, while it is unknown whether they were committed; else None.
        self._unconfirmed: list[Any] | None = None

    async def attempt(self) -> list[Any]:
        """Carry out all operations, and commit. After a lost connection, call this method again."""
        conflicts = 0
        while True:
            if self._unconfirmed is not None and await self._was_committed():
                return self._unconfirmed
            self._unconfirmed = None
            try:
                return await self._run()
            except Exception as error:
                if is_lost(error):
                    self._session.drop()
                    raise
                await self._roll_back()
                conflicts += 1
                if not is_conflict(error) or conflicts == _MAX_CONFLICTS:
                    raise

    async def _was_committed(self) -> bool:
        try:
            await self._session.connect()
            (row,) = await self._session.fetch(_LAST_COMMIT, self._writer)
        except Exception as error:
            self._session.drop()
            if is_lost(error):
                raise
            if error_code(error) == READ_ONLY:
                # The server has become a standby. The new primary can tell whether the commit took
                # place.
                raise ConnectionError("the database has become a standby") from None
            unknown = _UnknownCommit(error)
        else:
            return bool(row[0] == self._number)
        raise unknown

    async def _run(self) -> list[Any]:
        await self._session.connect()
        await self._session.run_script(_BEGIN.format(writer=self._writer, number=self._number))
        results = [await queued.operation(self._scope) for queued in self._group]
        self._unconfirmed = results
        await self._session.run_script("COMMIT")
        return results

    async def _roll_back(self) -> None:
        # The connection still works, so the transaction was certainly not committed.
        self._unconfirmed = None
        try:
            await self._session.run_script("ROLLBACK")
        except Exception:  # noqa: BLE001 -- the next attempt opens another connection.
            self._session.drop()


def _fail(group: Sequence[QueuedWrite], error: Exception) -> None:
    for queued in group:
        if not queued.future.done():
            queued.future.set_exception(error)
