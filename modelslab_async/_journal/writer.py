"""Writer: writes to a journal in one thread, and commits operations in groups."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from attrs import frozen

from .._models.journal_errors import JournalError
from .fair_write_lock import WriteLock, transaction
from .process_identity import has_died
from .schema import prepare
from .sqlite_errors import UNREADABLE, check_file, file_gone_error, to_journal_error

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

_MAX_OPERATIONS_PER_COMMIT: Final = 1000
# The size of SQLite's page cache, in KiB. It is large, because new tickets change pages all over
# the index of ticket ids.
_CACHE_KIB: Final = 64 * 1024
# A checkpoint starts when the write-ahead log has this many pages. With SQLite's default, 1000,
# checkpoints would run more often.
_CHECKPOINT_PAGES: Final = 4000
# The errors that SQLite raises for a value that cannot be stored, such as None in a column that
# requires text.
_OPERATION_ERRORS: Final = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


@frozen(eq=False)
class QueuedOperation:
    """A function to call in a transaction, and the future that gets its result."""

    operation: Operation[Any]
    future: asyncio.Future[Any]


Result: TypeAlias = tuple[asyncio.Future[Any], object, Exception | None]
"""A future with its result or its error."""


def connect(path: str, lock_timeout: float) -> sqlite3.Connection:
    """Open a file, or create it. Each commit on the connection waits until its data is on disk."""
    return configured(lambda: sqlite3.connect(path, timeout=lock_timeout, isolation_level=None))


def configured(open_connection: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """Open a connection, and apply the settings that all connections to a journal share."""
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


class Writer:
    """
    Runs queued operations on one file, in order, in a thread of its own.

    The callbacks are called in the event loop in which the writer was made.

    Args:
        path: The path of the file.
        lock_timeout: The maximum number of seconds to wait for other writers.
        queue: The operations to run. The thread ends at the first None.
        on_results: Called with the results of each commit.
        on_end: Called when the thread ends. The arguments are the thread's error (or None) and the
            operations in progress.
    """

    def __init__(
        self,
        path: str,
        lock_timeout: float,
        queue: "SimpleQueue[QueuedOperation | None]",
        *,
        on_results: Callable[[Sequence[Result]], object],
        on_end: Callable[[JournalError | None, Sequence[QueuedOperation]], object],
    ) -> None:
        self._path = path
        self._write_lock = WriteLock(lock_timeout)
        self._queue = queue
        self._on_results = on_results
        self._on_end = on_end
        self._group: list[QueuedOperation] = []
        self._loop = asyncio.get_running_loop()
        self._file: os.stat_result | None = None

    def start(self, opened: asyncio.Future[None]) -> None:
        """
        Start the thread.

        Args:
            opened: A future that is done once the file is open for writing.
        """
        # Use a daemon thread, so that a program can end without closing its journal. No result that
        # a caller has received is lost, because a future gets its result only after the commit.
        threading.Thread(
            target=self._run, args=(opened,), name="modelslab_async journal", daemon=True
        ).start()

    @property
    def is_file_gone(self) -> bool:
        """Whether the file was deleted or replaced. If so, any further commit would be lost."""
        try:
            return self._file is not None and not os.path.samestat(
                self._file,
                os.stat(self._path),  # noqa: PTH116 -- called for each commit.
            )
        except OSError:
            return True

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            with closing(self._open_file()) as db:
                self._resolve_all([(opened, None, None)])
                while self._commit_group(db):
                    pass
        except BaseException as error:  # noqa: BLE001 -- every caller that waits gets it.
            self._end(_as_journal_error(error, self._path))
        else:
            self._end(None)

    def _end(self, error: JournalError | None) -> None:
        self._call_in_loop(partial(self._on_end, error, self._group))

    def _open_file(self) -> sqlite3.Connection:
        check_file(self._path)
        # `WriteLock` waits for the lock, so SQLite itself must not wait.
        db = self._write_lock.run_exclusive(lambda: connect(self._path, lock_timeout=0.0))
        try:
            self._write_lock.run_exclusive(lambda: prepare(db, self._path))
            self._file = os.stat(self._path)  # noqa: PTH116
        except BaseException:
            db.close()
            raise
        return db

    def _commit_group(self, db: sqlite3.Connection) -> bool:
        """Commit the queued operations together. Return False if this group is the last one."""
        queued = self._queue.get()
        self._group = group = []
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

    def _commit(self, db: sqlite3.Connection, group: list[QueuedOperation]) -> None:
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
        except Exception as error:  # noqa: BLE001 -- the caller of the operation gets it.
            if len(group) > 1 and not _concerns_file(error):
                # At least one operation of the group failed. Commit each operation alone, so that
                # the others succeed.
                for queued in group:
                    self._commit(db, [queued])
                return
            # Each caller gets an error of its own, because callers add notes to their errors.
            self._resolve_all(
                [(queued.future, None, self._error_for_caller(error)) for queued in group]
            )
        else:
            pairs = zip(group, results, strict=True)
            self._resolve_all([(queued.future, result, None) for queued, result in pairs])

    def _error_for_caller(self, error: Exception) -> Exception:
        if isinstance(error, sqlite3.Error):
            return to_journal_error(error, self._path)
        if isinstance(error, JournalError):
            error.path = self._path
        return error

    def _resolve_all(self, results: Sequence[Result]) -> None:
        self._call_in_loop(partial(self._on_results, results))

    def _call_in_loop(self, callback: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # The event loop is closed, so no task waits for a result.
            return


def _concerns_file(error: Exception) -> bool:
    """Return whether an error concerns the whole file (such as a full disk), not one operation."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _OPERATION_ERRORS)


def _as_journal_error(error: BaseException, path: str) -> JournalError:
    if isinstance(error, JournalError):
        return error
    if isinstance(error, UNREADABLE):
        return to_journal_error(error, path)
    journal_error = JournalError(
        f"the thread that writes this journal has died ({type(error).__name__}: {error}); "
        "what it answered is committed; open the journal again",
        path=path,
    )
    journal_error.__cause__ = error
    return journal_error
