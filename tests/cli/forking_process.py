"""
The process that imports the command line, and forks a child for each run of it.

It runs no command itself, and starts no thread, which a fork would lose.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, Literal, TextIO

from modelslab_async._cli import app, main

_MAX_REQUEST_BYTES = 1 << 20


class _Children:
    """The children that run, by a descriptor that can be read once the child has ended."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[int, int]] = {}

    def add(self, pid: int, report: int) -> None:
        _tell(report, pid)
        self.running[os.pidfd_open(pid)] = pid, report

    def report(self, descriptor: int) -> None:
        """Report the exit code of a child that has ended."""
        pid, report = self.running.pop(descriptor)
        _tell(report, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        os.close(report)
        os.close(descriptor)

    def close(self) -> None:
        """Close what belongs to other children."""
        for descriptor, (_, report) in self.running.items():
            os.close(descriptor)
            os.close(report)


def _tell(report: int, number: int) -> None:
    # A test that has timed out does not read any more.
    with contextlib.suppress(BrokenPipeError):
        os.write(report, b"%d\n" % number)


def _fork_on_request(control: socket.socket) -> Any:
    """Return the request in each child, and None in this process once the tests have ended."""
    children = _Children()
    while True:
        for ready in select.select([control.fileno(), *children.running], [], [])[0]:
            if ready in children.running:
                children.report(ready)
                continue
            message, descriptors, *_ = socket.recv_fds(control, _MAX_REQUEST_BYTES, 4)
            if not message:
                return None
            *streams, report = descriptors
            if pid := os.fork():
                children.add(pid, report)
            else:
                children.close()
                os.close(report)
                for standard, each in enumerate(streams):
                    os.dup2(each, standard)
            for each in streams:
                os.close(each)
            if not pid:
                return json.loads(message)


def _prepare(request: Any) -> None:
    """Make this child what a new process is once Python has started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]
    sys.stdin = _open_stream(0, "r", "strict")
    sys.stdout = _open_stream(1, "w", "strict")
    sys.stderr = _open_stream(2, "w", "backslashreplace")


def _open_stream(descriptor: int, mode: Literal["r", "w"], errors: str) -> TextIO:
    encoding = os.environ["PYTHONIOENCODING"]
    buffering = 1 if descriptor == 2 else -1
    return open(descriptor, mode, buffering, encoding=encoding, errors=errors, closefd=False)


def _run() -> int:
    # A Ctrl-C in the terminal of the tests is for the children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for each in (*app._COMMANDS.values(), *app._BATCH_COMMANDS.values()):
        each.load()
    # Commands import these when they need them: each child would spend half of its time on that.
    for name in ("anyio._backends._asyncio", "cattrs.strategies", "uvloop"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # The children copy no memory because of a garbage collection.
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        request = _fork_on_request(control)
    if request is None:
        return 0
    _prepare(request)
    return main()


if __name__ == "__main__":
    sys.exit(_run())
