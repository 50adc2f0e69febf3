"""
Measures the CPU of a poll above the transport, and the memory of an open ticket.

    python tests/benchmarks/poller_cost.py --open 1 1000 1000000 --rounds 5 --save cost.json
    python tests/benchmarks/poller_cost_plot.py cost.json cost.svg

A transport answers every poll from memory, so the CPU is that of the client alone: the poller, the
schedule, the request and the parser. Each ticket count runs in a process of its own, which opens
that many tickets, polls each of them once, and is measured from then on. The rounds of all counts
alternate, and the table has the medians.

With few open tickets the client is idle between polls. Each poll then pays for a timer wake-up of
its own, which hundreds of polls share otherwise.
"""

import argparse
import asyncio
import gc
import json
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from machine import machine
from rounds import alternating_medians, in_fresh_process

from modelslab_async import Client, Pace, Request, Response

KEY = "a-benchmark-key-0123456789"
FIRST_ID = 13_443_927
# The step is so short that many tickets are always due.
STEP_S = 0.001
# With few tickets the client is mostly idle, so the measurement ends after this time.
MAX_DURATION_S = 10.0
WARM_UP_POLLS = 1000
# With fewer tickets, the memory of the client and the page size hide that of the tickets.
MIN_WEIGHED_TICKETS = 1000
HEADERS = ((b"content-type", b"application/json"), (b"server", b"memory"))
BODY = json.dumps(
    {
        "status": "processing",
        "tip": "Your image is processing in background, you can get it by the fetch API",
        "eta": 7,
        "message": "Try to fetch request after seconds estimated",
        "fetch_result": "https://modelslab.com/api/v6/realtime/fetch/ID",
        "id": "ID",
        "output": "",
        "meta": {"height": 512, "width": 512, "prompt": "p" * 130, "seed": 1237182},
    }
)
# The parts before, between and after the ids.
BODY_PARTS = [piece.encode() for piece in BODY.replace('"ID"', "ID").split("ID")]


class Figures(NamedTuple):
    """The cost at one ticket count, in one round or as medians of several."""

    cpu: float
    bare: float
    bytes_each: float

    @property
    def above(self) -> float:
        """Return the microseconds of CPU for a poll, without those of the transport."""
        return self.cpu - self.bare


class MemoryTransport:
    """Answers every poll from memory, one loop iteration later, since no socket answers at once."""

    def __init__(self, *, own: bool) -> None:
        self.polls = 0
        self.own = own
        self.wanted = 0
        self.reached: asyncio.Event | None = None

    async def exchange(self, request: Request) -> Response:
        await asyncio.sleep(0)
        self.polls += 1
        if self.polls == self.wanted and self.reached is not None:
            self.reached.set()
        id_ = request.url.rpartition("/")[2].encode()
        body = id_.join(BODY_PARTS)
        if self.own:
            # A different prompt makes the body differ from all others in more than the id.
            body = body.replace(b'"ppp', b'"' + id_[::-1])
        return Response(status_code=200, headers=HEADERS, body=body)

    async def until(self, polls: int) -> None:
        """Wait until this many more polls have come."""
        self.reached, self.wanted = asyncio.Event(), self.polls + polls
        await self.reached.wait()


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def bare_cost(http: MemoryTransport, *, polls: int, workers: int) -> float:
    """Return the microseconds of CPU that the transport itself takes for a poll."""
    request = Request(method="POST", url=f"https://modelslab.com/api/v6/fetch/{FIRST_ID}")

    async def work() -> None:
        for _ in range(polls // workers):
            await http.exchange(request)

    used = time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return (time.process_time() - used) / (polls // workers * workers) * 1e6


async def drain(stream: AsyncGenerator[object, None]) -> None:
    async for _ in stream:
        pass


def measured_polls(count: int, limit: int) -> int:
    """Return how many polls to measure. Few tickets limit it to those of the longest duration."""
    return min(limit, round(count * MAX_DURATION_S / STEP_S))


async def measure(count: int, *, polls: int, workers: int, own: bool) -> Figures:
    """Open this many tickets, wait until each was polled, and then measure this many polls."""
    http = MemoryTransport(own=own)
    bare = await bare_cost(http, polls=polls, workers=workers)
    async with Client(KEY, http=http, pace=Pace.fixed(STEP_S), workers=workers) as client:
        gc.collect()
        before = resident_bytes()
        tickets: Iterator[tuple[str, int]] = (
            ("realtime", FIRST_ID + number) for number in range(count)
        )
        reader = asyncio.create_task(drain(client.stream(tickets, window=count + 1)))
        await http.until(count)
        await http.until(max(count, WARM_UP_POLLS))
        used = time.process_time()
        await http.until(polls)
        spent = time.process_time() - used
        weight = resident_bytes() - before
        reader.cancel()
        await asyncio.wait((reader,))
    return Figures(spent / polls * 1e6, bare, weight / count)


def in_process(count: int, options: argparse.Namespace) -> Figures:
    polls = measured_polls(count, options.polls)
    return asyncio.run(measure(count, polls=polls, workers=options.workers, own=options.own))


def measure_all(options: argparse.Namespace) -> dict[int, Figures]:
    """Return the medians for each ticket count. The rounds of the counts alternate."""
    found = alternating_medians(
        options.open,
        lambda count: in_fresh_process(in_process, count, options),
        rounds=options.rounds,
    )
    return {count: Figures(*figures) for count, figures in found.items()}


def format_line(count: int, found: Figures) -> str:
    """Format the line of one ticket count."""
    weight = f"{found.bytes_each:7.0f} bytes each" if count >= MIN_WEIGHED_TICKETS else ""
    return (
        f"{count:9} open  {found.cpu:6.1f} us CPU a poll, {found.above:6.1f} us of it above "
        f"the transport  {weight}"
    ).rstrip()


def record(figures: dict[int, Figures], options: argparse.Namespace) -> dict[str, Any]:
    """Return what is saved: the figures, and how and where they were measured."""
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "workers": options.workers,
        "own": options.own,
        "figures": {
            str(count): {
                "polls": measured_polls(count, options.polls),
                "cpu": round(found.cpu, 2),
                "above": round(found.above, 2),
                "bytes_each": round(found.bytes_each, 1) if count >= MIN_WEIGHED_TICKETS else None,
            }
            for count, found in figures.items()
        },
    }


def main() -> None:
    """Measure all ticket counts, print a line for each, and save the figures on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--polls", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument(
        "--own", action="store_true", help="make each body differ in more than its id"
    )
    parser.add_argument("--save", type=Path, help="write the figures to this file, as JSON")
    options = parser.parse_args()
    figures = measure_all(options)
    for count, found in figures.items():
        print(format_line(count, found))
    if options.save is not None:
        options.save.write_text(json.dumps(record(figures, options), indent=2) + "\n")


if __name__ == "__main__":
    main()
