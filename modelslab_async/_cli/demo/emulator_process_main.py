"""
The program of the emulator's process. It ends when its standard input ends.

The demo and this process talk over two pipes, in lines:

    demo reads    the base URL, then a JSON list for each job: ticket, duration, whether it fails
    demo writes   go
    demo reads    the time when all jobs began, by the monotonic clock that both processes share

The emulator's clock stays at zero until `go`, so that no job runs before the client can poll it.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable

from attrs import asdict, astuple, define, field

from ...emulator import Emulator, Jobs, run_server
from ..event_loop import run_async
from .planned_jobs import DemoPlan, plan_jobs

_SHUTDOWN_TIMEOUT_S = 5.0


@define
class JobClock:
    """A clock that returns the seconds since the jobs began, and zero before that."""

    began: float | None = None

    def __call__(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began


@define(eq=False)
class ParentMessages:
    """
    Events that the messages of the demo set.

    Attributes:
        start_received: Set when the demo has written `go`, or when standard input has ended.
        parent_exited: Set when standard input has ended.
    """

    start_received: asyncio.Event = field(factory=asyncio.Event)
    parent_exited: asyncio.Event = field(factory=asyncio.Event)

    def read_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read standard input to its end, in a thread of its own."""
        line = sys.stdin.readline()
        if line:
            _call_in_loop(loop, self.start_received.set)
            sys.stdin.read()
        _call_in_loop(loop, self.start_received.set, self.parent_exited.set)
        # A demo that was killed cannot end this process. So this thread ends this process, even if
        # the event loop hangs.
        time.sleep(_SHUTDOWN_TIMEOUT_S)
        os._exit(1)


def _call_in_loop(loop: asyncio.AbstractEventLoop, *calls: Callable[[], None]) -> None:
    for call in calls:
        loop.call_soon_threadsafe(call)


def process_command(plan: DemoPlan) -> list[str]:
    """Return the command that starts this program."""
    return [sys.executable, "-m", __name__, json.dumps(asdict(plan))]


async def _serve(plan: DemoPlan) -> None:
    messages = ParentMessages()
    loop = asyncio.get_running_loop()
    threading.Thread(target=messages.read_stdin, args=(loop,), daemon=True).start()
    clock = JobClock()
    # Submits are answered with their results, so that the demo need not wait for its pictures.
    emulator = Emulator(clock=clock, jobs=Jobs(immediate=1.0))
    jobs = list(plan_jobs(plan))
    for job in jobs:
        emulator.add_job(job.ticket, duration=job.duration, fails=job.fails)
    async with run_server(emulator) as base_url:
        _write_lines(base_url, *(json.dumps(astuple(job)) for job in jobs))
        await messages.start_received.wait()
        clock.began = time.monotonic()
        _write_lines(repr(clock.began))
        await messages.parent_exited.wait()


def _write_lines(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    """Serve the jobs of a plan. The only command-line argument is the plan as JSON."""
    try:
        run_async(_serve(DemoPlan(**json.loads(sys.argv[1]))))
    except BrokenPipeError:
        # The demo has ended before it has read every line. Python flushes standard output at exit,
        # which would fail on the broken pipe. So redirect it to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
