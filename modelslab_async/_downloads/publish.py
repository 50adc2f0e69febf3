"""Gives a complete file its final name. It never replaces another file. Blocking I/O."""

from pathlib import Path

from .._aio.durable_files import IS_WINDOWS


def link_or_move(part: Path, path: Path) -> bool:
    """
    Give a part its final path by a hard link. Move the part if a hard link is not possible.

    Return False if the final path exists already.
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
    """Move a part to a path where no file exists. An empty file first reserves the path."""
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
