"""Naming: a whole file gets its name, or none. Never is there half a file, or another's. Blocks."""

import hashlib
import os
from pathlib import Path

_IS_WINDOWS = os.name == "nt"


def link_or_move(part: Path, path: Path) -> bool:
    """
    Give a file its name, unless that is taken. Returns whether it has it.

    Where there are hard links the file keeps its old name as well; else it is moved.
    """
    try:
        if _IS_WINDOWS:  # pragma: no cover -- renaming respects a taken name there.
            part.rename(path)
        else:
            path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        return _reserve_and_move(part, path)
    return True


def _reserve_and_move(part: Path, path: Path) -> bool:
    """The same where a file system has no hard links: the name is taken first, then filled."""
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        part.replace(path)
    except OSError:
        path.unlink()
        raise
    return True


def is_same(path: Path, size: int, digest: str) -> bool:
    """Whether a name leads to a file with these bytes."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return digest == hashlib.file_digest(file, "sha256").hexdigest()
