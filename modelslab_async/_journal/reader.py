"""Reader: what reads a journal. It makes no file, and needs no leave to write."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from .._models.journal_errors import JournalDamaged, JournalError, JournalReadOnly
from .schema import check_current
from .sqlite_errors import check_file, file_gone_error, primary_code, to_journal_error
from .writer import configured

T = TypeVar("T")

# What SQLite says where it may make no file beside a journal.
_NO_WAL_CODES: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_UNCLEAN_MESSAGE: Final = (
    "this journal was not closed in good order, and SQLite has to write beside it to read it; "
    "let somebody open it who may write there, or copy it with its -wal to a folder of your own"
)
_CHANGED_MESSAGE: Final = "somebody began to write this journal while it was read; read it again"


def read(path: str, lock_timeout: float, operation: Callable[[sqlite3.Connection], T]) -> T:
    """
    Read a journal.

    Raises:
        JournalError: That is not possible, and why.
    """
    check_file(path)
    try:
        db = _open_read_only(path, lock_timeout, "mode=rw")
    except sqlite3.Error as error:
        if not Path(path).exists():
            raise file_gone_error(path) from error
        if primary_code(error) not in _NO_WAL_CODES:
            raise to_journal_error(error, path) from error
        return _read_immutable(path, lock_timeout, operation)
    return _run_operation(db, operation, path)


def check_readable(path: str, lock_timeout: float) -> None:
    """
    See that a journal that may not be written can be read.

    Raises:
        JournalError: It cannot, and why.
    """
    read(path, lock_timeout, lambda db: check_current(db, path))


def _read_immutable(
    path: str, lock_timeout: float, operation: Callable[[sqlite3.Connection], T]
) -> T:
    """Read a file beside which SQLite may make none, and which nobody has open for writing."""
    before = _file_state(path)
    if before[-1]:
        raise JournalReadOnly(_UNCLEAN_MESSAGE, path=path)
    result = _run_operation(
        _open_read_only(path, lock_timeout, "mode=ro&immutable=1"), operation, path
    )
    if _file_state(path) != before:
        raise JournalError(_CHANGED_MESSAGE, path=path)
    return result


def _run_operation(
    db: sqlite3.Connection, operation: Callable[[sqlite3.Connection], T], path: str
) -> T:
    with closing(db):
        try:
            return operation(db)
        except sqlite3.Error as error:
            raise to_journal_error(error, path) from error
        except JournalDamaged as error:
            error.path = path
            raise


def _open_read_only(path: str, lock_timeout: float, mode: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?{mode}"
    db = configured(
        lambda: sqlite3.connect(uri, timeout=lock_timeout, isolation_level=None, uri=True)
    )
    db.execute("PRAGMA query_only = ON")
    return db


def _file_state(path: str) -> tuple[int, int, bool]:
    """What changes when a journal is written, and whether something waits to be written."""
    state = Path(path).stat()
    return state.st_size, state.st_mtime_ns, Path(f"{path}-wal").is_file()
