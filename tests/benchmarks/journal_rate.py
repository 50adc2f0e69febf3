"""
Measure how fast a journal records outcomes, how large it gets, and how fast it opens.

    python tests/benchmarks/journal_rate.py --tickets 1000000 10000000

For each number of tickets, it makes a journal in a temporary folder. It adds, claims and completes
tickets through `Journal`, in groups, with ids in random order. Above a million tickets, replies are
short, so that the file stays below 3 GB. The bytes of a ticket beside its body do not depend on it.
"""

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from modelslab_async import Success, Ticket
from modelslab_async._journal.lease_rows import Claim
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async.journal import Journal

LEASE = 3600.0
SHORT: dict[str, Any] = {"status": "success", "id": 1, "output": ["https://a.example/1.png"]}
USUAL: dict[str, Any] = {
    "status": "success",
    "id": 13443927,
    "generationTime": 1.25,
    "output": ["https://cdn.example/generations/0-3b2f5c1e-7d0a-4c53-9d9d-0f1f5d1f7a10.png"],
    "meta": {"height": 512, "width": 512, "prompt": "p" * 100, "seed": 1237182},
}


class Figures(NamedTuple):
    """The results for one file: three rates per second, and the seconds of a report."""

    added: float
    claimed: float
    completed: float
    report: float


def success(ticket: Ticket, body: dict[str, Any]) -> Success:
    """The outcome of a reply with this body."""
    return Success(
        ticket=ticket,
        output=tuple(body["output"]),
        generation_time=body.get("generationTime"),
        meta=body.get("meta", {}),
        raw=body,
    )


async def added(journal: Journal, tickets: int, group: int) -> float:
    """Add tickets. Return how many per second."""
    rng = random.Random(1)
    spent = 0.0
    start = rng.randrange(10**8)
    for first in range(0, tickets, group):
        # A prime step through the ids: they come in no order, and none comes twice.
        numbers = range(first, min(first + group, tickets))
        chunk = [Ticket("images", start + n * 7_368_787 % 89_999_999) for n in numbers]
        began = time.perf_counter()
        await journal.add(chunk)
        spent += time.perf_counter() - began
    return tickets / spent


async def completed(journal: Journal, group: int, body: dict[str, Any]) -> tuple[float, float]:
    """Claim and complete all. Return how many per second were claimed, and how many completed."""
    run = await journal.leases.begin_run(lease=LEASE)
    claiming = completing = 0.0
    count = 0
    while True:
        began = time.perf_counter()
        claim = await journal.leases.claim(run, before_run=run, limit=group, lease=LEASE)
        claiming += time.perf_counter() - began
        assert isinstance(claim, Claim)
        if not claim.tickets:
            return count / claiming, count / completing
        completions = [
            OutcomeRow(number, 3, success(ticket, body)) for number, ticket in claim.tickets
        ]
        random.Random(count).shuffle(completions)
        began = time.perf_counter()
        assert all(await journal.leases.complete(run, completions))
        completing += time.perf_counter() - began
        count += len(completions)


async def measured(path: Path, tickets: int, group: int, body: dict[str, Any]) -> Figures:
    """Measure one file, from its creation to its report."""
    async with Journal.open(path) as journal:
        adds = await added(journal, tickets, group)
        claims, completes = await completed(journal, group, body)
    began = time.perf_counter()
    async with Journal.open(path) as journal:
        report = await journal.report()
        took = time.perf_counter() - began
    assert report.success == tickets
    return Figures(adds, claims, completes, took)


def line(tickets: int, group: int) -> str:
    """Measure some number of tickets in a temporary folder, and format the results."""
    body = USUAL if tickets <= 1_000_000 else SHORT
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        figures = asyncio.run(measured(path, tickets, group, body))
        size = path.stat().st_size
    beside = size / tickets - len(json.dumps(body, separators=(",", ":")))
    return (
        f"{tickets:10,} tickets: {figures.added:8,.0f} added/s {figures.claimed:8,.0f} claimed/s "
        f"{figures.completed:8,.0f} completed/s, {beside:5.1f} bytes a ticket beside its body, "
        f"{figures.report:5.2f} s to open and report, {size / 2**20:6,.0f} MiB"
    )


def main() -> None:
    """Measure each number of tickets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--group", type=int, default=5000)
    options = parser.parse_args()
    for tickets in options.tickets:
        print(line(tickets, options.group), flush=True)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak_mib:.0f} MiB of memory at most")


if __name__ == "__main__":
    main()
