"""Compares saved files with their records."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import field, frozen

from .._aio.threads import run_in_thread
from .._models.saved_file import SavedFile
from .file_sha256_check import has_checksum


@frozen(kw_only=True)
class Verified:
    """
    The result of `verify`.

    Attributes:
        unchanged: Files that have the recorded bytes.
        changed: Files that have other bytes, or that cannot be read.
        missing: Files that do not exist.
        elsewhere: Files that do not exist here and that other hosts saved, keyed by the host's
            name. Only `Batch.verify` fills it.
    """

    unchanged: tuple[SavedFile, ...]
    changed: tuple[SavedFile, ...]
    missing: tuple[SavedFile, ...]
    elsewhere: Mapping[str, tuple[SavedFile, ...]] = field(factory=dict, hash=False)


async def verify(folder: str | Path | None, files: Iterable[SavedFile]) -> Verified:
    """
    Compare saved files with their records. The files may be in another folder by now.

    Args:
        folder: The folder that holds the files now. With None, each file is at its recorded path.
        files: The records. With a folder, only the file name of each recorded path is used.
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
    """Whether the file at a path has the recorded bytes. False if the file cannot be read."""
    try:
        return await run_in_thread(has_checksum, path, file.size, file.sha256)
    except (OSError, ValueError):
        # The file cannot be read. A ValueError means that its path contains a NUL character.
        return False
