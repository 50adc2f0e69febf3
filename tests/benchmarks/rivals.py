"""
The clients that this package is compared with, each used as its own documentation shows.

Each sends a number of polls over a number of connections, as fast as it can.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import cast

from fixed_server import BODY

KEY = "a-benchmark-key-0123456789"
ID = 13443927
PATH = f"/api/v6/realtime/fetch/{ID}"

Poll = Callable[[], Awaitable[object]]
Run = Callable[[int], Awaitable[None]]
Open = Callable[[str, int], AbstractAsyncContextManager[Run]]


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
    """A shared aiohttp session. It asks about another ticket each time."""
    import aiohttp

    numbers = count(ID)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections), trust_env="https_proxy" in os.environ
    ) as session:

        async def poll() -> object:
            target = f"{url}/api/v6/realtime/fetch/{next(numbers)}"
            async with session.post(target, json={"key": KEY}) as response:
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


RIVALS: dict[str, Open] = {
    "httpx": over_httpx,
    "modelslab-py": over_official,
    "aiohttp": over_aiohttp,
    "pyreqwest": over_pyreqwest,
    "sockets alone": over_sockets,
}


async def capacity(url: str) -> float:
    """Polls per second that the server answers to pipelined requests."""
    async with over_sockets(url, 32, ahead=32) as run:
        await run(2000)
        began = time.perf_counter()
        await run(40_000)
        return 40_000 / (time.perf_counter() - began)
