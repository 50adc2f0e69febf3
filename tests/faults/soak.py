"""
A day in the life of a client, in virtual time and over real sockets on which much goes wrong.

    python tests/faults/soak.py

It prints, as JSON, what the process holds when nothing has gone on for a while: at the beginning,
and at the end of each hour. A process of its own, so that nothing else is in its memory.
"""

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

# What lies in the folder above a script is not found by itself.
sys.path.append(str(Path(__file__).parents[1]))

from virtual_time import JumpingLoop

from modelslab_async import Client, Pace, Request, Response, Ticket
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, run_faulty_server

KEY = "a-soaked-key-1234"
HOURS = 24
EVERY = 60.0
TICKETS = int(HOURS * 3600 / EVERY)
_HOUR = TICKETS // HOURS
OFTEN = (
    *("html", "close_after", "reset_after", "close_in_body"),
    *("extra_reply", "late_extra_reply", "close_idle", "reset_idle"),
)
SHARES = {**dict.fromkeys(OFTEN, 0.015), "hang": 0.002}

_OPEN_FILES = Path("/proc/self/fd")
_MEMORY = Path("/proc/self/statm")


def files() -> int:
    """How many files and sockets this process has open; 0 where that cannot be told."""
    return len(list(_OPEN_FILES.iterdir())) if _OPEN_FILES.is_dir() else 0


def resident() -> int:
    """How many bytes of this process are in memory; 0 where that cannot be told."""
    return int(_MEMORY.read_text().split()[1]) * PAGESIZE if _MEMORY.exists() else 0


class Sockets:
    """The client's own connections; it knows whether a reply is on its way."""

    def __init__(self) -> None:
        self.own = HTTP11Transport(connections=8)
        self.flying = 0

    async def exchange(self, request: Request, /) -> Response:
        self.flying += 1
        try:
            return await self.own.exchange(request)
        finally:
            self.flying -= 1

    async def aclose(self) -> None:
        await self.own.aclose()


class Day:
    """A ticket every minute, and a rest after each hour."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.emulator = Emulator(
            jobs=Jobs(duration=(1.0, 120.0), failure_rate=0.1), clock=self.loop.time
        )
        self.traffic = Traffic(requests=deque(maxlen=1))  # type: ignore[arg-type]
        self.kinds: Counter[str] = Counter()
        self.before = 0
        self.marks: list[dict[str, int]] = []

    async def live(self) -> None:
        http = Sockets()
        assert isinstance(self.loop, JumpingLoop)
        self.loop.expects = lambda: http.flying > 0
        # In no thread, which would have a time and a memory of its own; here is no name to look up.
        self.loop.getaddrinfo = _looked_up  # type: ignore[method-assign]
        faults = Faults(shares=SHARES, seed=1)
        async with run_faulty_server(self.emulator, faults, traffic=self.traffic) as base_url:
            self.before = files()
            async with Client(
                KEY, base_url=base_url, http=http, pace=Pace(growth_cap=5.0)
            ) as client:
                async for outcome in client.stream(self.tickets(), timeout=100.0, window=50):
                    self.kinds[type(outcome).__name__] += 1

    async def tickets(self) -> AsyncIterator[Ticket]:
        for number in range(TICKETS):
            # Ids come again, so that the emulator too holds no more at the end.
            yield self.emulator.add_job(("images", number % 60))
            await asyncio.sleep(EVERY)
            if (number + 1) % _HOUR == 0:
                # All that is open ends, and kept connections grow too old.
                await asyncio.sleep(300.0)
                await self.rest()
                self.mark()

    async def rest(self) -> None:
        """Let the other ends of connections close, which takes a moment of no virtual time."""
        for _ in range(400):
            if files() <= self.before:
                break
            time.sleep(0.005)  # noqa: ASYNC251 -- nothing else is to go on meanwhile.
            await asyncio.sleep(0)

    def mark(self) -> None:
        gc.collect()
        held = {"files": files(), "objects": sys.getallocatedblocks(), "resident": resident()}
        self.marks.append(held)


async def _looked_up(host: str, port: int, **how: Any) -> list[Any]:
    return socket.getaddrinfo(host, port, **how)


async def lived() -> dict[str, Any]:
    """One day, and what was seen of it."""
    day = Day()
    await day.live()
    return {
        "before": day.before,
        "hours": day.marks,
        "kinds": day.kinds,
        "faults": day.traffic.injected,
        "connections": day.traffic.connection_count,
    }


def main() -> None:
    """Live one day, and print what was seen of it."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        print(json.dumps(runner.run(lived())))  # noqa: T201


if __name__ == "__main__":
    main()
