"""A day in the life of a client: what it holds at the end is what it held after an hour."""

import asyncio
import gc
import sys
from pathlib import Path

import httpx
import pytest
from jumping import JumpingLoop

from modelslab_async import Client, Pace, Response, Success, Unresolved
from modelslab_async._transport.over_httpx import TransportHTTP
from modelslab_async.emulator import Emulator, Faults, Jobs, Scripted
from modelslab_async.emulator.faults import Deck

pytestmark = pytest.mark.alone

OPEN_FILES = Path("/proc/self/fd")
HOUR = 3600.0
FAULTY = Scripted(502, b"<html>Bad gateway</html>")


def held():
    """How much memory is in use, in blocks, and how many files are open."""
    gc.collect()
    files = len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0
    return sys.getallocatedblocks(), files


def test_a_day_leaves_nothing_behind():
    """24 hours of virtual time, a ticket every ten seconds, faults and timeouts: all stays flat."""
    marks = []

    async def day():
        loop = asyncio.get_running_loop()
        emulator = Emulator(jobs=Jobs(duration=(1.0, 120.0), failing=0.1), clock=loop.time)
        deck = Deck(Faults(shares={"html": 0.05}, seed=1))
        http = _InProcess(emulator, deck)

        async def tickets():
            for number in range(int(24 * HOUR / 10)):
                if number % 360 == 0:
                    marks.append(held())
                # Ids come again, so that the emulator too holds no more at the end.
                yield emulator.plant(("images", number % 60))
                await asyncio.sleep(10.0)

        async with Client("a-key-1234", http=http, pace=Pace(share=0.5)) as client:
            kinds = [
                type(each) async for each in client.stream(tickets(), timeout=100.0, window=50)
            ]
            assert 0 == len(client._poller._schedule)
        return kinds

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        kinds = runner.run(day())
    assert int(24 * HOUR / 10) == len(kinds)
    assert kinds.count(Success) > kinds.count(Unresolved) > 0
    (early, files), (late, files_late) = marks[1], marks[-1]
    # The list of kinds and the marks themselves are pointers, not blocks.
    assert late <= early * 1.05
    assert files_late <= files


class _InProcess:
    """The emulator in process, with a share of looks gone wrong."""

    def __init__(self, emulator, deck):
        self.deck = deck
        self.whole = TransportHTTP(httpx.ASGITransport(app=emulator))

    async def exchange(self, request):
        if self.deck.deed() is not None:
            return Response(status_code=FAULTY.status_code, body=FAULTY.body)
        return await self.whole.exchange(request)
