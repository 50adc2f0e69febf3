"""Turns: how all that write to one file get at it, and none of them starves."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from .sqlite_errors import primary_code

T = TypeVar("T")

# Seconds between two questions whether the file is free, ...
_RETRY_INTERVAL_S: Final = 0.0004
# ... and for how long it is left free, by one who has held it for so long in all since the last
# time.
_YIELD_S: Final = 0.001
_MAX_HOLD_S: Final = 0.025


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None, None, None]:
    """All of a block, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite has often rolled back already; what counts is the first error.
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


class WriteLock:
    """
    One writer's turns at a file.

    SQLite hands its lock to nobody: whoever asks while it is free has it, and SQLite itself asks
    less and less often, in the end ten times a second. Beside one that writes without a break that
    can be never. So whoever waits here asks often, and whoever writes on and on leaves gaps.

    Args:
        patience: For how many seconds another may hold the file.
    """

    def __init__(self, lock_timeout: float) -> None:
        self._lock_timeout = lock_timeout
        self._hold_s = 0.0
        self._released_at = time.monotonic()

    def run_exclusive(self, write: Callable[[], T]) -> T:
        """
        Write when it is this one's turn, all or nothing.

        Raises:
            sqlite3.OperationalError: Another holds the file for longer than is waited for.
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
