"""Reads a journal over a separate connection that needs no write access."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from .._models.journal_errors import JournalError, JournalReadOnly
from .schema import check_current
from .sqlite_errors import UNREADABLE, check_file, file_gone_error, primary_code, to_journal_error
from .writer import configured

T = TypeVar("T")

# SQLite returns these codes if the write-ahead log is missing and SQLite may not create it.
_NO_WAL_CODES: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_UNCLEAN_MESSAGE: Final = (
    "this journal was not closed cleanly, and SQLite has to write beside it to read it; "
    "open it as a user who may write there, or copy it with its -wal to a folder of your own"
)
_CHANGED_MESSAGE: Final = "another process wrote to this journal during the read; read it again"


class _FileState(NamedTuple):
    """Properties of a journal's files that change when another process writes to the journal."""

    size: int
    modified_ns: int
    has_wal: bool


def read(path: str, lock_timeout: float, operation: Callable[[sqlite3.Connection], T]) -> T:
    """
    Call a function with a read-only connection.

    Raises:
        JournalError: The journal cannot be read; the message says why.
    """
    try:
        check_file(path)
        db = _open_read_only(path, lock_timeout, "mode=rw")
    except sqlite3.Error as error:
        if not Path(path).exists():
            raise file_gone_error(path) from error
        if primary_code(error) not in _NO_WAL_CODES:
            raise to_journal_error(error, path) from error
        return _read_immutable(path, lock_timeout, operation)
    except UNREADABLE as error:
        raise to_journal_error(error, path) from error
    return _run_operation(db, operation, path)


def check_readable(path: str, lock_timeout: float) -> None:
    """
    Check that a journal has the newest version, and can be read without write access.

    Raises:
        JournalError: The journal cannot be read or has another version; the message says why.
    """
    read(path, lock_timeout, lambda db: check_current(db, path))


def _read_immutable(
    path: str, lock_timeout: float, operation: Callable[[sqlite3.Connection], T]
) -> T:
    """
    Read a journal in a folder where SQLite cannot create files.

    Raises:
        JournalError: SQLite must create files to read the journal, or the journal changed during
            the read.
    """
    before = _file_state(path)
    if before.has_wal:
        raise JournalReadOnly(_UNCLEAN_MESSAGE, path=path)
    try:
        db = _open_read_only(path, lock_timeout, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise to_journal_error(error, path) from error
    result = _run_operation(db, operation, path)
    if _file_state(path) != before:
        raise JournalError(_CHANGED_MESSAGE, path=path)
    return result


def _run_operation(
    db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], T], path: str
) -> T:
    with closing(db):
        try:
            return operation(db)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise to_journal_error(error, path) from error
        except JournalError as error:
            error.path = path
            raise


def _open_read_only(path: str, lock_timeout: float, mode: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?{mode}"
    db = configured(
        lambda: sqlite3.connect(uri, timeout=lock_timeout, isolation_level=None, uri=True)
    )
    db.execute("PRAGMA query_only = ON")
    return db


def _file_state(path: str) -> _FileState:
    state = Path(path).stat()
    return _FileState(state.st_size, state.st_mtime_ns, Path(f"{path}-wal").is_file())
