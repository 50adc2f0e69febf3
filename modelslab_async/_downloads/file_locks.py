"""Locks: who writes a file now. A lock ends with its process, however that ends."""

import os
import sys

# Far behind the last byte of any file, since a locked byte cannot be read on Windows.
_LOCK_OFFSET = 1 << 60

if sys.platform == "win32":  # pragma: no cover -- the one with locks of its own.
    import msvcrt

    def try_lock(descriptor: int) -> bool:
        """Lock an open file for this descriptor alone, if nobody else has."""
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
        """Lock an open file for this descriptor alone, if nobody else has."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some network file systems have no locks: then a folder is for one program at a time.
            return True
        return True
