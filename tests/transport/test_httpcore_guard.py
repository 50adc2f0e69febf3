"""Interim responses are counted on each connection, and the caller's own trace still works."""

import asyncio
from contextlib import suppress

import httpcore
import httpx
import pytest
from transport.http_server import OK, Server, read_request

from modelslab_async._transport.httpcore_guard import watch_connections
from modelslab_async._transport.public_only import PublicOnlyTransport

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


class FloodingServer(Server):
    """Sends normal responses to the first requests of a connection, and then interim ones only."""

    def __init__(self, normal_count):
        super().__init__()
        self.normal_count = normal_count

    async def talk(self, reader, writer, requests):
        for _ in range(self.normal_count):
            requests.append(await read_request(reader))
            writer.write(INTERIM * 60 + OK)
        requests.append(await read_request(reader))
        with suppress(ConnectionError):
            while True:
                writer.write(INTERIM * 1000)
                await writer.drain()
                await asyncio.sleep(0)


@pytest.mark.parametrize("normal_count", [0, 1, 3])
async def test_flood_on_a_reused_download_connection_is_an_error(normal_count):
    """Each request may have a hundred interim responses, whatever came before it."""
    async with (
        FloodingServer(normal_count) as server,
        httpx.AsyncClient(
            transport=PublicOnlyTransport(allow_private=True), timeout=600.0
        ) as client,
    ):
        for _ in range(normal_count):
            assert 200 == (await client.get(server.url)).status_code
        with pytest.raises(httpx.RemoteProtocolError, match="more than 100 interim"):
            await client.get(server.url)
    assert [normal_count + 1] == list(map(len, server.received))


async def test_trace_of_the_caller_is_still_called():
    """A `trace` extension that was set before gets every event."""
    events = []

    async def trace(event, _info):
        events.append(event)

    async with Server() as server, httpx.AsyncClient(timeout=600.0) as client:
        await client.get(server.url, extensions=watch_connections({"trace": trace}))
    assert "connection.connect_tcp.complete" in events
    assert "http11.receive_response_headers.complete" in events


async def test_reads_without_waiting_let_other_tasks_run():
    """TLS records of one byte each do not hold the event loop, because reads yield."""

    class Stream(httpcore.AsyncNetworkStream):
        async def read(self, _max_bytes, _timeout=None):
            return b"x"

    stream = Stream()
    trace = watch_connections({})["trace"]
    await trace("connection.start_tls.complete", {"return_value": stream})
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    for _ in range(1000):
        await stream.read(65536)
    ticking.cancel()
    assert ticks == 10


class ScriptedStream(httpcore.AsyncNetworkStream):
    """A connection that answers each request at once, and says what the test wants."""

    def __init__(self):
        self.is_readable = False
        self.written = []

    async def write(self, buffer, _timeout=None):
        self.written.append(buffer)

    async def read(self, _max_bytes, _timeout=None):
        return OK

    def get_extra_info(self, info):
        return self.is_readable if info == "is_readable" else None


async def test_bytes_that_come_after_the_pool_chose_a_connection_end_it():
    """The last look is taken right before the request is written."""
    stream = ScriptedStream()
    trace = watch_connections({})["trace"]
    await trace("connection.connect_tcp.complete", {"return_value": stream})
    for _ in range(2):
        assert not stream.get_extra_info("is_readable")
        await stream.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.get_extra_info("is_readable")  # The response has not come yet.
        assert OK == await stream.read(65536)
    stream.is_readable = True
    with pytest.raises(httpcore.ConnectionNotAvailable):
        await stream.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert 2 == len(stream.written)
