"""
The ways of this package to settle tickets, as `rivals.py` has those of others.

`fetch` polls each ticket once. `stream` and `gather` open, poll and settle each ticket.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from rivals import ID, KEY, Open, Run, workers

from modelslab_async import Client, Pace
from modelslab_async._transport.http11.h11_codec import H11Codec
from modelslab_async._transport.http11.httptools_codec import HttptoolsCodec
from modelslab_async._transport.http11.transport import HTTP11Transport

MakeHTTP = Callable[[int], Any]


def client_at(url: str, connections: int, http: Any, **options: Any) -> Client:
    return Client(KEY, base_url=url, http=http, workers=connections, **options)


def with_httptools(connections: int) -> HTTP11Transport:
    return HTTP11Transport(connections=connections, make_codec=HttptoolsCodec)


def with_h11(connections: int) -> HTTP11Transport:
    return HTTP11Transport(connections=connections, make_codec=H11Codec)


def over_fetch(make_http: MakeHTTP) -> Open:
    """`Client.fetch`, which polls each ticket once."""

    @asynccontextmanager
    async def open_client(url: str, connections: int) -> AsyncGenerator[Run, None]:
        numbers = count(ID)
        async with client_at(url, connections, make_http(connections)) as client:
            yield workers(lambda: client.fetch(("realtime", next(numbers))), connections)

    return open_client


def over_stream(make_http: MakeHTTP) -> Open:
    """`Client.stream`."""

    @asynccontextmanager
    async def open_client(url: str, connections: int) -> AsyncGenerator[Run, None]:
        async with client_at(url, connections, make_http(connections)) as client:
            numbers = count(ID)

            async def run(tickets: int) -> None:
                source = (("realtime", next(numbers)) for _ in range(tickets))
                async for outcome in client.stream(source):
                    assert outcome.output

            yield run

    return open_client


def over_gather(make_http: MakeHTTP) -> Open:
    """`Client.gather`."""

    @asynccontextmanager
    async def open_client(url: str, connections: int) -> AsyncGenerator[Run, None]:
        async with client_at(url, connections, make_http(connections)) as client:
            numbers = count(ID)

            async def run(tickets: int) -> None:
                wanted = [("realtime", next(numbers)) for _ in range(tickets)]
                assert all(outcome.output for outcome in await client.gather(wanted))

            yield run

    return open_client


class CountedTransport:
    """Sets an event after a number of polls."""

    def __init__(self, http: Any) -> None:
        self._http = http
        self._left = 0
        self._reached = asyncio.Event()

    async def exchange(self, request: Any) -> Any:
        response = await self._http.exchange(request)
        self._left -= 1
        if self._left == 0:
            self._reached.set()
        return response

    async def until(self, polls: int) -> None:
        self._left = polls
        self._reached.clear()
        await self._reached.wait()

    async def aclose(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def over_open_tickets(url: str, connections: int) -> AsyncGenerator[Run, None]:
    """The poller, with a thousand open tickets that are always due."""
    http = CountedTransport(with_httptools(connections))
    async with client_at(url, connections, http, pace=Pace.fixed(0.001)) as client:
        tickets = [("realtime", ID + number) for number in range(1000)]
        waiting = asyncio.create_task(client.gather(tickets))
        await http.until(len(tickets))
        yield http.until
        waiting.cancel()
        await asyncio.wait((waiting,))


OWN_CLIENTS: dict[str, Open] = {
    "fetch": over_fetch(with_httptools),
    "stream": over_stream(with_httptools),
    "gather": over_gather(with_httptools),
    "fetch, h11": over_fetch(with_h11),
    "stream, h11": over_stream(with_h11),
    "gather, h11": over_gather(with_h11),
    "open tickets": over_open_tickets,
}
