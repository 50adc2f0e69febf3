"""
What one look costs above the transport, and what an open ticket weighs.

    python tests/benchmarks/poller_cost.py --open 1 1000 1000000 --rounds 5 --save cost.json
    python tests/benchmarks/poller_cost_plot.py cost.json cost.svg

A transport of no cost answers every look from memory, so that the CPU is that of the house alone:
the poller, the schedule, the request and the reading. Each size runs in a process of its own, which
grows to that many open tickets, looks at each of them once, and is measured from then on. The
rounds of all sizes alternate, and the table has the medians.

Up to some dozen open tickets are not enough to be always due: the house rests between two looks,
and each of them pays for the timer and for the turn of the loop that hundreds share elsewhere.
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
# So short a step that everything is always due, as soon as there is enough of it.
STEP = 0.001
# Few tickets rest most of the time, and so many seconds of it will do.
LONGEST = 10.0
# So many looks go by before any is measured, however few tickets there are.
WARM = 1000
# What fewer tickets weigh drowns in what the client itself weighs, and in the size of a page.
WEIGHED = 1000
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
# What stands before, between and after the id.
PIECES = [piece.encode() for piece in BODY.replace('"ID"', "ID").split("ID")]


class Figures(NamedTuple):
    """What one size cost, in one round or by the medians of some."""

    cpu: float
    bare: float
    bytes_each: float

    @property
    def above(self) -> float:
        """Microseconds of CPU a look, without what the transport takes."""
        return self.cpu - self.bare


class Memory:
    """Answers every look from memory, after one turn of the loop: no socket answers at once."""

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
        body = id_.join(PIECES)
        if self.own:
            # A prompt that names its ticket in another way is a body that no other is like.
            body = body.replace(b'"ppp', b'"' + id_[::-1])
        return Response(status_code=200, headers=HEADERS, body=body)

    async def until(self, polls: int) -> None:
        """Wait until so many more looks have come."""
        self.reached, self.wanted = asyncio.Event(), self.polls + polls
        await self.reached.wait()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def bare_cost(http: Memory, *, polls: int, workers: int) -> float:
    """Microseconds of CPU that the transport itself takes for a look."""
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


def looks_at(count: int, most: int) -> int:
    """How many looks are measured: no more than so few tickets take in the time that is given."""
    return min(most, round(count * LONGEST / STEP))


async def measured(count: int, *, polls: int, workers: int, own: bool) -> Figures:
    """Open so many, let each be looked at, and then measure so many looks."""
    http = Memory(own=own)
    bare = await bare_cost(http, polls=polls, workers=workers)
    async with Client(KEY, http=http, pace=Pace.fixed(STEP), workers=workers) as client:
        gc.collect()
        before = resident()
        tickets: Iterator[tuple[str, int]] = (
            ("realtime", FIRST_ID + number) for number in range(count)
        )
        reader = asyncio.create_task(drain(client.stream(tickets, window=count + 1)))
        await http.until(count)
        await http.until(max(count, WARM))
        used = time.process_time()
        await http.until(polls)
        spent = time.process_time() - used
        weight = resident() - before
        reader.cancel()
        await asyncio.wait((reader,))
    return Figures(spent / polls * 1e6, bare, weight / count)


def in_process(count: int, options: argparse.Namespace) -> Figures:
    polls = looks_at(count, options.polls)
    return asyncio.run(measured(count, polls=polls, workers=options.workers, own=options.own))


def compared(options: argparse.Namespace) -> dict[int, Figures]:
    """The medians of all rounds of each size, in turns."""
    found = alternating_medians(
        options.open,
        lambda count: in_fresh_process(in_process, count, options),
        rounds=options.rounds,
    )
    return {count: Figures(*figures) for count, figures in found.items()}


def row(count: int, found: Figures) -> str:
    """What is printed of a size."""
    weight = f"{found.bytes_each:7.0f} bytes each" if count >= WEIGHED else ""
    return (
        f"{count:9} open  {found.cpu:6.1f} us CPU a look, {found.above:6.1f} us of it above "
        f"the transport  {weight}"
    ).rstrip()


def record(figures: dict[int, Figures], options: argparse.Namespace) -> dict[str, Any]:
    """What is saved: enough to draw, and to say where it came from."""
    return {
        "machine": machine(),
        "rounds": options.rounds,
        "workers": options.workers,
        "own": options.own,
        "figures": {
            str(count): {
                "polls": looks_at(count, options.polls),
                "cpu": round(found.cpu, 2),
                "above": round(found.above, 2),
                "bytes_each": round(found.bytes_each, 1) if count >= WEIGHED else None,
            }
            for count, found in figures.items()
        },
    }


def main() -> None:
    """Measure all sizes, print a line for each, and save the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--looks", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--own", action="store_true", help="no two bodies alike but for the id")
    parser.add_argument("--save", type=Path, help="write the figures to this file, as JSON")
    options = parser.parse_args()
    figures = compared(options)
    for count, found in figures.items():
        print(row(count, found))
    if options.save is not None:
        options.save.write_text(json.dumps(record(figures, options), indent=2) + "\n")


if __name__ == "__main__":
    main()
