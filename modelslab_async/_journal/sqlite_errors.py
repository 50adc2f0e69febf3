"""Turns SQLite's errors into journal errors that say what to do."""

import errno
import os
import sqlite3
import stat
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
from .journal_files import SIBLING_SUFFIXES

# The errors that opening a file can raise. Python raises a UnicodeDecodeError if SQLite's message
# quotes damaged text.
UNREADABLE: Final = (sqlite3.Error, UnicodeError, OSError)

_NOT_A_DATABASE_MESSAGE: Final = (
    "this is no SQLite database, or its beginning is destroyed; it was left as it is; "
    "give the path of a journal, or of a file that does not exist yet"
)
_EMPTIED_MESSAGE: Final = (
    "this journal is empty, though there is a -wal beside it; it was left as it is; keep both, and "
    "put back a copy of the journal, or move them away to begin anew"
)
_DAMAGED_MESSAGE: Final = (
    "this journal is damaged; keep the file, and save what is left of it with "
    "`sqlite3 FILE .recover`"
)
_CANNOT_CREATE_MESSAGE: Final = (
    "no journal can be made here; see that the folder exists and is writable"
)
_NOT_A_FILE_MESSAGE: Final = (
    "this is a FIFO, a socket, a device or the like; it was left as it is; give the path of a file"
)
_OPEN_FILES_MESSAGE: Final = (
    "no more files may be open, and SQLite must open one; raise the limit (`ulimit -n`), or lower "
    "`concurrency`"
)
_BLOCKED_SIBLING_MESSAGE: Final = (
    "SQLite keeps files beside this journal, and {name} is none; move it away"
)
# The process or the system has too many open files.
_OPEN_FILES_ERRNOS: Final = (errno.EMFILE, errno.ENFILE)
# An SQLite database has at least one page, and a page has at least this many bytes:
# https://sqlite.org/fileformat.html
_MIN_DATABASE_BYTES: Final = 512
# The file types that `check_file` leaves to SQLite: missing (0), regular file, and folder. SQLite
# itself refuses to open a folder.
_EXPECTED_FILE_TYPES: Final = (0, stat.S_IFREG, stat.S_IFDIR)
# Python raises this error for damaged text. The error has no SQLite result code, only this message.
_UNDECODABLE_TEXT: Final = "Could not decode to UTF-8"

# Error types and messages, keyed by SQLite's result code. An extended code takes precedence over
# its primary code: https://sqlite.org/rescode.html
_ERRORS_BY_CODE: Final[dict[int, tuple[type[JournalError], str]]] = {
    sqlite3.SQLITE_BUSY: (
        JournalLocked,
        "another process holds this journal locked; end it, or try again when it is done",
    ),
    sqlite3.SQLITE_FULL: (
        JournalFull,
        "there is no room to write the journal; make room on its disk, and run again",
    ),
    # SQLite returns SQLITE_IOERR_WRITE for an exceeded quota, an exceeded file size limit and a
    # failing disk.
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
            "this journal may be read and not written; check the permissions of the file and of "
            "its folder"
        ),
    ),
    sqlite3.SQLITE_CORRUPT: (JournalDamaged, _DAMAGED_MESSAGE),
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


def primary_code(error: BaseException) -> int:
    """Return the primary SQLite result code of an error; 0 if the error has none."""
    return _extended_code(error) & 0xFF


def _extended_code(error: BaseException) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def to_journal_error(error: sqlite3.Error | UnicodeError | OSError, path: str) -> JournalError:
    """Turn an error of SQLite or of the file system into a journal error."""
    error_type: type[JournalError]
    source = "SQLite"
    if isinstance(error, UnicodeError) or _UNDECODABLE_TEXT in str(error):
        error_type, advice = JournalDamaged, _DAMAGED_MESSAGE
    elif isinstance(error, OSError):
        is_limit = error.errno in _OPEN_FILES_ERRNOS
        advice = _OPEN_FILES_MESSAGE if is_limit else _CANNOT_CREATE_MESSAGE
        error_type, source = JournalError, "system"
    elif primary_code(error) == sqlite3.SQLITE_CANTOPEN:
        error_type, advice = _cannot_open(Path(path))
    else:
        error_type, advice = (
            _ERRORS_BY_CODE.get(_extended_code(error))
            or _ERRORS_BY_CODE.get(primary_code(error))
            or _UNKNOWN_ERROR
        )
    journal_error = error_type(f"{advice} ({source}: {error})", path=path)
    journal_error.__cause__ = error
    return journal_error


def _cannot_open(path: Path) -> tuple[type[JournalError], str]:
    if not _can_open_a_file():
        return JournalError, _OPEN_FILES_MESSAGE
    if path.is_dir():
        return WrongJournal, "this is a folder; give the path of a file"
    if path.exists():
        return JournalReadOnly, "SQLite keeps two files beside a journal, and may not write them"
    return JournalError, _CANNOT_CREATE_MESSAGE


def _can_open_a_file() -> bool:
    """
    Return whether this process may open one more file.

    If SQLite cannot open a file, it does not say whether the limit of open files is the cause. This
    function opens no file of the journal, because closing that file would release all locks of this
    process on it.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in _OPEN_FILES_ERRNOS
    return True


def _file_type(path: Path) -> int:
    """Return the type of a file, such as `stat.S_IFREG`; 0 if there is no file."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0


def check_file(path: str) -> None:
    """
    Raise an error if SQLite must not open the path of a journal.

    SQLite would overwrite a file that is too short to be a database, and wait forever for a FIFO.
    This function does not open the file, because closing a file releases all locks of this process
    on that file.

    Raises:
        WrongJournal: The path is a FIFO, a socket or a device, or the file is too short to be a
            database.
        JournalError: A FIFO, a socket or a device has the name of a file that SQLite keeps beside
            the journal.
        JournalDamaged: The file is empty, but its write-ahead log is not.
    """
    for suffix in SIBLING_SUFFIXES:
        sibling = Path(f"{path}{suffix}")
        if _file_type(sibling) not in _EXPECTED_FILE_TYPES:
            raise JournalError(_BLOCKED_SIBLING_MESSAGE.format(name=sibling.name), path=path)
    # Check the write-ahead log before the file. In the other order, a journal that another process
    # creates between the two checks would look damaged.
    wal = Path(f"{path}-wal")
    has_unmerged_wal = _file_type(wal) == stat.S_IFREG and wal.stat().st_size > 0
    file = Path(path)
    file_type = _file_type(file)
    if file_type not in _EXPECTED_FILE_TYPES:
        raise WrongJournal(_NOT_A_FILE_MESSAGE, path=path)
    if file_type != stat.S_IFREG:
        return
    size = file.stat().st_size
    if not size and has_unmerged_wal:
        raise JournalDamaged(_EMPTIED_MESSAGE, path=path)
    if 0 < size < _MIN_DATABASE_BYTES:
        raise WrongJournal(_NOT_A_DATABASE_MESSAGE, path=path)


def file_gone_error(path: str) -> JournalError:
    """Return the error for a journal that was deleted or replaced after it was opened."""
    return JournalError(
        "this journal was deleted or replaced while it was open, and nothing more is written; put "
        "it back if you still have it, and run again",
        path=path,
    )
