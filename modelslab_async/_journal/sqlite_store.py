"""SqliteStore: writes to an SQLite file in one thread, and reads from it in other threads."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Concatenate, ParamSpec, Self, TypeVar

from .._aio.threads import run_in_thread
from .._aio.yield_and_wakeup import wait_to_end
from .._models.error_copies import own_copy
from .._models.journal_errors import JournalError, JournalReadOnly
from . import exports, read_only_connection
from .exports import ExportFormat
from .sqlite_errors import file_gone_error
from .writer import QueuedOperation, Result, Writer

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """
    Calls functions with connections to one journal file. Create a store with `open`.

    A store belongs to the event loop in which it was made. If its writing thread ends with an
    error, all waiting and all later writes raise that error.

    Attributes:
        path: The path of the file.
    """

    def __init__(self, path: str, *, lock_timeout: float) -> None:
        self.path = path
        self.spans_hosts = False
        self._lock_timeout = lock_timeout
        self._pid = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[QueuedOperation | None] = SimpleQueue()
        self._writer = Writer(
            path,
            lock_timeout,
            self._queue,
            on_results=_resolve_all,
            on_end=self._end_writes,
        )
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._writer_ended: asyncio.Future[None] = self._loop.create_future()
        self._read_only_error: JournalReadOnly | None = None
        self._failure: JournalError | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: str, *, lock_timeout: float) -> Self:
        """
        Open the file, or create it. Without write access, open it for reading only.

        Raises:
            JournalError: The file can be neither written nor read. The message says why.
        """
        store = cls(path, lock_timeout=lock_timeout)
        try:
            await store._start_writer()
        except JournalReadOnly as error:
            await asyncio.to_thread(read_only_connection.check_readable, path, lock_timeout)
            store._read_only_error = error
        return store

    async def _start_writer(self) -> None:
        self._writer.start(self._opened)
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            self._queue.put(None)
            raise

    def write(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[T]:
        """
        Call a function in the next transaction. The returned future is done after the commit.

        Raises:
            JournalError: The journal is closed, was opened for reading only, or its writing thread
                has ended with an error.
        """
        self._check_open()
        if self._read_only_error is not None:
            raise JournalReadOnly(self._read_only_error.message, path=self.path)
        if self._pid != os.getpid():
            raise RuntimeError("this journal belongs to another process; open it in each")
        if self._failure is not None:
            raise JournalError(self._failure.message, path=self.path) from self._failure
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(QueuedOperation(lambda db: operation(db, *args, **kwargs), future))
        return future

    async def read(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Call a function with a read-only connection in a thread. A read does not wait for writers.

        Raises:
            JournalError: The journal is closed or cannot be read.
        """
        self._check_open()
        return await asyncio.to_thread(
            read_only_connection.read,
            self.path,
            self._lock_timeout,
            lambda db: operation(db, *args, **kwargs),
        )

    async def export(self, path: str, file_format: ExportFormat) -> int:
        """See `JournalStore`."""
        self._check_open()
        stop = threading.Event()
        return await run_in_thread(
            read_only_connection.read,
            self.path,
            self._lock_timeout,
            lambda db: exports.export(db, path, file_format, stop),
            on_cancel=stop.set,
        )

    async def wait_briefly(self, write: Awaitable[T]) -> T:
        """See `JournalStore`. Waits without a limit, because no server is involved."""
        return await write

    def start_leaving(self) -> None:
        """See `JournalStore`. Does nothing, because no server is involved."""

    async def aclose(self) -> None:
        """
        Finish all queued writes, and close the file.

        Raises:
            JournalError: The file was deleted or replaced while it was open.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        is_file_gone = self._writer.is_file_gone
        # Do not leave early if this task is cancelled: the program could end before the thread.
        await wait_to_end(self._writer_ended)
        if is_file_gone:
            raise file_gone_error(self.path)

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self.path)

    def _end_writes(
        self, error: JournalError | None, in_progress: Sequence[QueuedOperation]
    ) -> None:
        """
        Record that the writing thread has ended. Pass its error, if any, to all waiting callers.

        This method and `write` both run in the event loop, so `write` cannot queue an operation
        while this method runs.
        """
        self._writer_ended.set_result(None)
        if error is None:
            return
        self._failure = error
        _resolve_all([(self._opened, None, error)])
        _resolve_all([(queued.future, None, own_copy(error)) for queued in in_progress])
        while True:
            try:
                queued_or_end = self._queue.get_nowait()
            except Empty:
                return
            if queued_or_end is not None:
                _resolve_all([(queued_or_end.future, None, own_copy(error))])


def _resolve_all(results: Sequence[Result]) -> None:
    for future, result, error in results:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
