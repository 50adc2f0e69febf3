"""PostgresWriter: writes a journal over one connection, and commits operations in groups."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn

from attrs import evolve

from .._aio.yield_and_wakeup import wait_to_end
from .._models.error_copies import own_copy
from .._models.journal_errors import JournalLocked
from .postgres_context import PostgresContext
from .postgres_copy_marks import CopyUnderWay
from .postgres_errors import ErrorTranslator
from .postgres_patience import DatabaseAway, Patience
from .postgres_session import PostgresSession
from .postgres_transaction import QueuedWrite, Transaction, Undo, UnknownCommit

_logger = logging.getLogger("modelslab_async")

_MAX_OPERATIONS_PER_COMMIT: Final = 1000
# While the batch is copied, runs, submits and tickets cannot be added. The writer repeats an
# operation that would add one for at most `_COPY_PATIENCE_S` seconds. It waits `_COPY_PAUSE_S`
# seconds between two attempts.
_COPY_PATIENCE_S: Final = 30.0
_COPY_PAUSE_S: Final = 0.25

# Deletes the row of this writer. Also deletes rows that no process has used for a day, because
# killed processes leave their rows behind.
_FORGET: Final = (
    "DELETE FROM writers WHERE writer = $1 OR seen_at < now() - interval '1 day' RETURNING 1"
)


class PostgresWriter:
    """
    Carries out queued operations in order, one transaction at a time.

    Operations that are queued while a transaction runs share the next one. If the connection is
    lost during a commit, the writer asks the server whether the commit took place. If not, the
    writer repeats the transaction.

    An operation that must wait for the end of a copy is carried out later, after other operations.

    The writer has a task only while operations are queued. If something cancels this task, such as
    `asyncio.run` at the end of a program, the queued operations are carried out nevertheless.

    If the server cannot be reached for too long, the callers get an error. If an operation with an
    `undo` may have been committed nevertheless, the writer undoes it before the next operation.

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
        self._has_written = False
        self._abandoned = 0
        self._queue: deque[QueuedWrite] = deque()
        self._undos: list[QueuedWrite] = []
        self._postponed: set[QueuedWrite] = set()
        self._task: asyncio.Task[None] | None = None

    def put(
        self,
        operation: Callable[[PostgresContext], Awaitable[Any]],
        *,
        undo: Undo | None = None,
        outlasts_leaving: bool = False,
    ) -> asyncio.Future[Any]:
        """
        Queue an operation. The returned future gets the result after the commit.

        Args:
            operation: Carries out the operation.
            undo: Undoes the operation, given its result. The writer calls it if the future got an
                error although the operation may have been committed.
            outlasts_leaving: Whether the transaction of this operation is repeated for `PATIENCE_S`
                seconds after a lost connection, even if the journal is closing.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._enqueue(QueuedWrite(operation, future, undo, outlasts_leaving=outlasts_leaving))
        return future

    async def aclose(self) -> None:
        """
        Finish all queued operations, and close the connection.

        Call `Patience.start_leaving` first, so that no operation waits for the end of a copy.
        """
        for queued in [*self._postponed]:
            self._requeue(queued)
        await self._wait_until_idle()
        # A later operation would have retried these undos. None comes any more, so retry them once.
        undos, self._undos = self._undos, []
        self._enqueue(*undos)
        await self._wait_until_idle()
        if self._abandoned:
            _logger.warning(
                "%d writes of callers that had left were given up while the database was away; "
                "the next run polls the tickets that are not recorded",
                self._abandoned,
            )
        if self._undos:
            _logger.warning(
                "%d submits that were not sent may stay recorded as uncertain", len(self._undos)
            )
        try:
            if self._number:
                await self._session.fetch(_FORGET, self._name)
        except Exception:  # noqa: BLE001 -- another process will remove the row.
            self._session.drop()
        finally:
            await self._session.aclose()

    def _enqueue(self, *writes: QueuedWrite) -> None:
        self._queue.extend(writes)
        self._start()

    def _start(self) -> None:
        if self._queue and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write_queued(), name="modelslab_async journal")
            # If the task is cancelled before it begins, another one has to do its work.
            self._task.add_done_callback(lambda _: self._start())

    async def _wait_until_idle(self) -> None:
        self._start()
        while self._task is not None and not self._task.done():
            # Do not leave early if this task is cancelled: the program could end before the writes.
            await wait_to_end(self._task)
            self._start()

    async def _write_queued(self) -> None:
        while self._queue:
            group: list[QueuedWrite] = []
            while self._queue and len(group) < _MAX_OPERATIONS_PER_COMMIT:
                group.append(self._queue.popleft())
            undos, self._undos = self._undos, []
            await self._commit([*undos, *group])

    async def _commit(self, group: Sequence[QueuedWrite]) -> None:
        """Carry out a group of operations. Each operation's future gets its result or its error."""
        self._number += 1
        transaction = Transaction(
            *(self._session, self._scope, self._name, self._number, group),
            has_written=self._has_written,
        )
        try:
            results = await self._carry_out(transaction, group)
        except DatabaseAway as away:
            self._give_up(transaction, group, away.failure)
        except UnknownCommit as unknown:
            self._give_up(transaction, group, self._translate(unknown.error))
        except Exception as error:  # noqa: BLE001 -- the caller of the operation gets it.
            if len(group) > 1:
                # At least one operation of the group failed. Commit each operation alone, so that
                # the others succeed.
                for queued in group:
                    await self._commit([queued])
            else:
                _fail(group[0], self._translate.for_caller(error))
        else:
            self._has_written = True
            for queued, result in zip(group, results, strict=True):
                if isinstance(result, CopyUnderWay):
                    self._postpone(queued)
                elif not queued.future.done():
                    queued.future.set_result(result)

    async def _carry_out(self, transaction: Transaction, group: Sequence[QueuedWrite]) -> list[Any]:
        while True:
            try:
                return await self._patience.repeat(
                    transaction.attempt,
                    is_unconfirmed=lambda: transaction.unconfirmed is not None,
                    outlasts_leaving=any(queued.outlasts_leaving for queued in group),
                )
            # Callers may still wait for these operations, for example to close the journal. So try
            # again. The next attempt finds out whether this one was committed.
            except asyncio.CancelledError:
                # In a task with an old cancellation, `asyncio.timeout` of Python before 3.11.3
                # raises a CancelledError when it expires, and this loop would not end.
                if (task := asyncio.current_task()) is not None:
                    task.uncancel()
            except (KeyboardInterrupt, SystemExit) as error:
                asyncio.get_running_loop().call_soon(_leave_loop, error)

    def _postpone(self, queued: QueuedWrite) -> None:
        """
        Try an operation again later, because the batch is being copied.

        If the journal is closing or the deadline has passed, the operation fails. If its caller no
        longer waits for it, the operation is dropped.
        """
        if queued.future.done():
            return
        loop = asyncio.get_running_loop()
        deadline = queued.copy_deadline
        if deadline is None:
            deadline = loop.time() + _COPY_PATIENCE_S
        if self._patience.is_leaving or loop.time() >= deadline:
            error = JournalLocked(
                "this batch is being copied, so nothing can be added to it now; wait for the end "
                "of the copy, and then use its target"
            )
            _fail(queued, self._translate.for_caller(error))
        else:
            postponed = evolve(queued, copy_deadline=deadline)
            self._postponed.add(postponed)
            loop.call_later(_COPY_PAUSE_S, self._requeue, postponed)

    def _requeue(self, queued: QueuedWrite) -> None:
        if queued in self._postponed:
            self._postponed.remove(queued)
            if not queued.future.done():
                self._enqueue(queued)

    def _give_up(
        self, transaction: Transaction, group: Sequence[QueuedWrite], error: Exception
    ) -> None:
        """Fail the operations. For each one that may have been committed, queue its undo."""
        self._abandoned += sum(queued.future.cancelled() for queued in group)
        for queued in group:
            if queued.is_undo:
                self._undos.append(queued)
            else:
                _fail(queued, own_copy(error))
        for queued, result in zip(group, transaction.unconfirmed or (), strict=False):
            if queued.undo is not None and not isinstance(result, CopyUnderWay):
                self._undos.append(_undo_of(queued.undo, result))


def _leave_loop(error: BaseException) -> NoReturn:
    """Raise this error out of the event loop. Its tasks go on if the loop runs again."""
    raise error


def _undo_of(undo: Undo, result: Any) -> QueuedWrite:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return QueuedWrite(lambda scope: undo(scope, result), future, is_undo=True)


def _fail(queued: QueuedWrite, error: Exception) -> None:
    if queued.is_undo:
        _logger.warning("a write that its caller was told had failed stays: %s", error)
    elif not queued.future.done():
        queued.future.set_exception(error)
