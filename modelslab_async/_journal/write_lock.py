"""Turns: how all that write to one file get at it, and none of them starves."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

from .sqlite_errors import code_of

T = TypeVar("T")

# Seconds between two questions whether the file is free, ...
_ASK: Final = 0.0004
# ... and for how long it is left free, by one who has held it for so long in all since the last
# time.
_GAP: Final = 0.001
_HOLD: Final = 0.025


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


class Turns:
    """
    One writer's turns at a file.

    SQLite hands its lock to nobody: whoever asks while it is free has it, and SQLite itself asks
    less and less often, in the end ten times a second. Beside one that writes without a break that
    can be never. So whoever waits here asks often, and whoever writes on and on leaves gaps.

    Args:
        patience: For how many seconds another may hold the file.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._held = 0.0
        self._left = time.monotonic()

    def take(self, write: Callable[[], T]) -> T:
        """
        Write when it is this one's turn, all or nothing.

        Raises:
            sqlite3.OperationalError: Another holds the file for longer than is waited for.
        """
        self._leave_gap()
        deadline = time.monotonic() + self._patience
        while True:
            began = time.monotonic()
            try:
                return write()
            except sqlite3.OperationalError as error:
                if code_of(error) != sqlite3.SQLITE_BUSY or began > deadline:
                    raise
                time.sleep(_ASK)
            finally:
                self._left = time.monotonic()
                self._held += self._left - began

    def _leave_gap(self) -> None:
        gap = time.monotonic() - self._left
        if gap < _GAP:
            if self._held < _HOLD:
                return
            time.sleep(_GAP - gap)
        self._held = 0.0
