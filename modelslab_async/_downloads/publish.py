"""Gives a complete file its final name. It replaces no file that has content. Blocking I/O."""

import os
import stat
import time
from pathlib import Path

from .._aio.durable_files import IS_WINDOWS
from .download_error_translation import unreadable_file_error
from .file_locks import open_locked
from .file_sha256_check import has_checksum

_LOCK_RETRY_S = 0.001
# The longest time to wait for a lock. A process of this package usually holds the lock only while
# it moves a file. A suspended process or another program may hold it much longer.
_MAX_LOCK_WAIT_S = 5.0


def link_or_move(part: Path, path: Path) -> bool:
    """
    Give a part its final path by a hard link. Move the part if a hard link is not possible.

    Return False if the final path exists already, or if another process keeps it locked.
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


def is_published(path: Path, size: int, sha256: str) -> bool:
    """
    Whether the file that has a final path already has this size and SHA-256.

    Raises:
        FileNotWritten: The file cannot be read, so it is unknown whether it is the same file.
    """
    try:
        return not path.is_symlink() and has_checksum(path, size, sha256)
    except OSError as fault:
        raise unreadable_file_error(path, fault) from fault


def _reserve_and_move(part: Path, path: Path) -> bool:
    """
    Move a part to a path where no file exists. A locked, empty file reserves the path first.

    Other processes wait for the lock, and then compare the moved file with their own part. If this
    process is killed before the move, the empty file stays, and another process may replace it. No
    complete file is empty, so no file is lost.
    """
    give_up_at = time.monotonic() + _MAX_LOCK_WAIT_S
    while not _is_taken(path):
        reservation = open_locked(path)
        if reservation is None:
            if time.monotonic() >= give_up_at:
                return False
            # This wait runs in a thread, so a cancellation of the task does not end it.
            time.sleep(_LOCK_RETRY_S)
            continue
        with reservation:
            if reservation.seek(0, os.SEEK_END):
                return False
            try:
                part.replace(path)
            except OSError:
                path.unlink()
                raise
        return True
    return False


def _is_taken(path: Path) -> bool:
    """Whether something exists at a path. An empty regular file does not count."""
    try:
        state = path.lstat()
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(state.st_mode) or state.st_size > 0
