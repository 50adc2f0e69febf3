"""The files of a journal: its own, and those that SQLite keeps beside it. Changes none of them."""

import os
from pathlib import Path
from typing import Final

# What the names of the files have at their end that SQLite keeps beside a journal.
SIBLING_SUFFIXES: Final = ("-wal", "-shm", "-journal")


def is_journal_file(path: str | os.PathLike[str], journal_path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a file of a journal, also through a link. No file needs to exist."""
    file, journal = os.path.realpath(path), os.path.realpath(journal_path)
    return any(_is_same_file(file, journal + suffix) for suffix in ("", *SIBLING_SUFFIXES))


def _is_same_file(file: str, other: str) -> bool:
    try:
        return Path(file).samefile(other)
    except OSError:
        return file == other
