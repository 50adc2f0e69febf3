"""Replaces `sys.stdout` with a stream that raises errors whose messages mention standard output."""

import io
import sys
from select import select
from typing import Any

import click

from .exit_codes_and_advice import USAGE


class UnwritableOutput(click.ClickException):
    """Writing to standard output failed, for example because the disk is full."""

    exit_code = USAGE


class _WaitingOutput(io.RawIOBase):
    """
    Standard output as bytes. A write waits for space, even if the pipe is non-blocking.

    After a write has failed, all later bytes are discarded. Otherwise, Python's flush at the end of
    the program would fail again.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "wb", buffering=0, closefd=False)  # noqa: SIM115
        self._is_lost = False

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        if self._is_lost:
            return memoryview(content).nbytes
        try:
            while (count := self._file.write(content)) is None:
                select([], [self._file], [])
        except OSError as error:
            self._is_lost = True
            if isinstance(error, BrokenPipeError):
                raise
            reason = error.strerror or error
            raise UnwritableOutput(f"standard output cannot be written: {reason}") from None
        return count


def replace_standard_output() -> None:
    """
    Replace `sys.stdout` with a stream that raises `UnwritableOutput`.

    If a test has set a stream of another type, keep it.
    """
    stream = sys.stdout
    if type(stream) is io.TextIOWrapper:
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_WaitingOutput(stream.fileno())),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
        )
