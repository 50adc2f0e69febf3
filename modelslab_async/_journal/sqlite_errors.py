"""Faults: what SQLite says went wrong, as errors that say what to do."""

import sqlite3
from pathlib import Path
from typing import Final

from .._models.journal_errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    WrongJournal,
)

_NOT_A_DATABASE_MESSAGE: Final = (
    "this is no SQLite database, or its beginning is destroyed; it was left as it is; "
    "give the path of a journal, or of a file that does not exist yet"
)
_EMPTIED_MESSAGE: Final = (
    "this journal is empty, though there is a -wal beside it; it was left as it is; keep both, and "
    "put back a copy of the journal, or move them away to begin anew"
)
# The least page, and so the least database: https://sqlite.org/fileformat.html
_MIN_DATABASE_BYTES: Final = 512

# By SQLite's result code, the extended one first: https://sqlite.org/rescode.html
_ERRORS_BY_CODE: Final[dict[int, tuple[type[JournalError], str]]] = {
    sqlite3.SQLITE_BUSY: (
        JournalLocked,
        "another process holds this journal locked; end it, or try again when it is done",
    ),
    sqlite3.SQLITE_FULL: (
        JournalFull,
        "there is no room to write the journal; make room on its disk, and run again",
    ),
    # A quota or a limit on the size of files is told as this, and so is a failing disk.
    sqlite3.SQLITE_IOERR_WRITE: (
        JournalFull,
        (
            "the journal could not be written; see that its disk works and that no quota or "
            "limit on the size of files is reached, and run again"
        ),
    ),
    sqlite3.SQLITE_IOERR_SHMSIZE: (
        JournalFull,
        "there is no room beside the journal; make room on its disk, and run again",
    ),
    sqlite3.SQLITE_READONLY: (
        JournalReadOnly,
        (
            "this journal may be read and not written; see to the permissions of the file and of "
            "its folder"
        ),
    ),
    sqlite3.SQLITE_CORRUPT: (
        JournalDamaged,
        (
            "this journal is damaged; keep the file, and save what is left of it with "
            "`sqlite3 FILE .recover`"
        ),
    ),
    sqlite3.SQLITE_IOERR_SHORT_READ: (
        JournalDamaged,
        (
            "this journal is cut short; keep the file, and save what is left of it with "
            "`sqlite3 FILE .recover`"
        ),
    ),
    sqlite3.SQLITE_NOTADB: (WrongJournal, _NOT_A_DATABASE_MESSAGE),
}
_UNKNOWN_ERROR = (JournalError, "the journal could not be read or written")


def primary_code(error: sqlite3.Error) -> int:
    """Which kind of error it is, without the finer distinctions of its kind; 0 for none."""
    return _extended_code(error) & 0xFF


def _extended_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def to_journal_error(error: sqlite3.Error, path: str) -> JournalError:
    """The error of ours that stands for one of SQLite's."""
    if primary_code(error) == sqlite3.SQLITE_CANTOPEN:
        error_type, advice = _cannot_open(Path(path))
    else:
        error_type, advice = (
            _ERRORS_BY_CODE.get(_extended_code(error))
            or _ERRORS_BY_CODE.get(primary_code(error))
            or _UNKNOWN_ERROR
        )
    to_journal_error = error_type(f"{advice} (SQLite: {error})", path=path)
    to_journal_error.__cause__ = error
    return to_journal_error


def _cannot_open(path: Path) -> tuple[type[JournalError], str]:
    if path.is_dir():
        return WrongJournal, "this is a folder; give the path of a file"
    if path.exists():
        return JournalReadOnly, "SQLite keeps two files beside a journal, and may not write them"
    return JournalError, "no journal can be made here; see that the folder exists and is writable"


def check_file(path: str) -> None:
    """
    Refuse a file too short to be a database, before SQLite has it, which would overwrite it.

    It is not opened: to close it again would end all locks that this process has on it.

    Raises:
        WrongJournal: It is something else.
        JournalDamaged: It was emptied, and what waits beside it to be written shows that.
    """
    # In this order: who makes a journal has written to it before anything is beside it.
    wal = Path(f"{path}-wal")
    has_unmerged_wal = wal.is_file() and wal.stat().st_size > 0
    file = Path(path)
    if not file.is_file():
        return
    size = file.stat().st_size
    if not size and has_unmerged_wal:
        raise JournalDamaged(_EMPTIED_MESSAGE, path=path)
    if 0 < size < _MIN_DATABASE_BYTES:
        raise WrongJournal(_NOT_A_DATABASE_MESSAGE, path=path)


def file_gone_error(path: str) -> JournalError:
    """The error for a journal that is not where it was when it was opened."""
    return JournalError(
        "this journal was deleted or replaced while it was open, and nothing more is written; put "
        "it back if you have it still, and run again",
        path=path,
    )
