"""A day in the life of a client: what it holds at the end is what it held after some hours."""

import asyncio
import gc
import sys
import time
from collections import Counter, deque
from pathlib import Path

import pytest
from jumping import JumpingLoop

from modelslab_async import Client, Failed, Pace, Success, Unresolved
from modelslab_async._transport.own import OwnHTTP
from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, faulty

pytestmark = pytest.mark.alone

OPEN_FILES = Path("/proc/self/fd")
MEMORY = Path("/proc/self/statm")
PAGE = 4096
MEBIBYTE = 2**20
HOURS = 24
EVERY = 30.0
OFTEN = (
    "html",
    "close_idle",
    "reset_idle",
    "close_after",
    "reset_after",
    "cut",
    "twice",
    "unasked",
)
SHARES = {**dict.fromkeys(OFTEN, 0.015), "hang": 0.002}


def files():
    """How many files and sockets this process has open, where that can be told."""
    return len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0


def resident():
    """How many bytes of this process are in memory, where that can be told."""
    return int(MEMORY.read_text().split()[1]) * PAGE if MEMORY.exists() else 0


class Sockets:
    """The client's own connections; it knows whether a reply is on its way."""

    def __init__(self):
        self.own = OwnHTTP(connections=8)
        self.flying = 0

    async def exchange(self, request):
        self.flying += 1
        try:
            return await self.own.exchange(request)
        finally:
            self.flying -= 1

    async def aclose(self):
        await self.own.aclose()


class Marks:
    """What the process holds at the end of each hour, when nothing has gone on for a while."""

    def __init__(self):
        self.before = files()
        self.setting = False
        self.blocks, self.resident, self.files = [], [], []

    async def set(self):
        # The other end of a connection closes a moment later, and not of virtual time.
        self.setting = True
        for _ in range(200):
            if files() <= self.before:
                break
            # No loop sleeps for a while of the clock on the wall where the time is virtual.
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.005)
        self.setting = False
        gc.collect()
        self.blocks.append(sys.getallocatedblocks())
        self.resident.append(resident())
        self.files.append(files())


async def day():
    """24 hours, a ticket every half a minute, over sockets on which much goes wrong."""
    loop, http = asyncio.get_running_loop(), Sockets()
    loop.expects = lambda: http.flying > 0 or marks.setting
    emulator = Emulator(jobs=Jobs(duration=(1.0, 120.0), failing=0.1), clock=loop.time)
    faults, traffic = Faults(shares=SHARES, seed=1), Traffic(requests=deque(maxlen=1))
    kinds = Counter()
    marks = Marks()
    async with faulty(emulator, faults, traffic=traffic) as base_url:
        marks.before = files()

        async def tickets():
            for number in range(int(HOURS * 3600 / EVERY)):
                # Ids come again, so that the emulator too holds no more at the end.
                yield emulator.plant(("images", number % 60))
                await asyncio.sleep(EVERY)
                if (number + 1) % int(3600 / EVERY) == 0:
                    # All that is open ends, and kept connections grow too old.
                    await asyncio.sleep(300.0)
                    await marks.set()

        async with Client("a-key-1234", base_url=base_url, http=http, pace=Pace()) as client:
            async for outcome in client.stream(tickets(), timeout=100.0, window=50):
                kinds[type(outcome)] += 1
            assert 0 == len(client._poller._schedule)
    # Names were looked up in threads, which end in a time of their own.
    loop.expects = lambda: True
    return marks, kinds, traffic


@pytest.fixture(scope="module")
def a_day():
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(day())


def test_a_day_loses_no_ticket(a_day):
    """Each has its end, be it that nobody would wait any longer; and the faults were committed."""
    _, kinds, traffic = a_day
    assert int(HOURS * 3600 / EVERY) == kinds.total()
    assert {Success, Failed, Unresolved} == set(kinds)
    assert set(SHARES) == set(traffic.committed)
    assert traffic.connections > 1000


def test_a_day_leaves_no_file_open(a_day):
    """Once nothing goes on, each hour ends with as many files and sockets as the day began with."""
    marks, _, _ = a_day
    assert [marks.before] * HOURS == marks.files


def test_a_day_leaves_no_memory_in_use(a_day):
    """After some hours, neither the objects that live get more, nor the memory they live in."""
    marks, kinds, _ = a_day
    # An object that each ticket left behind would be twice as many.
    assert marks.blocks[-1] <= marks.blocks[3] + kinds.total() / 2
    assert marks.resident[-1] <= marks.resident[3] + 4 * MEBIBYTE
