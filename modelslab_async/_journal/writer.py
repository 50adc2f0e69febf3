"""Writer: the one thread that writes a journal. What waits together is committed together."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from attrs import frozen

from .._models.journal_errors import JournalError
from .process_identity import has_died
from .schema import prepare
from .sqlite_errors import check_file, file_gone_error, to_journal_error
from .write_lock import WriteLock, transaction

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

# So many jobs share a commit at the most.
_MAX_OPERATIONS_PER_COMMIT: Final = 1000
# KiB of pages in memory: new tickets touch the index of ids all over.
_CACHE_KIB: Final = 64 * 1024
# Pages of the write-ahead file before they are moved over: fewer and larger moves.
_CHECKPOINT_PAGES: Final = 4000


@frozen(eq=False)
class _QueuedOperation:
    """Some work on the journal, and who waits for its result."""

    operation: Operation[Any]
    future: asyncio.Future[Any]


def connect(path: str, lock_timeout: float) -> sqlite3.Connection:
    """Open a file, or make it. A commit is on the disk when it returns."""
    return configured(lambda: sqlite3.connect(path, timeout=lock_timeout, isolation_level=None))


def configured(open_connection: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """A connection as all of ours are."""
    db = open_connection()
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        db.create_function("has_died", 1, has_died)
    except BaseException:
        db.close()
        raise
    return db


class ReadOnlyWriter:
    """Stands for a writer where a journal may only be read."""

    is_file_gone = False

    def __init__(self, error: JournalError) -> None:
        self._error = error

    def enqueue(self, _operation: Operation[T]) -> asyncio.Future[T]:
        """
        Refuse.

        Raises:
            JournalError: As when the journal was opened.
        """
        raise type(self._error)(self._error.message, path=self._error.path)

    async def aclose(self) -> None:
        """There is nothing to close."""


class Writer:
    """Does work on one file, in the order given, from the event loop in which it was made."""

    def __init__(self, path: str, lock_timeout: float) -> None:
        self._path = path
        self._write_lock = WriteLock(lock_timeout)
        self._pid = os.getpid()
        self._queue: SimpleQueue[_QueuedOperation | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._open_result: asyncio.Future[None] = self._loop.create_future()
        self._thread_ended = asyncio.Event()
        self._closed = False
        self._file: os.stat_result | None = None
        # A program that ends without closing its journal is not held up: what was answered is kept.
        self._thread = threading.Thread(
            target=self._run, name="modelslab_async journal", daemon=True
        )

    async def open(self) -> None:
        """
        Open the file, or make it.

        Raises:
            JournalError: That is not possible, and why.
        """
        self._thread.start()
        try:
            await asyncio.shield(self._open_result)
        except BaseException:
            self._queue.put(None)
            raise

    def enqueue(self, operation: Operation[T]) -> asyncio.Future[T]:
        """
        Have some work done. Its result comes when it is committed, its error when all is undone.

        Raises:
            JournalError: The journal is closed.
        """
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self._path)
        if self._pid != os.getpid():
            raise RuntimeError("this journal belongs to another process; open it in each")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_QueuedOperation(operation, future))
        return future

    @property
    def is_file_gone(self) -> bool:
        """Whether the file is not where it was any more, and what is written would be lost."""
        try:
            return self._file is not None and not os.path.samestat(
                self._file,
                os.stat(self._path),  # noqa: PTH116 -- asked with each commit.
            )
        except OSError:
            return True

    async def aclose(self) -> None:
        """Do what was given before, and close the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await self._thread_ended.wait()

    def _run(self) -> None:
        try:
            db = self._open_file()
        except JournalError as error:
            self._resolve_all([(self._open_result, None, error)])
        else:
            self._resolve_all([(self._open_result, None, None)])
            while self._commit_group(db):
                pass
            db.close()
        self._call_in_loop(self._thread_ended.set)

    def _open_file(self) -> sqlite3.Connection:
        check_file(self._path)
        try:
            # It waits for its turns itself.
            db = self._write_lock.run_exclusive(lambda: connect(self._path, lock_timeout=0.0))
        except sqlite3.Error as error:
            raise to_journal_error(error, self._path) from error
        try:
            self._write_lock.run_exclusive(lambda: prepare(db, self._path))
        except sqlite3.Error as error:
            db.close()
            raise to_journal_error(error, self._path) from error
        except BaseException:
            db.close()
            raise
        self._file = os.stat(self._path)  # noqa: PTH116
        return db

    def _commit_group(self, db: sqlite3.Connection) -> bool:
        """One group of jobs. Returns whether there will be another."""
        queued = self._queue.get()
        group: list[_QueuedOperation] = []
        while queued is not None:
            group.append(queued)
            if len(group) == _MAX_OPERATIONS_PER_COMMIT:
                break
            try:
                queued = self._queue.get_nowait()
            except Empty:
                break
        if group:
            self._commit(db, group)
        return queued is not None

    def _commit(self, db: sqlite3.Connection, group: list[_QueuedOperation]) -> None:
        def write() -> list[Any]:
            with transaction(db):
                return [queued.operation(db) for queued in group]

        if self.is_file_gone:
            self._resolve_all(
                [(queued.future, None, file_gone_error(self._path)) for queued in group]
            )
            return
        try:
            results = self._write_lock.run_exclusive(write)
        except sqlite3.Error as error:
            self._resolve_all(
                [(queued.future, None, to_journal_error(error, self._path)) for queued in group]
            )
        except Exception as error:  # noqa: BLE001 -- it is told to whom it belongs.
            # The bad one shall not spoil the others.
            if len(group) == 1:
                if isinstance(error, JournalError):
                    error.path = self._path
                self._resolve_all([(group[0].future, None, error)])
            else:
                for queued in group:
                    self._commit(db, [queued])
        else:
            pairs = zip(group, results, strict=True)
            self._resolve_all([(queued.future, result, None) for queued, result in pairs])

    def _resolve_all(
        self, results: list[tuple[asyncio.Future[Any], Any, Exception | None]]
    ) -> None:
        def resolve() -> None:
            for result in results:
                _resolve(*result)

        self._call_in_loop(resolve)

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # The loop has ended, and nobody waits any more.
            return


def _resolve(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
