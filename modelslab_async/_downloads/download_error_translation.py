"""Turns the exceptions of a download into a `DownloadError`."""

import asyncio
import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .._aio.yield_and_wakeup import is_cancelled
from .._models.download_errors import DownloadError, FileNotWritten

_FREE_SPACE_ADVICE = "make room or choose another folder"
_PERMISSION_ADVICE = "choose a folder that this program may write to"
_OPEN_FILES_ADVICE = "raise the limit of open files (`ulimit -n`), or lower `concurrency`"
_OPEN_FILES_ERRNOS = (errno.EMFILE, errno.ENFILE)
_ADVICE_BY_ERRNO = {
    errno.ENOSPC: _FREE_SPACE_ADVICE,
    errno.EDQUOT: _FREE_SPACE_ADVICE,
    errno.EFBIG: _FREE_SPACE_ADVICE,
    errno.EACCES: _PERMISSION_ADVICE,
    errno.EPERM: _PERMISSION_ADVICE,
    errno.EROFS: _PERMISSION_ADVICE,
    **dict.fromkeys(_OPEN_FILES_ERRNOS, _OPEN_FILES_ADVICE),
}


@contextmanager
def as_download_error() -> Generator[None, None, None]:
    """
    Turn an exception of the `with` block into a `DownloadError`, so that only one output fails.

    A cancellation of this task and a `KeyboardInterrupt` are raised unchanged. The message omits
    the text of an unexpected exception, because the text may quote a signed link.

    Raises:
        DownloadError: The `with` block raised an exception.
    """
    try:
        yield
    except DownloadError:
        raise
    except OSError as fault:
        raise write_error(fault) from fault
    except asyncio.CancelledError as fault:
        if is_cancelled():
            raise
        # This task was not cancelled. The user's transport or client raised the CancelledError.
        raise _unexpected(fault) from fault
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as fault:
        raise _unexpected(fault) from fault


def write_error(fault: OSError, *, url: str = "") -> FileNotWritten:
    """Turn an error of the file system into a `FileNotWritten`, with advice for the user."""
    advice = _ADVICE_BY_ERRNO.get(fault.errno or 0, "choose another folder")
    return FileNotWritten(
        f"the file cannot be written: {fault.strerror or fault}; {advice}, then save again",
        url=url,
    )


def unreadable_file_error(path: Path, fault: OSError) -> FileNotWritten:
    """Return the error for an output whose final name belongs to a file that cannot be read."""
    advice = "let this program read it, or move it away"
    if fault.errno in _OPEN_FILES_ERRNOS:
        advice = _OPEN_FILES_ADVICE
    return FileNotWritten(
        f"{path} is there already and cannot be read: {fault.strerror or fault}; {advice}, then "
        "save again"
    )


def with_open_files_advice(message: str, fault: BaseException) -> str:
    """Add advice to the message of a network error, if too many files and sockets are open."""
    is_at_limit = isinstance(fault, OSError) and fault.errno in _OPEN_FILES_ERRNOS
    return f"{message}; {_OPEN_FILES_ADVICE}" if is_at_limit else message


def _unexpected(fault: BaseException) -> DownloadError:
    return DownloadError(
        f"the download stopped with an unexpected {type(fault).__name__}; see its __cause__"
    )
