"""
All ways to ask the service about many ids, in one run: looks a second, CPU a look, memory.

    python tests/benchmarks/rivals.py --connections 64 --rounds 5 --looks 5000 --save rivals.json

Every round of every way runs in a process of its own, and the rounds of all ways alternate, so that
whatever else the machine does meets them alike. Only the ratios of the medians mean anything.
"""

import argparse
import asyncio
import json
import resource
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

from answering import BODY, answering
from machine import machine
from rounds import apart, in_turns

KEY = "a-benchmark-key-0123456789"
ID = 13443927
PATH = f"/api/v6/realtime/fetch/{ID}"

Look = Callable[[], Awaitable[object]]
Run = Callable[[int], Awaitable[None]]


class Figures(NamedTuple):
    """What one round measured, or the medians of some."""

    rate: float
    cpu: float
    memory: float


def at_once(look: Look, connections: int) -> Run:
    """Looks, so many at once as there are connections, as fast workers with a loop each do them."""

    async def run(polls: int) -> None:
        left = iter(range(polls))

        async def work() -> None:
            for _ in left:
                await look()

        await asyncio.gather(*(work() for _ in range(connections)))

    return run


@asynccontextmanager
async def over_httpx(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """A shared client, with its limits at the number of connections."""
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=60.0) as client:

        async def look() -> object:
            response = await client.post(url + PATH, json={"key": KEY})
            return response.json()

        yield at_once(look, connections)


@asynccontextmanager
async def over_aiohttp(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """A bare loop over a shared session."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def look() -> object:
            async with session.post(url + PATH, json={"key": KEY}) as response:
                return await response.json()

        yield at_once(look, connections)


@asynccontextmanager
async def over_official(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """The vendor's client, whose fetch comes back at once where the job is done."""
    from modelslab_py.core.apis.realtime import Realtime
    from modelslab_py.core.client import Client

    async with Client(api_key=KEY) as client:
        client.base_url = f"{url}/api/"
        api = Realtime(client=client)
        yield at_once(lambda: api.async_fetch(str(ID)), connections)


@asynccontextmanager
async def over_pyreqwest(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """Its own API, bare."""
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().max_connections(connections).follow_redirects(enable=False)
    async with builder.build() as client:

        async def look() -> object:
            request = client.post(url + PATH).body_json({"key": KEY}).build()
            return await (await request.send()).json()

        yield at_once(look, connections)


@asynccontextmanager
async def over_default(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.fetch` as it is with httptools."""
    from modelslab_async import Client

    async with Client(KEY, base_url=url, workers=connections) as client:
        yield at_once(lambda: client.fetch(("realtime", ID)), connections)


@asynccontextmanager
async def over_h11(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.fetch` as it is without httptools."""
    from modelslab_async import Client
    from modelslab_async._transport.http11.h11_codec import H11Codec
    from modelslab_async._transport.http11.transport import HTTP11Transport

    http = HTTP11Transport(connections=connections, make_codec=H11Codec)
    async with Client(KEY, base_url=url, http=http, workers=connections) as client:
        yield at_once(lambda: client.fetch(("realtime", ID)), connections)


@asynccontextmanager
async def over_stream(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.stream` with httptools: through the poller, as thousands of ids go."""
    from modelslab_async import Client

    async with Client(KEY, base_url=url, workers=connections) as client:
        first = ID

        async def run(polls: int) -> None:
            nonlocal first
            tickets = (("realtime", number) for number in range(first, first + polls))
            first += polls
            async for outcome in client.stream(tickets):
                assert outcome.output

        yield run


class Bare(asyncio.Protocol):
    """Sends the same bytes again as soon as an answer of a known length has come."""

    def __init__(self, request: bytes, ahead: int) -> None:
        self.request, self.ahead = request, ahead
        self.length = self.got = self.left = self.wanted = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, polls: int) -> asyncio.Future[None]:
        self.left = self.wanted = polls
        self.done = asyncio.get_running_loop().create_future()
        first = min(self.ahead, polls)
        self.left -= first
        self.transport.write(self.request * first)
        return self.done

    def data_received(self, data: bytes) -> None:
        if not self.length:
            self.length = data.index(b"\r\n\r\n") + 4 + len(BODY)
        self.got += len(data)
        whole, self.got = divmod(self.got, self.length)
        self.wanted -= whole
        again = min(whole, self.left)
        self.left -= again
        if again:
            self.transport.write(self.request * again)
        if self.wanted <= 0 and not self.done.done():
            self.done.set_result(None)


@asynccontextmanager
async def over_sockets(url: str, connections: int, ahead: int = 1) -> AsyncGenerator[Run, None]:
    """Nothing is read, nothing is built: what a loop and its sockets can do at the most."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({"key": KEY})
    request = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Bare(request, ahead), host, int(port))
        for _ in range(connections)
    ]

    async def run(polls: int) -> None:
        await asyncio.gather(*(bare.ask(-(-polls // connections)) for _, bare in pairs))

    yield run
    for transport, _ in pairs:
        transport.abort()


WAYS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Run]]] = {
    "httpx": over_httpx,
    "modelslab-py": over_official,
    "aiohttp": over_aiohttp,
    "pyreqwest": over_pyreqwest,
    "Client": over_default,
    "Client, h11": over_h11,
    "Client.stream": over_stream,
    "sockets alone": over_sockets,
}
RIVALS = ("aiohttp", "modelslab-py", "httpx")
PACKAGES = ("httpx", "aiohttp", "modelslab_py", "pyreqwest", "httptools", "uvloop")


async def measured(way: str, url: str, polls: int, connections: int) -> Figures:
    """One round: the connections are opened first, and then the looks timed."""
    before = _most_resident()
    async with WAYS[way](url, connections) as run:
        await run(2 * connections)
        began, used = time.perf_counter(), time.process_time()
        await run(polls)
        took, spent = time.perf_counter() - began, time.process_time() - used
        memory = _most_resident() - before
    return Figures(polls / took, spent / polls * 1e6, memory / 2**20)


def _most_resident() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def in_process(way: str, url: str, options: argparse.Namespace) -> Figures:
    runner = asyncio.run
    if options.uvloop:
        import uvloop

        runner = uvloop.run
    return runner(measured(way, url, options.polls, options.connections))


async def capacity(url: str) -> float:
    """Looks a second that the server answers when nobody waits for an answer to ask again."""
    async with over_sockets(url, 32, ahead=32) as run:
        await run(2000)
        began = time.perf_counter()
        await run(40_000)
        return 40_000 / (time.perf_counter() - began)


def compared(url: str, options: argparse.Namespace) -> dict[str, Figures]:
    """The medians of all rounds of each way, in turns."""
    found = in_turns(
        options.ways, lambda way: apart(in_process, way, url, options), rounds=options.rounds
    )
    return {way: Figures(*figures) for way, figures in found.items()}


def ratios(figures: dict[str, Figures]) -> dict[str, dict[str, float]]:
    """How many times the looks a second of each rival each way does."""
    return {
        way: {rival: found.rate / figures[rival].rate for rival in RIVALS if rival in figures}
        for way, found in figures.items()
    }


def table(figures: dict[str, Figures]) -> str:
    """One line a way, the slowest first."""
    lines = [f"{'':20} {'looks/s':>8} {'us CPU':>7} {'MiB':>6}   times the looks/s of"]
    for way, times in sorted(ratios(figures).items(), key=lambda each: figures[each[0]].rate):
        rate, cpu, memory = figures[way]
        beside = "  ".join(f"{rival} {ratio:5.2f}" for rival, ratio in times.items())
        lines.append(f"{way:20} {rate:8.0f} {cpu:7.0f} {memory:6.1f}   {beside}")
    return "\n".join(lines)


def main() -> None:
    """Start a server, compare, end the server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--looks", type=int, default=5000)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--uvloop", action="store_true", help="run all ways on uvloop")
    parser.add_argument("--save", type=Path, help="write the figures to this file, as JSON")
    options = parser.parse_args()
    # Whoever ends this program ends the server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with answering() as server:
        most = asyncio.run(capacity(server.url))
        figures = compared(server.url, options)
    print(f"{server.name} answers up to {most:.0f} looks/s; {options.connections} connections")
    print(table(figures))
    if options.save is not None:
        record = {
            "machine": machine(*PACKAGES),
            "server": {"name": server.name, "capacity": most},
            "connections": options.connections,
            "figures": {way: found._asdict() for way, found in figures.items()},
            "ratios": ratios(figures),
        }
        options.save.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
