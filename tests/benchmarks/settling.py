"""
Measures what a ticket costs above the transport: by `fetch`, `stream` or `gather`.

    python tests/benchmarks/settling.py stream --tickets 20000
    python tests/benchmarks/settling.py stream --instructions

A transport answers every poll from memory, in the next iteration of the event loop. The second
form counts instructions with callgrind: it is slow, and the same on a busy machine.
"""

import argparse
import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
import time

from fixed_server import BODY
from own_clients import over_fetch, over_gather, over_stream

from modelslab_async import Request, Response

_HEADERS = ((b"content-type", b"application/json"), (b"server", b"memory"))
_BODY = BODY.encode()
_URL = "https://modelslab.com/api"
_WORKERS = 64
_WARM_UP_TICKETS = 1000
# The difference of two runs is free of what Python's start costs.
_FEW, _MANY = 1000, 4000
_CLOCK_STEP_S = 5e-6


class SettlingTransport:
    """Says of every ticket that its job is done."""

    async def exchange(self, _: Request) -> Response:
        await asyncio.sleep(0)
        return Response(status_code=200, headers=_HEADERS, body=_BODY)


def from_memory(_connections: int) -> SettlingTransport:
    return SettlingTransport()


WAYS = {
    "fetch": over_fetch(from_memory),
    "stream": over_stream(from_memory),
    "gather": over_gather(from_memory),
}


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock advances by the call, so that valgrind does not slow it down."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        self._now += _CLOCK_STEP_S
        return self._now


async def bare_cost(tickets: int) -> float:
    """Return the microseconds that the transport itself takes for a ticket."""
    http, request = SettlingTransport(), Request(method="POST", url=_URL)

    async def work() -> None:
        for _ in range(tickets // _WORKERS):
            await http.exchange(request)

    used = time.process_time()
    await asyncio.gather(*(work() for _ in range(_WORKERS)))
    return (time.process_time() - used) / tickets * 1e6


async def settle(way: str, tickets: int) -> float:
    """Settle tickets, and return the microseconds of CPU of each one."""
    async with WAYS[way](_URL, _WORKERS) as run:
        await run(_WARM_UP_TICKETS)
        used = time.process_time()
        await run(tickets)
        return (time.process_time() - used) / tickets * 1e6


def measured(way: str, tickets: int) -> float:
    """Return the microseconds of CPU that a client takes for a ticket above the transport."""
    return asyncio.run(settle(way, tickets)) - asyncio.run(bare_cost(tickets))


def settle_steadily(way: str, tickets: int) -> None:
    """Settle tickets without what varies between two runs: clock and garbage collection."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        runner.run(settle(way, tickets))


def instructions(way: str) -> int | None:
    """Return the instructions of one ticket, transport and all; None without valgrind."""
    if shutil.which("valgrind") is None:
        return None
    # Python compiles the modules once, and not in one of the two runs.
    settle_steadily(way, 1)
    few, many = (_counted(way, tickets) for tickets in (_FEW, _MANY))
    return round((many - few) / (_MANY - _FEW))


def _counted(way: str, tickets: int) -> int:
    completed = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(sys.executable, __file__, way, "--tickets", str(tickets), "--steady"),
        ],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    [count] = re.findall(r"Collected : (\d+)", completed.stderr)
    return int(count)


def main() -> None:
    """Measure one way, and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--tickets", type=int, default=20_000)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--steady", action="store_true", help="settle them and print nothing")
    options = parser.parse_args()
    if options.steady:
        gc.disable()
        settle_steadily(options.way, options.tickets)
    elif options.instructions:
        print(instructions(options.way))
    else:
        print(f"{measured(options.way, options.tickets):.2f}")


if __name__ == "__main__":
    main()
