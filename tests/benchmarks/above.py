"""
The parts of the record that need no server: what is above the transport, and the journal.

Each part takes the number of rounds, and returns the figures of each round.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import journal_rate
import poller_cost
from fixed_server import fixed_server
from rounds import in_fresh_process
from settling import WAYS, instructions, measured

from modelslab_async import Client, Pace

_TICKETS = 20_000
_OPEN_FOR_PAUSE = 100_000
_OPEN_FOR_MEMORY = 1_000_000
_JOURNALED = 200_000
_GROUP = 5000
_COLLECTIONS = 5
_FOLDER = Path(__file__).parent


def _settling(way: str) -> tuple[float]:
    return (measured(way, _TICKETS),)


def above_the_transport(rounds: int) -> dict[str, Any]:
    """Return the microseconds of CPU of a settled ticket."""
    cpu: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, found in cpu.items():
            found.append(round(in_fresh_process(_settling, way)[0], 2))
    return dict(cpu)


def instruction_counts(_: int) -> dict[str, Any]:
    """Return the instructions of a settled ticket. Each count would give the same."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(WAYS, pool.map(instructions, WAYS), strict=True))


async def _pause() -> tuple[float, float]:
    """Return the ms of a full garbage collection without and with many open tickets."""
    http = poller_cost.MemoryTransport(own=False)
    async with Client(poller_cost.KEY, http=http, pace=Pace.fixed(3600.0)) as client:
        before = _collection()
        tickets = (("realtime", poller_cost.FIRST_ID + n) for n in range(_OPEN_FOR_PAUSE))
        reading = asyncio.create_task(
            poller_cost.drain(client.stream(tickets, window=_OPEN_FOR_PAUSE + 1))
        )
        await http.until(_OPEN_FOR_PAUSE)
        after = _collection()
        reading.cancel()
        await asyncio.wait((reading,))
    return before, after


def _collection() -> float:
    """Return the milliseconds of CPU of a full collection: the least of several."""
    gc.collect()
    found: list[float] = []
    for _ in range(_COLLECTIONS):
        used = time.process_time()
        gc.collect()
        found.append(time.process_time() - used)
    return min(found) * 1000


def _pause_in_process() -> tuple[float, float]:
    return asyncio.run(_pause())


def collection_pause(rounds: int) -> dict[str, Any]:
    """Return how long a full garbage collection takes with many open tickets."""
    found = [in_fresh_process(_pause_in_process) for _ in range(rounds)]
    return {
        "open": _OPEN_FOR_PAUSE,
        "ms_without": [round(before, 2) for before, _ in found],
        "ms": [round(after, 2) for _, after in found],
    }


def _weigh() -> tuple[float, ...]:
    return asyncio.run(poller_cost.measure(_OPEN_FOR_MEMORY, polls=100_000, workers=64, own=False))


def memory(_: int) -> dict[str, Any]:
    """Return the bytes of an open ticket. One round, because memory hardly varies."""
    return {
        "open": _OPEN_FOR_MEMORY,
        "bytes_each": [round(in_fresh_process(_weigh)[2], 1)],
    }


def journal(rounds: int) -> dict[str, Any]:
    """Return how many outcomes a second a journal commits."""
    completed: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "journal")
            found = asyncio.run(journal_rate.measured(path, _JOURNALED, _GROUP, journal_rate.USUAL))
        completed.append(round(found.completed))
    return {"tickets": _JOURNALED, "group": _GROUP, "completed": completed}


def layers(_: int) -> dict[str, float]:
    """Return the share of each layer in the CPU time of a settled ticket of `stream`."""
    with fixed_server() as server:
        completed = subprocess.run(
            [
                *(sys.executable, str(_FOLDER / "one_round.py"), "stream", server.url),
                *("--tickets", "150000", "--layers"),
            ],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return dict(json.loads(completed.stdout))


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "above": above_the_transport,
    "instructions": instruction_counts,
    "collection": collection_pause,
    "memory": memory,
    "journal": journal,
    "layers": layers,
}
