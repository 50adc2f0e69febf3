"""Compares saved files with their records."""

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import field, frozen

from .._aio.threads import run_in_thread
from .._models.saved_file import SavedFile
from .file_sha256_check import has_checksum

# ENAMETOOLONG: no file on this system can have such a long name.
_NOT_FOUND_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


@frozen(kw_only=True)
class Verified:
    """
    The result of `verify`.

    Attributes:
        unchanged: Files that have the recorded bytes.
        changed: Files that have other bytes, or that cannot be read.
        missing: Files that do not exist.
        elsewhere: Files that this host does not find, keyed by the name of the host that saved
            them. Only `Batch.verify` fills it.
        unreadable: Why some of the files in `changed` cannot be read, such as `Permission denied`,
            keyed by the file.
    """

    unchanged: tuple[SavedFile, ...]
    changed: tuple[SavedFile, ...]
    missing: tuple[SavedFile, ...]
    elsewhere: Mapping[str, tuple[SavedFile, ...]] = field(factory=dict, hash=False)
    unreadable: Mapping[SavedFile, str] = field(factory=dict, hash=False)


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
    unreadable: dict[SavedFile, str] = {}
    for file in files:
        path = path_in(folder, file)
        is_same, problem = await _compare(file, path)
        if is_same:
            unchanged.append(file)
        elif await run_in_thread(is_missing, path):
            missing.append(file)
        else:
            changed.append(file)
            if problem:
                unreadable[file] = problem
    return Verified(
        unchanged=tuple(unchanged),
        changed=tuple(changed),
        missing=tuple(missing),
        unreadable=unreadable,
    )


def path_in(folder: str | Path | None, file: SavedFile) -> Path:
    """Return the path of a recorded file that may be in another folder by now. See `verify`."""
    return file.path if folder is None else Path(folder) / file.path.name


def is_missing(path: Path) -> bool:
    """
    Whether a file is certainly missing. False if its folder cannot be searched.

    Blocking I/O.
    """
    try:
        path.stat()
    except (OSError, ValueError) as error:
        # A ValueError means that the path contains a NUL character.
        return not isinstance(error, OSError) or error.errno in _NOT_FOUND_ERRNOS
    return False


async def is_unchanged(file: SavedFile, path: Path) -> bool:
    """Whether the file at a path has the recorded bytes. False if the file cannot be read."""
    is_same, _ = await _compare(file, path)
    return is_same


async def _compare(file: SavedFile, path: Path) -> tuple[bool, str]:
    """
    Return whether the file at a path has the recorded bytes, and why it cannot be read.

    The reason is "" if the file can be read.
    """
    try:
        return await run_in_thread(has_checksum, path, file.size, file.sha256), ""
    except OSError as error:
        return False, error.strerror or str(error)
    except ValueError as error:
        # The path contains a NUL character.
        return False, str(error)
