"""Opens standard input as bytes or as UTF-8 text, even if it is a non-blocking pipe."""

import errno
import io
import sys
from select import select
from typing import Any, Final, TextIO

import click

from .._tables.table_reader import ENCODING, ENCODING_ERRORS

STDIN: Final = "-"
_STDIN_NAME: Final = "standard input"


class _WaitingInput(io.RawIOBase):
    """
    Standard input as bytes. A read waits for bytes, even if the pipe is non-blocking.

    Another program that shares the pipe may have made it non-blocking. This class does not make it
    blocking again, because the change would affect that program.
    """

    def __init__(self) -> None:
        # Python sets `sys.stdin` to None if descriptor 0 is closed. Another file may now have this
        # descriptor, so do not read from it.
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        self._file = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while (count := self._file.readinto(buffer)) is None:
            select([self._file], [], [])
        return count


def open_bytes() -> io.RawIOBase:
    """
    Open standard input as bytes, without a buffer.

    Raises:
        OSError: Standard input is closed or cannot be opened.
    """
    return _WaitingInput()


def open_text(errors: str = ENCODING_ERRORS) -> TextIO:
    """
    Open standard input as UTF-8 text, in every locale.

    Args:
        errors: What to do with bytes that are not UTF-8, as for `open`.

    Raises:
        OSError: Standard input is closed or cannot be opened.
    """
    return io.TextIOWrapper(io.BufferedReader(_WaitingInput()), encoding=ENCODING, errors=errors)


def source_name(source: str) -> str:
    """Return the name of an input for messages: its path, or "standard input"."""
    return _STDIN_NAME if source == STDIN else source


def unreadable_source(source: str, error: OSError, wanted: str) -> click.UsageError:
    """
    Return the error for an input that cannot be read.

    Args:
        source: The path of the file, or `-` for standard input.
        error: Why it cannot be read.
        wanted: What the user can give instead, such as `a file of ids`.
    """
    advice = wanted if source == STDIN else f"{wanted}, or `-`"
    return click.UsageError(
        f"{source_name(source)} cannot be read: {error.strerror or error}; give {advice}"
    )
