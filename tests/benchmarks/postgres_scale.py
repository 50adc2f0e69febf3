"""
Measure a batch of many tickets on PostgreSQL, which the script starts beside its workers.

    python tests/benchmarks/postgres_scale.py --tickets 1000000 --workers 2

The tickets are added through `Batch`. Then worker processes run the batch side by side until no
ticket is open. Each has a client whose transport says from memory that every job is done. During
all that, another transaction stays open, so that the server cannot remove old versions of rows.
With `--claims`, one process claims and completes the tickets through `Journal` instead, and the
script compares the claims of the first hundred thousand tickets with those of the last.

`--save FILE` writes a record of the last run, which `postgres_scale_plot.py` draws.
"""

import argparse
import asyncio
import datetime as dt
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import asyncpg
import journal_rate
from machine import machine
from postgres_server import PostgresServer, find_programs
from settling import SettlingTransport

from modelslab_async import Batch, Client, Ticket
from modelslab_async.journal import Journal

_TICKETS_PER_COMMIT = 5000
# A prime step through the ids: they come in no order, and none comes twice.
_STEP, _MODULUS = 7_368_787, 89_999_999
_COMPARED_TICKETS = 100_000
_RECORDED_SLICES = 100
_SIZE = """
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'modelslab_async_journal' AND c.relkind = 'r'
"""
_BODIES = "SELECT coalesce(sum(length(body)), 0)::bigint FROM modelslab_async_journal.replies"


class TimedClaim(NamedTuple):
    """When a run asked for tickets, how many seconds it waited for them, and how many it got."""

    asked: float
    seconds: float
    tickets: int


class WorkerResult(NamedTuple):
    """How many outcomes a worker got, its memory in MiB, and its claims."""

    count: int
    mib: float
    claims: list[TimedClaim]


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


def time_claims(journal: Journal) -> list[TimedClaim]:
    """Return a list to which each later claim of the journal is added."""
    claim, timed_claims = journal.leases.claim, list[TimedClaim]()

    async def timed(*arguments: Any, **more: Any) -> Any:
        asked = time.time()
        found = await claim(*arguments, **more)
        tickets = 0 if found is None else len(found.tickets)
        timed_claims.append(TimedClaim(asked, time.time() - asked, tickets))
        return found

    journal.leases.claim = timed  # type: ignore[method-assign]
    return timed_claims


async def work(location: str) -> tuple[int, list[TimedClaim]]:
    """Run the batch to its end. Return how many outcomes this process got, and its claims."""
    count = 0
    async with make_client() as client, Batch.open(location, client=client) as batch:
        claims = time_claims(batch.journal)
        async for _ in batch.run():
            count += 1
    return count, claims


def work_and_report(location: str, results: Any) -> None:
    count, claims = asyncio.run(work(location))
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put(WorkerResult(count, mib, claims))


def run_workers(location: str, workers: int) -> tuple[float, list[WorkerResult]]:
    """Run the batch in processes. Return the seconds that all took, and each one's result."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=work_and_report, args=(location, queue)) for _ in range(workers)
    ]
    began = time.perf_counter()
    for process in processes:
        process.start()
    # A process ends once its result has been taken.
    results = [queue.get() for _ in processes]
    took = time.perf_counter() - began
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return took, results


def slices(claims: Sequence[TimedClaim], tickets: int) -> Iterator[list[float]]:
    """Yield the tickets claimed so far, tickets a second and ms of a claim, for equal slices."""
    last, count, seconds = claims[0].asked, 0, list[float]()
    claimed = 0
    for claim in claims:
        if claim.tickets:
            seconds.append(claim.seconds)
        count += claim.tickets
        if count * _RECORDED_SLICES < tickets:
            continue
        claimed += count
        rate = count / (claim.asked - last) if claim.asked > last else 0.0
        yield [claimed, round(rate), round(statistics.median(seconds) * 1000, 1)]
        last, count = claim.asked, 0
        seconds.clear()


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


async def measure(
    server: PostgresServer, tickets: int, workers: int, *, claims: bool
) -> dict[str, Any]:
    """Measure one number of tickets, print the figures, and return them."""
    location = f"{server.address}&batch=measured-{tickets}"
    began = time.perf_counter()
    added = await add(location, tickets)
    print(f"{tickets:,} tickets: {added:,.0f} added/s", flush=True)
    figures: dict[str, Any] = {"tickets": tickets, "workers": workers, "added": round(added)}
    snapshot, snapshot_began = await hold_snapshot(server.address), time.perf_counter()
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
        assert sum(result.count for result in results) == tickets
        parts = " and ".join(f"{each.count:,} ({each.mib:.0f} MiB)" for each in sorted(results))
        print(f"{tickets / took:,.0f} polled and completed/s: {parts}", flush=True)
        timed = sorted(claim for result in results for claim in result.claims)
        figures["completed"] = round(tickets / took)
        figures["mib"] = [round(result.mib) for result in results]
        figures["slices"] = list(slices(timed, tickets))
        print_claims(timed, tickets)
    figures["snapshot_s"] = round(time.perf_counter() - snapshot_began)
    await snapshot.close()
    reader = await asyncpg.connect(server.address)
    size, bodies = await reader.fetchval(_SIZE), await reader.fetchval(_BODIES)
    version = reader.get_server_version()
    await reader.close()
    figures["bytes"], figures["body"] = round(size / tickets), round(bodies / tickets)
    figures["seconds"] = round(time.perf_counter() - began)
    print(
        f"{figures['bytes']} bytes a ticket on disk, {figures['body']} of them its body; "
        f"{figures['seconds']} s in all, {figures['snapshot_s']} of them with a foreign snapshot",
        flush=True,
    )
    return figures | {"postgresql": version.major}


def print_claims(claims: Sequence[TimedClaim], tickets: int) -> None:
    """Print the median claim of the first and of the last hundred thousand tickets."""
    claimed, first, last = 0, list[float](), list[float]()
    for claim in claims:
        if claim.tickets and claimed < _COMPARED_TICKETS:
            first.append(claim.seconds)
        if claim.tickets and claimed >= tickets - _COMPARED_TICKETS:
            last.append(claim.seconds)
        claimed += claim.tickets
    print(
        f"a claim took {statistics.median(first) * 1000:.1f} ms for the first "
        f"{_COMPARED_TICKETS:,} tickets, {statistics.median(last) * 1000:.1f} ms for the last",
        flush=True,
    )


def main() -> None:
    """Measure each number of tickets, each on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickets", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--claims", action="store_true")
    parser.add_argument("--save", type=Path, help="write a record of the last run")
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
            figures = asyncio.run(measure(server, tickets, options.workers, claims=options.claims))
        finally:
            server.remove()
    if options.save is not None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        record = {"date": today, "machine": machine("asyncpg"), **figures}
        options.save.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
