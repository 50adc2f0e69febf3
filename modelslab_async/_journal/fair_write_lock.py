"""WriteLock: shares SQLite's write lock fairly between processes."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from .sqlite_errors import primary_code

T = TypeVar("T")

# Seconds between two attempts to get the lock.
_RETRY_INTERVAL_S: Final = 0.0004
# After a writer has held the lock for `_MAX_HOLD_S` seconds in total, the writer pauses for
# `_YIELD_S` seconds. Other writers can then get the lock.
_YIELD_S: Final = 0.001
_MAX_HOLD_S: Final = 0.025


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None, None, None]:
    """Run the `with` block in a transaction. Commit at its end, or roll back after an exception."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Ignore a failing ROLLBACK: SQLite may have rolled back already. Raise the original error.
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


class WriteLock:
    """
    Waits for SQLite's write lock, and regularly leaves it free for other writers.

    SQLite's own busy handler waits up to a tenth of a second between two attempts. If another
    process writes without a pause, all these attempts may fail. This class tries more often, and
    pauses after it has held the lock for a while.

    Args:
        lock_timeout: The maximum number of seconds to wait for other writers.
    """

    def __init__(self, lock_timeout: float) -> None:
        self._lock_timeout = lock_timeout
        self._hold_s = 0.0
        self._released_at = time.monotonic()

    def run_exclusive(self, write: Callable[[], T]) -> T:
        """
        Call a function that takes the write lock. Retry while another writer has the lock.

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
