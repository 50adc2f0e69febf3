"""Reader: what reads a journal. It makes no file, and needs no leave to write."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from .._models.errors import JournalDamaged, JournalError, JournalReadOnly
from .schema import check_current
from .sqlite_errors import check_file, code_of, explained, gone
from .writer import set_up

T = TypeVar("T")

# What SQLite says where it may make no file beside a journal.
_NOT_BESIDE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_UNCLOSED: Final = (
    "this journal was not closed in good order, and SQLite has to write beside it to read it; "
    "let somebody open it who may write there, or copy it with its -wal to a folder of your own"
)
_WRITTEN: Final = "somebody began to write this journal while it was read; read it again"


def read(path: str, patience: float, work: Callable[[sqlite3.Connection], T]) -> T:
    """
    Read a journal.

    Raises:
        JournalError: That is not possible, and why.
    """
    check_file(path)
    try:
        db = _opened(path, patience, "mode=rw")
    except sqlite3.Error as error:
        if not Path(path).exists():
            raise gone(path) from error
        if code_of(error) not in _NOT_BESIDE:
            raise explained(error, path) from error
        return _read_at_rest(path, patience, work)
    return _done(db, work, path)


def check_readable(path: str, patience: float) -> None:
    """
    See that a journal that may not be written can be read.

    Raises:
        JournalError: It cannot, and why.
    """
    read(path, patience, lambda db: check_current(db, path))


def _read_at_rest(path: str, patience: float, work: Callable[[sqlite3.Connection], T]) -> T:
    """Read a file beside which SQLite may make none, and which nobody has open for writing."""
    before = _state(path)
    if before[-1]:
        raise JournalReadOnly(_UNCLOSED, path=path)
    result = _done(_opened(path, patience, "mode=ro&immutable=1"), work, path)
    if _state(path) != before:
        raise JournalError(_WRITTEN, path=path)
    return result


def _done(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], path: str) -> T:
    with closing(db):
        try:
            return work(db)
        except sqlite3.Error as error:
            raise explained(error, path) from error
        except JournalDamaged as damaged:
            damaged.path = path
            raise


def _opened(path: str, patience: float, how: str) -> sqlite3.Connection:
    uri = f"{Path(path).absolute().as_uri()}?{how}"
    db = set_up(lambda: sqlite3.connect(uri, timeout=patience, isolation_level=None, uri=True))
    db.execute("PRAGMA query_only = ON")
    return db


def _state(path: str) -> tuple[int, int, bool]:
    """What changes when a journal is written, and whether something waits to be written."""
    state = Path(path).stat()
    return state.st_size, state.st_mtime_ns, Path(f"{path}-wal").is_file()
