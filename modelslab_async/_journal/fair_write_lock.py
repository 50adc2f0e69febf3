"""Shares SQLite's write lock fairly between the writers of one file. It writes nothing itself."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from .sqlite_errors import primary_code

T = TypeVar("T")

# Seconds between two tries to get the lock.
_RETRY_INTERVAL_S: Final = 0.0004
# A writer that held the lock for `_MAX_HOLD_S` in all leaves the file free for `_YIELD_S`.
_YIELD_S: Final = 0.001
_MAX_HOLD_S: Final = 0.025


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None, None, None]:
    """Commit the block as a whole, or roll it back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite has often rolled back already. The first error is the one to raise.
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


class WriteLock:
    """
    Waits for SQLite's write lock, and yields it to other writers.

    SQLite has no queue of writers: the first to ask while the lock is free gets it. SQLite's own
    busy handler asks only ten times a second in the end. Beside a writer that never pauses, it may
    never get the lock. So this class retries often, and pauses after it held the lock for a while.

    Args:
        lock_timeout: The most seconds to wait for another writer.
    """

    def __init__(self, lock_timeout: float) -> None:
        self._lock_timeout = lock_timeout
        self._hold_s = 0.0
        self._released_at = time.monotonic()

    def run_exclusive(self, write: Callable[[], T]) -> T:
        """
        Call a function that takes the write lock, and call it again while the lock is taken.

        Raises:
            sqlite3.OperationalError: Another writer held the lock for longer than the timeout.
        """
        self._yield_to_others()
        deadline = time.monotonic() + self._lock_timeout
        while True:
            started = time.monotonic()
            try:
                return write()
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_BUSY or started > deadline:
                    raise
                time.sleep(_RETRY_INTERVAL_S)
            finally:
                self._released_at = time.monotonic()
                self._hold_s += self._released_at - started

    def _yield_to_others(self) -> None:
        idle_s = time.monotonic() - self._released_at
        if idle_s < _YIELD_S:
            if self._hold_s < _MAX_HOLD_S:
                return
            time.sleep(_YIELD_S - idle_s)
        self._hold_s = 0.0
