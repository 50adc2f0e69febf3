"""
How many looks a second, and how much CPU each takes: plain httpx against the default transport.

    python tests/benchmarks/look_rate.py --connections 64 1000 --rounds 5 --looks 3000

One process serves a fixed answer over loopback, this one asks. The rounds of all ways alternate, so
that whatever else the machine does meets them alike; only their ratios mean anything.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing.connection import Connection as Pipe
from typing import NamedTuple, cast

import httpx

from modelslab_async import Client, Request
from modelslab_async._transport.http11.transport import HTTP11Transport

KEY = "a-benchmark-key-0123456789"
BODY = json.dumps(
    {
        "status": "processing",
        "tip": "Your image is processing in background, you can get it by the fetch API",
        "eta": 7,
        "message": "Try to fetch request after seconds estimated",
        "fetch_result": "https://modelslab.com/api/v6/realtime/fetch/13443927",
        "id": 13443927,
        "output": "",
        "meta": {"height": 512, "width": 512, "prompt": "p" * 130, "seed": 1237182},
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: loopback\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)

Look = Callable[[], Awaitable[object]]


class Figures(NamedTuple):
    """What one round measured."""

    rate: float
    cpu: float


class Answering(asyncio.Protocol):
    """Answers every request of a known length with the same bytes, and parses no more than that."""

    def __init__(self) -> None:
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n")) >= 0:
            head = self.seen[:end].lower()
            _, _, length = head.partition(b"content-length:")
            whole = end + 4 + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self.seen) < whole:
                return
            self.seen = self.seen[whole:]
            self.transport.write(ANSWER)


def serve(pipe: Pipe) -> None:
    """Serve until the process is ended, which its parent does."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(
            Answering, "127.0.0.1", 0, backlog=4096
        )
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def gathered(look: Look, *, polls: int, connections: int) -> None:
    """So many looks, no more of them at once than there are connections."""
    places = asyncio.Semaphore(connections)

    async def one() -> None:
        async with places:
            await look()

    await asyncio.gather(*(one() for _ in range(polls)))


@asynccontextmanager
async def over_httpx(
    url: str, connections: int, keep: int | None = 20
) -> AsyncGenerator[Look, None]:
    """What one writes by hand: a shared AsyncClient that keeps 20 of its connections, as usual."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=keep)
    async with httpx.AsyncClient(limits=limits, timeout=60.0) as client:

        async def look() -> object:
            response = await client.post(f"{url}/v6/realtime/fetch/13443927", json={"key": KEY})
            return response.json()

        yield look


def over_httpx_kept(url: str, connections: int) -> AbstractAsyncContextManager[Look]:
    """The same, with all connections kept: fewer of them are opened, more are searched."""
    return over_httpx(url, connections, keep=None)


@asynccontextmanager
async def over_client(url: str, connections: int) -> AsyncGenerator[Look, None]:
    """The whole way through `Client.fetch`."""
    async with Client(KEY, base_url=url, workers=connections, timeout=60.0) as client:
        yield lambda: client.fetch("realtime:13443927")


@asynccontextmanager
async def over_transport(url: str, connections: int) -> AsyncGenerator[Look, None]:
    """The default transport alone: the same bytes, nothing read."""
    http = HTTP11Transport(connections=connections)
    request = Request(
        method="POST",
        url=f"{url}/v6/realtime/fetch/13443927",
        headers=(
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
            ("user-agent", "benchmark"),
            ("content-type", "application/json"),
        ),
        body=json.dumps({"key": KEY}).encode(),
    )
    yield lambda: http.exchange(request)
    await http.aclose()


WAYS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Look]]] = {
    "httpx": over_httpx,
    "httpx, all kept": over_httpx_kept,
    "Client.fetch": over_client,
    "transport": over_transport,
}


async def measured(way: str, url: str, *, polls: int, connections: int) -> Figures:
    """One round: the connections are opened first, and then the looks timed."""
    async with WAYS[way](url, connections) as look:
        await gathered(look, polls=connections, connections=connections)
        began, used = time.perf_counter(), time.process_time()
        await gathered(look, polls=polls, connections=connections)
        took, spent = time.perf_counter() - began, time.process_time() - used
    return Figures(rate=polls / took, cpu=spent / polls * 1e6)


def compared(url: str, *, polls: int, connections: int, rounds: int) -> dict[str, Figures]:
    """The medians of some rounds of each way, in turns."""
    figures: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, found in figures.items():
            found.append(asyncio.run(measured(way, url, polls=polls, connections=connections)))
    return {
        way: Figures(*(statistics.median(column) for column in zip(*found, strict=True)))
        for way, found in figures.items()
    }


def table(figures: dict[str, Figures], connections: int) -> str:
    """One line a way, each beside the faster of the two plain httpx."""
    plain = max(figures["httpx"], figures["httpx, all kept"])
    return "\n".join(
        f"{connections:5} connections  {way:15} {rate:6.0f} looks/s  {cpu:6.0f} us CPU a look"
        f"  {rate / plain.rate:5.1f} x the rate  {plain.cpu / cpu:5.1f} x less CPU"
        for way, (rate, cpu) in figures.items()
    )


def main() -> None:
    """Start a server, compare at each number of connections, end the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--looks", type=int, default=3000)
    options = parser.parse_args()
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    server = spawning.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}"
        for connections in options.connections:
            figures = compared(
                url, polls=options.polls, connections=connections, rounds=options.rounds
            )
            print(table(figures, connections), flush=True)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
