"""Verifying: whether the files of a folder are still what they were when they were saved."""

from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

from attrs import frozen

from .._aio.threads import run_in_thread
from .._models.saved_file import SavedFile


@frozen(kw_only=True)
class Verified:
    """
    What became of saved files.

    Args:
        unchanged: Those whose bytes are the same.
        changed: Those whose bytes are others, or cannot be read.
        missing: Those that are not there.
    """

    unchanged: tuple[SavedFile, ...]
    changed: tuple[SavedFile, ...]
    missing: tuple[SavedFile, ...]


async def verify(folder: str | Path | None, files: Iterable[SavedFile]) -> Verified:
    """
    Compare the files of a folder with what is on record. The folder may have been moved since.

    Args:
        folder: Where the files are now; None: each where it was saved.
        files: The records. With a folder, only the last part of their paths counts.
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
    """Whether there is a file with these bytes."""
    return await run_in_thread(_is_unchanged, file, path)


def _is_unchanged(file: SavedFile, path: Path) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as content:
            return file.sha256 == file_digest(content, "sha256").hexdigest()
    except OSError:
        return False
