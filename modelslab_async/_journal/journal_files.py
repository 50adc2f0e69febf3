"""Recognizes the files of a journal: the database, and the files that SQLite keeps beside it."""

import os
from pathlib import Path
from typing import Final

# The suffixes of the files that SQLite keeps beside a journal.
SIBLING_SUFFIXES: Final = ("-wal", "-shm", "-journal")


def is_journal_file(path: str | os.PathLike[str], journal_path: str | os.PathLike[str]) -> bool:
    """
    Return whether a path, or the file that it links to, is a file of a journal.

    The files need not exist.
    """
    file, journal = os.path.realpath(path), os.path.realpath(journal_path)
    return any(_is_same_file(file, journal + suffix) for suffix in ("", *SIBLING_SUFFIXES))


def _is_same_file(file: str, other: str) -> bool:
    try:
        return Path(file).samefile(other)
    except OSError:
        return file == other
