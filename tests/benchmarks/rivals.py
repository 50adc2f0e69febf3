"""
Compares clients that poll many ids: polls per second, CPU per poll, memory.

    python tests/benchmarks/rivals.py --connections 64 --rounds 5 --polls 5000 --save rivals.json

Every round runs in a process of its own, and the rounds of all clients alternate. So other load on
the machine meets them alike. Only the ratios of the medians mean anything.
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

from fixed_server import BODY, fixed_server
from machine import machine
from rounds import alternating_medians, in_fresh_process

KEY = "a-benchmark-key-0123456789"
ID = 13443927
PATH = f"/api/v6/realtime/fetch/{ID}"

Poll = Callable[[], Awaitable[object]]
Run = Callable[[int], Awaitable[None]]


class Figures(NamedTuple):
    """The figures of one round, or the medians of several."""

    rate: float
    cpu: float
    memory: float


def workers(poll: Poll, connections: int) -> Run:
    """One worker per connection, each polling in a loop."""

    async def run(polls: int) -> None:
        left = iter(range(polls))

        async def work() -> None:
            for _ in left:
                await poll()

        await asyncio.gather(*(work() for _ in range(connections)))

    return run


@asynccontextmanager
async def over_httpx(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """A shared httpx client that keeps all its connections."""
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=60.0) as client:

        async def poll() -> object:
            response = await client.post(url + PATH, json={"key": KEY})
            return response.json()

        yield workers(poll, connections)


@asynccontextmanager
async def over_aiohttp(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """A shared aiohttp session."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def poll() -> object:
            async with session.post(url + PATH, json={"key": KEY}) as response:
                return await response.json()

        yield workers(poll, connections)


@asynccontextmanager
async def over_official(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """The vendor's client. Its fetch returns at once, because the job is done."""
    from modelslab_py.core.apis.realtime import Realtime
    from modelslab_py.core.client import Client

    async with Client(api_key=KEY) as client:
        client.base_url = f"{url}/api/"
        api = Realtime(client=client)
        yield workers(lambda: api.async_fetch(str(ID)), connections)


@asynccontextmanager
async def over_pyreqwest(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """A shared client of pyreqwest."""
    from pyreqwest.client import ClientBuilder

    builder = ClientBuilder().max_connections(connections).follow_redirects(enable=False)
    async with builder.build() as client:

        async def poll() -> object:
            request = client.post(url + PATH).body_json({"key": KEY}).build()
            return await (await request.send()).json()

        yield workers(poll, connections)


@asynccontextmanager
async def over_default(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.fetch` with httptools."""
    from modelslab_async import Client

    async with Client(KEY, base_url=url, workers=connections) as client:
        yield workers(lambda: client.fetch(("realtime", ID)), connections)


@asynccontextmanager
async def over_h11(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.fetch` without httptools."""
    from modelslab_async import Client
    from modelslab_async._transport.http11.h11_codec import H11Codec
    from modelslab_async._transport.http11.transport import HTTP11Transport

    http = HTTP11Transport(connections=connections, make_codec=H11Codec)
    async with Client(KEY, base_url=url, http=http, workers=connections) as client:
        yield workers(lambda: client.fetch(("realtime", ID)), connections)


@asynccontextmanager
async def over_stream(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """`Client.stream` with httptools, which goes through the poller."""
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


class RawConnection(asyncio.Protocol):
    """Sends the same request again as soon as a reply of a known length has come."""

    def __init__(self, request: bytes, ahead: int) -> None:
        self.request, self.ahead = request, ahead
        self.length = self.got = self.left = self.wanted = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, polls: int) -> asyncio.Future[None]:
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
    """Builds and parses nothing: the most that the event loop and its sockets can do."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({"key": KEY})
    request = (
        f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: RawConnection(request, ahead), host, int(port))
        for _ in range(connections)
    ]

    async def run(polls: int) -> None:
        await asyncio.gather(
            *(connection.send(-(-polls // connections)) for _, connection in pairs)
        )

    yield run
    for transport, _ in pairs:
        transport.abort()


CLIENTS: dict[str, Callable[[str, int], AbstractAsyncContextManager[Run]]] = {
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


async def measured(name: str, url: str, polls: int, connections: int) -> Figures:
    """One round: open the connections, then time the polls."""
    before = _most_resident()
    async with CLIENTS[name](url, connections) as run:
        await run(2 * connections)
        began, used = time.perf_counter(), time.process_time()
        await run(polls)
        took, spent = time.perf_counter() - began, time.process_time() - used
        memory = _most_resident() - before
    return Figures(polls / took, spent / polls * 1e6, memory / 2**20)


def _most_resident() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def in_process(name: str, url: str, options: argparse.Namespace) -> Figures:
    runner = asyncio.run
    if options.uvloop:
        import uvloop

        runner = uvloop.run
    return runner(measured(name, url, options.polls, options.connections))


async def capacity(url: str) -> float:
    """Polls per second that the server answers to pipelined requests."""
    async with over_sockets(url, 32, ahead=32) as run:
        await run(2000)
        began = time.perf_counter()
        await run(40_000)
        return 40_000 / (time.perf_counter() - began)


def compared(url: str, options: argparse.Namespace) -> dict[str, Figures]:
    """The medians of all rounds of each client."""
    found = alternating_medians(
        options.clients,
        lambda name: in_fresh_process(in_process, name, url, options),
        rounds=options.rounds,
    )
    return {name: Figures(*figures) for name, figures in found.items()}


def ratios(figures: dict[str, Figures]) -> dict[str, dict[str, float]]:
    """The rate of each client, divided by the rate of each rival."""
    return {
        name: {rival: found.rate / figures[rival].rate for rival in RIVALS if rival in figures}
        for name, found in figures.items()
    }


def table(figures: dict[str, Figures]) -> str:
    """One line per client, the slowest first."""
    lines = [f"{'':20} {'polls/s':>8} {'us CPU':>7} {'MiB':>6}   times the polls/s of"]
    for name, times in sorted(ratios(figures).items(), key=lambda each: figures[each[0]].rate):
        rate, cpu, memory = figures[name]
        beside = "  ".join(f"{rival} {ratio:5.2f}" for rival, ratio in times.items())
        lines.append(f"{name:20} {rate:8.0f} {cpu:7.0f} {memory:6.1f}   {beside}")
    return "\n".join(lines)


def main() -> None:
    """Start a server and compare the clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--polls", type=int, default=5000)
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--uvloop", action="store_true", help="run all clients on uvloop")
    parser.add_argument("--save", type=Path, help="write the figures to this file, as JSON")
    options = parser.parse_args()
    # Exiting by SystemExit ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with fixed_server() as server:
        most = asyncio.run(capacity(server.url))
        figures = compared(server.url, options)
    print(f"{server.name} answers up to {most:.0f} polls/s; {options.connections} connections")
    print(table(figures))
    if options.save is not None:
        record = {
            "machine": machine(*PACKAGES),
            "server": {"name": server.name, "capacity": most},
            "connections": options.connections,
            "figures": {name: found._asdict() for name, found in figures.items()},
            "ratios": ratios(figures),
        }
        options.save.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
