"""
Runs a client for hours of virtual time, over real sockets and with many faults.

    python tests/faults/soak.py
    python tests/faults/soak.py --hours 10

It prints, as JSON, the open files and the memory of the process at the start and after each hour,
when the client is idle. It needs a process of its own, so that nothing else uses memory.
"""

import argparse
import asyncio
import gc
import json
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from mmap import PAGESIZE
from pathlib import Path
from typing import Any

# A script finds only modules in its own folder by default.
sys.path.append(str(Path(__file__).parents[1]))

from virtual_time import JumpingLoop

from modelslab_async import Client, Pace, Request, Response, Ticket
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, run_faulty_server

KEY = "a-soaked-key-1234"
TICKET_INTERVAL_S = 60.0
TICKETS_PER_HOUR = int(3600 / TICKET_INTERVAL_S)
FREQUENT_FAULTS = (
    *("html", "close_after", "reset_after", "close_in_body"),
    *("extra_reply", "late_extra_reply", "close_idle", "reset_idle"),
)
FAULTS = {*FREQUENT_FAULTS, "hang"}
# A poll that hangs is rare, but a short run must have some too.
_HANGING_SHARE_TIMES_HOURS = 0.048

_OPEN_FILES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")


def open_file_count() -> int:
    """Return how many files and sockets this process has open, or 0 if that is unknown."""
    return len(list(_OPEN_FILES.iterdir())) if _OPEN_FILES.is_dir() else 0


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes, or 0 if that is unknown."""
    return int(_MEMORY.read_text().split()[1]) * PAGESIZE if _MEMORY.exists() else 0


class CountingTransport:
    """The client's own transport, which counts the requests in flight."""

    def __init__(self) -> None:
        self.inner = HTTP11Transport(connections=8)
        self.in_flight = 0

    async def exchange(self, request: Request, /) -> Response:
        self.in_flight += 1
        try:
            return await self.inner.exchange(request)
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        await self.inner.aclose()


class Soak:
    """Adds a ticket every minute, and measures the process after each hour."""

    def __init__(self, hours: int) -> None:
        self.hours = hours
        self.loop = asyncio.get_running_loop()
        self.emulator = Emulator(
            jobs=Jobs(duration=(1.0, 120.0), failure_rate=0.1), clock=self.loop.time
        )
        self.traffic = Traffic(requests=deque(maxlen=1))  # type: ignore[arg-type]
        self.outcomes: Counter[str] = Counter()
        self.files_at_start = 0
        self.measurements: list[dict[str, int]] = []

    async def run(self) -> None:
        http = CountingTransport()
        assert isinstance(self.loop, JumpingLoop)
        self.loop.expects = lambda: http.in_flight > 0
        # Resolve addresses in this thread: another thread has its own memory, and no virtual time.
        self.loop.getaddrinfo = _resolve  # type: ignore[method-assign]
        hanging_share = _HANGING_SHARE_TIMES_HOURS / self.hours
        shares = {**dict.fromkeys(FREQUENT_FAULTS, 0.015), "hang": hanging_share}
        faults = Faults(shares=shares, seed=1)
        async with run_faulty_server(self.emulator, faults, traffic=self.traffic) as base_url:
            self.files_at_start = open_file_count()
            async with Client(
                KEY, base_url=base_url, http=http, pace=Pace(growth_cap=5.0)
            ) as client:
                async for outcome in client.stream(self.tickets(), timeout=100.0, window=50):
                    self.outcomes[type(outcome).__name__] += 1

    async def tickets(self) -> AsyncIterator[Ticket]:
        for number in range(self.hours * TICKETS_PER_HOUR):
            # Ids repeat, so that the emulator needs no more memory at the end either.
            yield self.emulator.add_job(("images", number % 60))
            await asyncio.sleep(TICKET_INTERVAL_S)
            if (number + 1) % TICKETS_PER_HOUR == 0:
                # All tickets end, and idle connections become too old to use.
                await asyncio.sleep(300.0)
                await self.wait_for_closed_connections()
                self.measure()

    async def wait_for_closed_connections(self) -> None:
        """Wait in real time until the server has closed its ends of the connections."""
        for _ in range(400):
            if open_file_count() <= self.files_at_start:
                break
            time.sleep(0.005)  # noqa: ASYNC251 -- virtual time must not pass.
            await asyncio.sleep(0)

    def measure(self) -> None:
        gc.collect()
        measurement = {
            "files": open_file_count(),
            "objects": sys.getallocatedblocks(),
            "resident": resident_bytes(),
        }
        self.measurements.append(measurement)


async def _resolve(host: str, port: int, **how: Any) -> list[Any]:
    return socket.getaddrinfo(host, port, **how)


async def run_hours(hours: int) -> dict[str, Any]:
    """Run some hours, and return their record."""
    soak = Soak(hours)
    await soak.run()
    return {
        "files_at_start": soak.files_at_start,
        "hours": soak.measurements,
        "outcomes": soak.outcomes,
        "faults": soak.traffic.injected,
        "connection_count": soak.traffic.connection_count,
    }


def main() -> None:
    """Run some hours, and print their record."""
    parser = argparse.ArgumentParser(description="Run a client for hours of virtual time.")
    parser.add_argument("--hours", type=int, default=24)
    hours = parser.parse_args().hours
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        print(json.dumps(runner.run(run_hours(hours))))  # noqa: T201


if __name__ == "__main__":
    main()
