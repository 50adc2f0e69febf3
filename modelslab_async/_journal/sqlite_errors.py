"""Faults: what SQLite says went wrong, as errors that say what to do."""

import sqlite3
from pathlib import Path
from typing import Final

from .._models.errors import (
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    JournalReadOnly,
    WrongJournal,
)

_NO_DATABASE: Final = (
    "this is no SQLite database, or its beginning is destroyed; it was left as it is; "
    "give the path of a journal, or of a file that does not exist yet"
)
_EMPTIED: Final = (
    "this journal is empty, though there is a -wal beside it; it was left as it is; keep both, and "
    "put back a copy of the journal, or move them away to begin anew"
)
# The least page, and so the least database: https://sqlite.org/fileformat.html
_LEAST: Final = 512

# By SQLite's result code, the extended one first: https://sqlite.org/rescode.html
_KINDS: Final[dict[int, tuple[type[JournalError], str]]] = {
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
    sqlite3.SQLITE_NOTADB: (WrongJournal, _NO_DATABASE),
}
_OTHER = (JournalError, "the journal could not be read or written")


def code_of(error: sqlite3.Error) -> int:
    """Which kind of error it is, without the finer distinctions of its kind; 0 for none."""
    return _extended(error) & 0xFF


def _extended(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def explained(error: sqlite3.Error, path: str) -> JournalError:
    """The error of ours that stands for one of SQLite's."""
    if code_of(error) == sqlite3.SQLITE_CANTOPEN:
        kind, advice = _unopened(Path(path))
    else:
        kind, advice = _KINDS.get(_extended(error)) or _KINDS.get(code_of(error)) or _OTHER
    explained = kind(f"{advice} (SQLite: {error})", path=path)
    explained.__cause__ = error
    return explained


def _unopened(path: Path) -> tuple[type[JournalError], str]:
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
    beside = Path(f"{path}-wal")
    waits = beside.is_file() and beside.stat().st_size > 0
    file = Path(path)
    if not file.is_file():
        return
    size = file.stat().st_size
    if not size and waits:
        raise JournalDamaged(_EMPTIED, path=path)
    if 0 < size < _LEAST:
        raise WrongJournal(_NO_DATABASE, path=path)


def gone(path: str) -> JournalError:
    """The error for a journal that is not where it was when it was opened."""
    return JournalError(
        "this journal was deleted or replaced while it was open, and nothing more is written; put "
        "it back if you have it still, and run again",
        path=path,
    )
