"""Compares saved files with their records. It changes no file."""

from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from .._aio.threads import run_in_thread
from .._models.saved_file import SavedFile
from .file_checksum import has_checksum


@frozen(kw_only=True)
class Verified:
    """
    The result of `verify`.

    Attributes:
        unchanged: Files with the recorded bytes.
        changed: Files that have other bytes or cannot be read.
        missing: Files that do not exist.
    """

    unchanged: tuple[SavedFile, ...]
    changed: tuple[SavedFile, ...]
    missing: tuple[SavedFile, ...]


async def verify(folder: str | Path | None, files: Iterable[SavedFile]) -> Verified:
    """
    Compare the files of a folder with their records. The folder may have been moved.

    Args:
        folder: The folder that has the files now; None to use the recorded paths.
        files: The records. With a folder, only the file names of the recorded paths are used.
    """
    unchanged: list[SavedFile] = []
    changed: list[SavedFile] = []
    missing: list[SavedFile] = []
    for file in files:
        path = file.path if folder is None else Path(folder) / file.path.name
        if await is_unchanged(file, path):
            unchanged.append(file)
        elif await run_in_thread(path.exists):
            changed.append(file)
        else:
            missing.append(file)
    return Verified(unchanged=tuple(unchanged), changed=tuple(changed), missing=tuple(missing))


async def is_unchanged(file: SavedFile, path: Path) -> bool:
    """Whether the file at a path has the recorded bytes; False if the file cannot be read."""
    try:
        return await run_in_thread(has_checksum, path, file.size, file.sha256)
    except (OSError, ValueError):
        # A path with a NUL character raises a ValueError.
        return False
