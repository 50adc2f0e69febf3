"""Publishing: gives a complete file its final name. Never replaces a file. Blocking I/O."""

from pathlib import Path

from .._aio.durable_files import IS_WINDOWS


def link_or_move(part: Path, path: Path) -> bool:
    """
    Give a file a second name, or move it where the file system has no hard links.

    Returns False if the name is taken.
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
    """Create an empty file under the name first, since `replace` would overwrite a taken name."""
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
