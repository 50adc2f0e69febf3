"""
The demo's service: the emulator in a process of its own. It ends when its standard input does.

What is said over the two pipes, a line each:

    demo reads    the base URL, then one JSON list a planted job: ticket, duration, whether it fails
    demo writes   go
    demo reads    when all jobs began, by the clock that both processes share

The emulator's time stands still until `go`, so no job has run before the client could look.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable

from attrs import asdict, astuple, define, field

from ...emulator import Emulator, running
from ..event_loop import run_async
from .planned_jobs import Order, draw

_LONGEST_GOODBYE = 5.0


@define
class Clock:
    """Seconds since the jobs began; zero before that."""

    began: float | None = None

    def __call__(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began


@define(eq=False)
class Signals:
    """What the demo said."""

    go: asyncio.Event = field(factory=asyncio.Event)
    gone: asyncio.Event = field(factory=asyncio.Event)

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read standard input to its end, in a thread of its own."""
        line = sys.stdin.readline()
        if line:
            _tell(loop, self.go.set)
            sys.stdin.read()
        _tell(loop, self.go.set, self.gone.set)
        # A demo that was killed cannot do it for us: whatever hangs here, end.
        time.sleep(_LONGEST_GOODBYE)
        os._exit(1)


def _tell(loop: asyncio.AbstractEventLoop, *calls: Callable[[], None]) -> None:
    for call in calls:
        loop.call_soon_threadsafe(call)


def command(order: Order) -> list[str]:
    """The command line of this process."""
    return [sys.executable, "-m", __name__, json.dumps(asdict(order))]


async def _serve(order: Order) -> None:
    signals = Signals()
    loop = asyncio.get_running_loop()
    threading.Thread(target=signals.listen, args=(loop,), daemon=True).start()
    clock = Clock()
    emulator = Emulator(clock=clock)
    jobs = list(draw(order))
    for job in jobs:
        emulator.plant(job.ticket, duration=job.duration, fails=job.fails)
    async with running(emulator) as base_url:
        _write(base_url, *(json.dumps(astuple(job)) for job in jobs))
        await signals.go.wait()
        clock.began = time.monotonic()
        _write(repr(clock.began))
        await signals.gone.wait()


def _write(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    """Serve the order that is the one argument."""
    try:
        run_async(_serve(Order(**json.loads(sys.argv[1]))))
    except BrokenPipeError:
        # The demo has gone before it had read everything.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
