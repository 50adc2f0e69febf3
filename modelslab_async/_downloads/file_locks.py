"""Locks files, so that only one process writes a file at a time. A lock ends with its process."""

import errno
import os
import stat
import sys
from io import FileIO
from pathlib import Path

# The offset of the byte that is locked on Windows. It is beyond the end of any file, because other
# processes cannot read a locked byte.
_LOCK_OFFSET = 1 << 60
# Another program may have put a symbolic link or a FIFO at the path. With these flags, opening the
# link fails, and opening the FIFO does not wait.
_OPEN_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

if sys.platform == "win32":  # pragma: no cover -- Windows has locks of another kind.
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file. Return False if another descriptor holds the lock."""
        position = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, position, os.SEEK_SET)
        return True

else:
    import fcntl

    def try_lock(descriptor: int) -> bool:
        """Lock an open file. Return False if another descriptor holds the lock."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some network file systems have no locks. There, the user must not run two processes at
            # once.
            return True
        return True


def open_regular(path: Path, *, create: bool = True) -> FileIO:
    """
    Open a regular file for reading and writing, without a buffer.

    Without a buffer, the caller knows how many bytes were written before the disk was full.

    Raises:
        OSError: The file cannot be opened, or is a link, a FIFO, a device or a folder.
    """
    file = FileIO(os.open(path, _OPEN_FLAGS | (os.O_CREAT if create else 0), 0o666), "r+b")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def open_locked(path: Path) -> FileIO | None:
    """
    Create or open a regular file and lock it. Return None if another process holds the lock.

    Raises:
        OSError: The file cannot be opened, or is not a regular file.
    """
    while True:
        file = open_regular(path)
        if not try_lock(file.fileno()):
            file.close()
            return None
        if _is_same_file(path, os.fstat(file.fileno())):
            return file
        # Another process moved or removed the file before this process locked it, so open the path
        # again.
        file.close()


def _is_same_file(path: Path, state: os.stat_result) -> bool:
    try:
        current = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(current, state)
