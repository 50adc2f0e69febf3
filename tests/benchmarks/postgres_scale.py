"""
Measure a batch of many tickets on PostgreSQL, which the script starts beside its workers.

    python tests/benchmarks/postgres_scale.py --tickets 1000000 --workers 2

The tickets are added through `Batch`. Then worker processes run the batch side by side until no
ticket is open. Each has a client whose transport says from memory that every job is done. During
all that, another transaction stays open, so that the server cannot remove old versions of rows.
With `--claims`, one process claims and completes the tickets through `Journal` instead, and the
script compares the claims of the first hundred thousand tickets with those of the last.
"""

import argparse
import asyncio
import multiprocessing
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import asyncpg
import journal_rate
from postgres_server import PostgresServer, find_programs
from settling import SettlingTransport

from modelslab_async import Batch, Client, Ticket
from modelslab_async.journal import Journal

_TICKETS_PER_COMMIT = 5000
# A prime step through the ids: they come in no order, and none comes twice.
_STEP, _MODULUS = 7_368_787, 89_999_999
_COMPARED_TICKETS = 100_000
_SIZE = """
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'modelslab_async_journal' AND c.relkind = 'r'
"""
_BODIES = "SELECT coalesce(sum(length(body)), 0)::bigint FROM modelslab_async_journal.replies"


def numbered(first: int, last: int) -> list[Ticket]:
    return [Ticket("realtime", 10**6 + n * _STEP % _MODULUS) for n in range(first, last)]


def make_client() -> Client:
    return Client("a-key", http=SettlingTransport(), workers=64)


async def add(location: str, tickets: int) -> float:
    """Add tickets, and return how many a second."""
    async with make_client() as client, Batch.open(location, client=client) as batch:
        began = time.perf_counter()
        for first in range(0, tickets, _TICKETS_PER_COMMIT):
            await batch.add(numbered(first, min(first + _TICKETS_PER_COMMIT, tickets)))
        return tickets / (time.perf_counter() - began)


async def work(location: str) -> int:
    """Run the batch to its end, and return how many outcomes this process got."""
    count = 0
    async with make_client() as client, Batch.open(location, client=client) as batch:
        async for _ in batch.run():
            count += 1
    return count


def work_and_report(location: str, counts: Any) -> None:
    count = asyncio.run(work(location))
    counts.put((count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def run_workers(location: str, workers: int) -> tuple[float, list[tuple[int, float]]]:
    """Run the batch in processes. Return the seconds, and the outcomes and MiB of each process."""
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    processes = [
        context.Process(target=work_and_report, args=(location, counts)) for _ in range(workers)
    ]
    began = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return time.perf_counter() - began, [counts.get() for _ in processes]


async def claim_and_complete(location: str) -> tuple[float, list[float]]:
    """Claim and complete all tickets. Return how many a second, and the seconds of each claim."""
    claims: list[float] = []
    async with Journal.open(location) as journal:
        began = time.perf_counter()
        run, count = await journal.leases.begin_run(lease=journal_rate.LEASE), 0
        while True:
            asked = time.perf_counter()
            claim = await journal.leases.claim(
                run, before_run=run, limit=_TICKETS_PER_COMMIT, lease=journal_rate.LEASE
            )
            claims.append(time.perf_counter() - asked)
            assert claim is not None
            if not claim.tickets:
                return count / (time.perf_counter() - began), claims[:-1]
            completions = [
                journal_rate.OutcomeRow(row, 1, journal_rate.success(ticket, journal_rate.SHORT))
                for row, ticket in claim.tickets
            ]
            assert all(await journal.leases.complete(run, completions))
            count += len(completions)


async def hold_snapshot(address: str) -> asyncpg.Connection:
    """Open a transaction that sees the database as it is now, and leave it open."""
    connection = await asyncpg.connect(address)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
    return connection


async def measure(server: PostgresServer, tickets: int, workers: int, *, claims: bool) -> None:
    """Measure one number of tickets, and print the figures."""
    location = f"{server.address}&batch=measured-{tickets}"
    began = time.perf_counter()
    print(f"{tickets:,} tickets: {await add(location, tickets):,.0f} added/s", flush=True)
    snapshot = await hold_snapshot(server.address)
    if claims:
        rate, seconds = await claim_and_complete(location)
        compared = max(1, _COMPARED_TICKETS // _TICKETS_PER_COMMIT)
        first, last = (
            statistics.median(part) for part in (seconds[:compared], seconds[-compared:])
        )
        print(
            f"{rate:,.0f} claimed and completed/s by one process; a claim took "
            f"{first * 1000:.0f} ms at the beginning, {last * 1000:.0f} ms at the end, "
            f"{max(seconds) * 1000:.0f} ms at most",
            flush=True,
        )
    else:
        took, results = await asyncio.to_thread(run_workers, location, workers)
        assert sum(count for count, _ in results) == tickets
        parts = " and ".join(f"{count:,} ({mib:.0f} MiB)" for count, mib in sorted(results))
        print(f"{tickets / took:,.0f} polled and completed/s: {parts}", flush=True)
    await snapshot.close()
    reader = await asyncpg.connect(server.address)
    size, bodies = await reader.fetchval(_SIZE), await reader.fetchval(_BODIES)
    await reader.close()
    print(
        f"{size / tickets:.0f} bytes a ticket on disk, {bodies / tickets:.0f} of them its body; "
        f"{time.perf_counter() - began:.0f} s in all",
        flush=True,
    )


def main() -> None:
    """Measure each number of tickets, each on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--claims", action="store_true")
    options = parser.parse_args()
    programs = find_programs()
    if programs is None:
        parser.error("there is no PostgreSQL; on Debian: apt-get install postgresql")
    for tickets in options.tickets:
        server = PostgresServer.make(programs)
        # Debian's settings, where those of the tests differ.
        server.more_settings = "-c fsync=on -c shared_buffers=128MB"
        try:
            server.start()
            asyncio.run(measure(server, tickets, options.workers, claims=options.claims))
        finally:
            server.remove()


if __name__ == "__main__":
    main()
