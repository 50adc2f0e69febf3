"""Transaction: commits writes together. If a commit gets no reply, asks whether it took place."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen

from .postgres_context import PostgresContext
from .postgres_copy_marks import CopyUnderWay
from .postgres_errors import READ_ONLY, error_code, is_conflict, is_lost
from .postgres_session import PostgresSession

_MAX_CONFLICTS: Final = 100

# Begins a transaction, and records its number. `format` is safe here, because this process chooses
# the number and the writer's name.
_BEGIN: Final = """
BEGIN;
INSERT INTO writers (writer, commits) VALUES ('{writer}', {number})
    ON CONFLICT (writer) DO UPDATE SET commits = excluded.commits, seen_at = now()
"""
# Returns the number of the writer's most recent commit. The INSERT waits until an earlier
# transaction of the writer has ended. A SELECT would not wait, and could return an outdated number.
_LAST_COMMIT: Final = """
INSERT INTO writers (writer, commits) VALUES ($1, 0)
    ON CONFLICT (writer) DO UPDATE SET seen_at = now() RETURNING commits
"""

Undo: TypeAlias = Callable[[PostgresContext, Any], Awaitable[Any]]


@frozen(eq=False)
class QueuedWrite:
    """
    An operation to carry out in a transaction.

    Attributes:
        operation: Carries out the operation.
        future: Gets the result of the operation, or its error.
        undo: Undoes the operation, given its result; None if the operation is never undone.
        is_undo: Whether the operation itself undoes an earlier operation.
        outlasts_leaving: Whether the operation is repeated for `PATIENCE_S` even while the journal
            closes. At that time, other operations are repeated for only `LEAVE_S`.
        copy_deadline: When the operation stops waiting for the end of a copy, on the event loop's
            clock; None if it has not found a copy yet.
    """

    operation: Callable[[PostgresContext], Awaitable[Any]]
    future: asyncio.Future[Any]
    undo: Undo | None = None
    is_undo: bool = False
    outlasts_leaving: bool = False
    copy_deadline: float | None = None


class UnknownCommit(Exception):
    """The server cannot say whether a commit took place, so the transaction is not repeated."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Transaction:
    """
    One transaction, which may take several attempts.

    Args:
        session: The connection.
        scope: Passed to each operation: the batch and the connection.
        writer: The name of the writer in the table `writers`.
        number: The number of the commit.
        group: The operations.
        has_written: Whether the writer has committed before. If True, a server that accepts no
            writes must have become a standby, so the operations wait for the new primary.

    Attributes:
        unconfirmed: The results of the operations while it is unknown whether the commit took
            place; None at any other time.
    """

    def __init__(
        self,
        session: PostgresSession,
        scope: PostgresContext,
        writer: str,
        number: int,
        group: Sequence[QueuedWrite],
        *,
        has_written: bool,
    ) -> None:
        self._session = session
        self._scope = scope
        self._writer = writer
        self._number = number
        self._group = group
        self._has_written = has_written
        self.unconfirmed: list[Any] | None = None

    async def attempt(self) -> list[Any]:
        """
        Carry out all operations, commit, and return their results.

        The result of an operation is a `CopyUnderWay` if the operation must be carried out again
        after a copy of the batch. After a lost connection, call this method again.
        """
        try:
            return await self._attempt()
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self._session.drop()
            raise

    async def _attempt(self) -> list[Any]:
        conflicts = 0
        while True:
            if self.unconfirmed is not None and await self._was_committed():
                return self.unconfirmed
            self.unconfirmed = None
            try:
                return await self._run()
            except Exception as error:
                if is_lost(error):
                    self._session.drop()
                    raise
                if self._has_written and error_code(error) == READ_ONLY:
                    self.unconfirmed = None
                    self._session.drop()
                    raise _standby_error() from None
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
                # This server is now a standby. The new primary knows whether the commit took place.
                raise _standby_error() from None
            unknown = UnknownCommit(error)
        else:
            return bool(row[0] == self._number)
        raise unknown

    async def _run(self) -> list[Any]:
        await self._session.connect()
        await self._session.run_script(_BEGIN.format(writer=self._writer, number=self._number))
        results = [await self._carry_out(queued) for queued in self._group]
        self.unconfirmed = results
        await self._session.run_script("COMMIT")
        return results

    async def _carry_out(self, queued: QueuedWrite) -> Any:
        try:
            return await queued.operation(self._scope)
        except CopyUnderWay as found:
            return found

    async def _roll_back(self) -> None:
        # The connection was not lost, so the transaction was certainly not committed.
        self.unconfirmed = None
        try:
            await self._session.run_script("ROLLBACK")
        except Exception:  # noqa: BLE001 -- the next attempt opens another connection.
            self._session.drop()


def _standby_error() -> ConnectionError:
    return ConnectionError("the database has become a standby")
