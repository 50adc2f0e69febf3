"""Verifying: whether the files of a folder are still what they were when they were saved."""

from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path

from attrs import frozen

from .._aio.threads import in_thread
from .._models.saved_file import File


@frozen(kw_only=True)
class Verified:
    """
    What became of saved files.

    Args:
        fine: Those whose bytes are the same.
        changed: Those whose bytes are others, or cannot be read.
        missing: Those that are not there.
    """

    fine: tuple[File, ...]
    changed: tuple[File, ...]
    missing: tuple[File, ...]


async def verify(folder: str | Path | None, files: Iterable[File]) -> Verified:
    """
    Compare the files of a folder with what is on record. The folder may have been moved since.

    Args:
        folder: Where the files are now; None: each where it was saved.
        files: The records. With a folder, only the last part of their paths counts.
    """
    fine: list[File] = []
    changed: list[File] = []
    missing: list[File] = []
    for file in files:
        path = file.path if folder is None else Path(folder) / file.path.name
        if await is_unchanged(file, path):
            fine.append(file)
        elif await in_thread(path.exists):
            changed.append(file)
        else:
            missing.append(file)
    return Verified(fine=tuple(fine), changed=tuple(changed), missing=tuple(missing))


async def is_unchanged(file: File, path: Path) -> bool:
    """Whether there is a file with these bytes."""
    return await in_thread(_is_unchanged, file, path)


def _is_unchanged(file: File, path: Path) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as content:
            return file.sha256 == file_digest(content, "sha256").hexdigest()
    except OSError:
        return False
