"""SqliteCopyFile: a connection to a journal's file that is the source or the target of a copy."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from .._models.journal_errors import JournalError
from .fair_write_lock import WriteLock
from .schema import prepare
from .sqlite_errors import UNREADABLE, check_file, to_journal_error
from .writer import connect

T = TypeVar("T")

_LOCK_TIMEOUT_S: Final = 30.0


class SqliteCopyFile:
    """
    A connection to a journal's file. Its methods block the event loop.

    Attributes:
        path: The path of the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = WriteLock(_LOCK_TIMEOUT_S)
        self._db: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Call `work` with the connection, and return its result. Open or create the file if needed.

        Raises:
            JournalError: The file cannot be read or written, or `work` raised this error.
        """
        try:
            return work(self._connection())
        except JournalError as error:
            error.path = self.path
            raise
        except UNREADABLE as error:
            raise to_journal_error(error, self.path) from error

    def begin(self) -> None:
        """
        Begin a transaction that keeps all other writers out.

        Raises:
            JournalError: Another process holds the lock for too long, or the file cannot be used.
        """
        self.run(lambda db: self._lock.run_exclusive(lambda: db.execute("BEGIN IMMEDIATE")))

    def commit(self) -> None:
        """Commit the transaction."""
        self.run(lambda db: db.execute("COMMIT"))

    def roll_back(self) -> None:
        """Undo the transaction, if there is one."""
        if self._db is not None:
            # Ignore a failing ROLLBACK: SQLite may have rolled back already.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            check_file(self.path)
            # SQLite's own busy handler is off, because `WriteLock` waits for the lock.
            db = self._lock.run_exclusive(lambda: connect(self.path, lock_timeout=0.0))
            try:
                self._lock.run_exclusive(lambda: prepare(db, self.path))
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db
