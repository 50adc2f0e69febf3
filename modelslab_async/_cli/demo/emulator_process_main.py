"""
The program that serves the demo's emulator, in a process of its own.

The two processes exchange lines over two pipes:

    demo reads    the base URL, then a JSON list for each job: ticket, duration, whether it fails
    demo writes   go
    demo reads    the time when all jobs began, by the monotonic clock that both processes share

The program ends when its standard input ends.

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
    """A clock that stays at zero until the jobs begin, and then counts seconds."""

    began: float | None = None

    def __call__(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began


@define(eq=False)
class ParentMessages:
    """
    Reads the messages of the demo, and sets an event for each.

    Attributes:
        start_received: Set when the demo has written `go`, or when standard input has ended.
        parent_exited: Set when standard input has ended, which means that the demo is over.
    """

    start_received: asyncio.Event = field(factory=asyncio.Event)
    parent_exited: asyncio.Event = field(factory=asyncio.Event)

    def read_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read standard input to its end. Runs in a thread of its own."""
        line = sys.stdin.readline()
        if line:
            _call_in_loop(loop, self.start_received.set)
            sys.stdin.read()
        _call_in_loop(loop, self.start_received.set, self.parent_exited.set)
        # The event loop now ends this process. If the event loop takes too long, this thread ends
        # the process.
        time.sleep(_SHUTDOWN_TIMEOUT_S)
        os._exit(1)


def _call_in_loop(loop: asyncio.AbstractEventLoop, *calls: Callable[[], None]) -> None:
    for call in calls:
        loop.call_soon_threadsafe(call)


def process_command(plan: DemoPlan) -> list[str]:
    """Return the command line that starts this program with a plan of jobs."""
    return [sys.executable, "-m", __name__, json.dumps(asdict(plan))]


async def _serve(plan: DemoPlan) -> None:
    messages = ParentMessages()
    loop = asyncio.get_running_loop()
    threading.Thread(target=messages.read_stdin, args=(loop,), daemon=True).start()
    clock = JobClock()
    # Each reply to a submit already contains the result, so the demo's two pictures take no time.
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
        run_async(_serve, DemoPlan(**json.loads(sys.argv[1])))
    except BrokenPipeError:
        # The demo process, which reads this process's standard output, has ended. Python flushes
        # standard output at exit, and that would fail too. So redirect it to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
