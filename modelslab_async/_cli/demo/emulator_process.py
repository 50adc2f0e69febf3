"""Starts and ends the process of the demo's emulator, and reads its output."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import click

from ..exit_codes_and_advice import INTERNAL_ERROR
from .emulator_process_main import process_command
from .planned_jobs import DemoPlan, PlannedJob

_SHUTDOWN_TIMEOUT_S = 5.0
_WATCH_INTERVAL_S = 0.5


class ProcessDied(click.ClickException):
    """The emulator's process ended before the demo stopped it."""

    exit_code = INTERNAL_ERROR

    def __init__(self) -> None:
        super().__init__("the emulator's process has ended by itself")


def _process_group_options() -> dict[str, Any]:
    # A terminal sends Ctrl-C to the demo's process group. The emulator must still run while the
    # client closes, so the emulator gets its own process group.
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


@contextmanager
def _sigterm_blocked() -> Generator[None, None, None]:
    # A service manager sends SIGTERM to the emulator's process too. But the emulator must still
    # run while the client closes. So this process blocks SIGTERM while it starts the emulator: a
    # new process inherits the blocked signals.
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class EmulatorProcess:
    """
    Runs the emulator in another process.

    The emulator's process ends when the `with` block ends, or when the demo's process ends.

    Attributes:
        base_url: The emulator's base URL.
        jobs: The jobs that the emulator serves.
    """

    def __init__(self, plan: DemoPlan) -> None:
        # The emulator needs no API key, so it gets none of this library's environment variables.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MODELSLAB_")
        }
        with _sigterm_blocked():
            self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 -- this very interpreter, no shell.
                process_command(plan),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                **_process_group_options(),
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("Popen has made no pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._count = plan.count
        self.base_url = ""
        self.jobs: list[PlannedJob] = []

    def __enter__(self) -> Self:
        try:
            self.base_url = self._read()
            self.jobs = [PlannedJob(*json.loads(self._read())) for _ in range(self._count)]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start_jobs(self) -> float:
        """Start all jobs. Return the start time on the clock of `time.monotonic`."""
        # If the emulator's process has died, writing fails with a broken pipe. The error is ignored
        # here, because `_read` then reports that the process has died.
        with suppress(BrokenPipeError):
            self._stdin.write("go\n")
            self._stdin.flush()
        return float(self._read())

    async def watch(self) -> None:
        """
        Raise `ProcessDied` when the emulator's process ends.

        Without this check, the client would go on polling an emulator that no longer runs.
        """
        while self._process.poll() is None:  # noqa: ASYNC110 -- a process sets no event.
            await asyncio.sleep(_WATCH_INTERVAL_S)
        raise ProcessDied

    def close(self) -> None:
        """End the emulator's process."""
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(_SHUTDOWN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        except BaseException:
            self._process.kill()
            raise
        finally:
            self._stdout.close()

    def _read(self) -> str:
        line = self._stdout.readline()
        if not line:
            raise ProcessDied
        return line.strip()
