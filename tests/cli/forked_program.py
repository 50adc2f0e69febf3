"""
Runs the command line in processes forked from one that has imported it, which saves the imports.

A child has arguments, environment, folder and pipes of its own, as a new process has. What happens
while Python and the package start is not seen here.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# On other systems, libraries that are already loaded may not survive a fork.
IS_SUPPORTED = sys.platform == "linux"


class ForkedProgram:
    """The process that forks, as its parent sees it."""

    def __enter__(self) -> "ForkedProgram":
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = Path(__file__).with_name("forking_process.py")
            command = [sys.executable, "-P", str(program), str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        return self

    def __exit__(self, *_exc: object) -> None:
        self._control.close()
        self._process.wait()

    def run(
        self,
        arguments: list[str],
        *,
        environment: dict[str, str],
        folder: Path,
        given: str,
        timeout: float,
    ) -> "subprocess.CompletedProcess[str]":
        """Do what `subprocess.run` does with pipes."""
        stdin, to_stdin = os.pipe()
        (from_stdout, stdout), (from_stderr, stderr), (report, exited) = (
            os.pipe() for _ in range(3)
        )
        request = {"arguments": arguments, "environment": environment, "folder": str(folder)}
        theirs = [stdin, stdout, stderr, exited]
        socket.send_fds(self._control, [json.dumps(request).encode()], theirs)
        for each in theirs:
            os.close(each)
        with ThreadPoolExecutor(3) as pool, os.fdopen(report) as reports:
            pool.submit(_write, to_stdin, given)
            texts = [pool.submit(_read, each) for each in (from_stdout, from_stderr)]
            pid = int(reports.readline())
            if not select.select([reports], [], [], timeout)[0]:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, timeout)
            code = int(reports.readline())
        return subprocess.CompletedProcess(arguments, code, *(each.result() for each in texts))


def _write(descriptor: int, text: str) -> None:
    # A program may end before it has read its input.
    with contextlib.suppress(BrokenPipeError), open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _read(descriptor: int) -> str:
    with open(descriptor, encoding="utf-8") as stream:
        return stream.read()
