"""Demo service: how the demo starts its service's process, talks to it and ends it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import click

from ..exit_codes import INTERNAL_ERROR
from .planned_jobs import DemoPlan, PlannedJob
from .server_process import process_command

_SHUTDOWN_TIMEOUT_S = 5.0


class ProcessDied(click.ClickException):
    """The process is gone."""

    exit_code = INTERNAL_ERROR


def _process_group_options() -> dict[str, Any]:
    # Ctrl-C reaches every process of a group; the service is to outlive the client's goodbye.
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


class EmulatorProcess:
    """
    The emulator in a process of its own. It ends with the block, and with this process.

    Attributes:
        base_url: Where it answers.
        jobs: What it planted.
    """

    def __init__(self, plan: DemoPlan) -> None:
        # Loopback only, with a key that is no secret: it gets none of ours.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MODELSLAB_")
        }
        self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 -- this very interpreter, no shell.
            process_command(plan),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **_process_group_options(),
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both pipes were asked for")
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
        """Start every job, and give the moment, by `time.monotonic`."""
        # The pipe of a process that has died is broken; reading says so in plain words.
        with suppress(BrokenPipeError):
            self._stdin.write("go\n")
            self._stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """End the process."""
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
            raise ProcessDied("the emulator's process ended by itself")
        return line.strip()
