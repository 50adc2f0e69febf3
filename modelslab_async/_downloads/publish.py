"""Gives a complete file its final name. It never replaces another file. Blocking I/O."""

from pathlib import Path

from .._aio.durable_files import IS_WINDOWS


def link_or_move(part: Path, path: Path) -> bool:
    """
    Add a hard link to the part under its final path, or move the part if that is not possible.

    Return False if the path exists already.
    """
    try:
        if IS_WINDOWS:  # pragma: no cover -- Windows refuses to rename to a taken name.
            part.rename(path)
        else:
            path.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:
        return _reserve_and_move(part, path)
    return True


def _reserve_and_move(part: Path, path: Path) -> bool:
    """Create an empty file at the path, then replace it by the part. Keep any existing file."""
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
