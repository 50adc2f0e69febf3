"""
What one look costs above the transport, and what an open ticket weighs.

    python tests/benchmarks/poller_cost.py --open 1000 100000 1000000 --looks 100000

A transport of no cost answers every look from memory, so that the CPU is that of the house alone:
the poller, the schedule, the request and the reading. Each size runs in a process of its own, which
grows to that many open tickets, looks at each of them once, and is measured from then on.
"""

import argparse
import asyncio
import gc
import json
import multiprocessing
import time
from collections.abc import AsyncGenerator, Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import NamedTuple

from modelslab_async import Client, Pace, Request, Response

KEY = "a-benchmark-key-0123456789"
FIRST_ID = 13_443_927
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
    """What one size cost."""

    open: int
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
        self.looks = 0
        self.own = own
        self.wanted = 0
        self.reached: asyncio.Event | None = None

    async def exchange(self, request: Request) -> Response:
        await asyncio.sleep(0)
        self.looks += 1
        if self.looks == self.wanted and self.reached is not None:
            self.reached.set()
        id_ = request.url.rpartition("/")[2].encode()
        body = id_.join(PIECES)
        if self.own:
            # A prompt that names its ticket in another way is a body that no other is like.
            body = body.replace(b'"ppp', b'"' + id_[::-1])
        return Response(status_code=200, headers=HEADERS, body=body)

    async def until(self, looks: int) -> None:
        """Wait until so many more looks have come."""
        self.reached, self.wanted = asyncio.Event(), self.looks + looks
        await self.reached.wait()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


async def bare_cost(http: Memory, *, looks: int, workers: int) -> float:
    """Microseconds of CPU that the transport itself takes for a look."""
    request = Request(method="POST", url=f"https://modelslab.com/api/v6/fetch/{FIRST_ID}")

    async def work() -> None:
        for _ in range(looks // workers):
            await http.exchange(request)

    used = time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return (time.process_time() - used) / (looks // workers * workers) * 1e6


async def drain(stream: AsyncGenerator[object, None]) -> None:
    async for _ in stream:
        pass


async def measured(count: int, *, looks: int, workers: int, own: bool) -> Figures:
    """Open so many, let each be looked at, and then measure so many looks."""
    http = Memory(own=own)
    bare = await bare_cost(http, looks=looks, workers=workers)
    # So short a pace that everything is always due: the house works without a rest.
    async with Client(KEY, http=http, pace=Pace.fixed(0.001), workers=workers) as client:
        gc.collect()
        before = resident()
        tickets: Iterator[tuple[str, int]] = (
            ("realtime", FIRST_ID + number) for number in range(count)
        )
        reader = asyncio.create_task(drain(client.stream(tickets, window=count + 1)))
        await http.until(count)
        await http.until(count)
        used = time.process_time()
        await http.until(looks)
        spent = time.process_time() - used
        weight = resident() - before
        reader.cancel()
        await asyncio.wait((reader,))
    return Figures(count, spent / looks * 1e6, bare, weight / count)


def in_process(pipe: Pipe, count: int, looks: int, workers: int, *, own: bool) -> None:
    pipe.send(tuple(asyncio.run(measured(count, looks=looks, workers=workers, own=own))))


def apart(count: int, *, looks: int, workers: int, own: bool) -> Figures:
    """The same in a fresh process, whose memory holds nothing of another size."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(
        target=in_process, args=(theirs, count, looks, workers), kwargs={"own": own}
    )
    process.start()
    theirs.close()
    try:
        return Figures(*ours.recv())
    finally:
        process.join()


def main() -> None:
    """Measure each size and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--looks", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--own", action="store_true", help="no two bodies alike but for the id")
    options = parser.parse_args()
    for count in options.open:
        found = apart(count, looks=options.looks, workers=options.workers, own=options.own)
        print(
            f"{count:9} open  {found.cpu:6.1f} us CPU a look, {found.above:6.1f} us of it above "
            f"the transport  {found.bytes_each:7.0f} bytes each",
            flush=True,
        )


if __name__ == "__main__":
    main()
