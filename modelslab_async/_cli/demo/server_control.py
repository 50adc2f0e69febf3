"""Demo service: how the demo starts its service's process, talks to it and ends it."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import click

from ..exit_codes import DEFECT
from .planned_jobs import Order, Planted
from .server_process import command

_LONGEST_GOODBYE = 5.0


class Died(click.ClickException):
    """The process is gone."""

    exit_code = DEFECT


def _apart() -> dict[str, Any]:
    # Ctrl-C reaches every process of a group; the service is to outlive the client's goodbye.
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}


class Service:
    """
    The emulator in a process of its own. It ends with the block, and with this process.

    Attributes:
        base_url: Where it answers.
        jobs: What it planted.
    """

    def __init__(self, order: Order) -> None:
        # Loopback only, with a key that is no secret: it gets none of ours.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MODELSLAB_")
        }
        self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 -- this very interpreter, no shell.
            command(order),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **_apart(),
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both pipes were asked for")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._count = order.count
        self.base_url = ""
        self.jobs: list[Planted] = []

    def __enter__(self) -> Self:
        try:
            self.base_url = self._read()
            self.jobs = [Planted(*json.loads(self._read())) for _ in range(self._count)]
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
            self._process.wait(_LONGEST_GOODBYE)
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
            raise Died("the emulator's process ended by itself")
        return line.strip()
