"""Received bytes are parsed a little at a time: other tasks run, and nothing is lost."""

import asyncio
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from http_codecs import CODECS
from transport.http_server import Server, request_to, trusted_server_context
from transport.test_contract import http, served

from modelslab_async import Request, TransportError
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async._transport.httpx_adapter import HttpxTransportAdapter
from modelslab_async._transport.transport_protocol import MAX_SMALL_CHUNKS

__all__ = ["http"]

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CRUMB = b"1\r\nx\r\n"
LONG = bytes(range(256)) * 4096
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LONG), LONG),
    "chunked": HEAD + b"%x\r\n%b\r\n" % (len(LONG), LONG) + b"0\r\n\r\n",
    "until its end": b"HTTP/1.1 200 OK\r\n\r\n" + LONG,
}


@asynccontextmanager
async def counting_iterations():
    """Count the iterations of the event loop."""
    loop, ticks = asyncio.get_running_loop(), [0]

    def tick():
        nonlocal handle
        ticks[0] += 1
        handle = loop.call_soon(tick)

    handle = loop.call_soon(tick)
    yield ticks
    handle.cancel()


def recording_transport(parser, reads=None, ticks=None):
    """Return a transport that records how many bytes are parsed in which loop iteration."""

    class Noting(CODECS[parser]):
        def feed(self, data):
            if reads is not None:
                reads.append((ticks[0], len(data)))
            return super().feed(data)

    return HTTP11Transport(connections=4, make_codec=Noting)


@pytest.mark.parametrize("parser", CODECS)
async def test_bytes_received_at_once_are_parsed_in_slices(parser):
    """One loop iteration parses at most 8 KiB."""
    reads = []
    async with (
        counting_iterations() as ticks,
        Server(HEAD + CRUMB * MAX_SMALL_CHUNKS + b"0\r\n\r\n") as server,
    ):
        http = recording_transport(parser, reads, ticks)
        assert b"x" * MAX_SMALL_CHUNKS == (await http.exchange(request_to(server))).body
        assert 200 == (await http.exchange(request_to(server))).status_code
        assert 1 == len(server.received)
        await http.aclose()
    assert max(length for _, length in reads) <= 8192
    iterations = [iteration for iteration, _ in reads]
    assert len(iterations) == len(set(iterations))


async def test_chunks_received_at_once_over_httpx_are_read_in_slices():
    """A body stream that never waits yields after every hundred chunks."""

    class Crumbs(httpx.AsyncByteStream):
        async def __aiter__(self):
            for _ in range(MAX_SMALL_CHUNKS):
                yield b"x"

    async def answer(_request):
        return httpx.Response(200, stream=Crumbs())

    http = HttpxTransportAdapter(httpx.MockTransport(answer))
    async with counting_iterations() as ticks:
        response = await http.exchange(Request(method="GET", url="http://x.example/"))
        assert ticks[0] >= MAX_SMALL_CHUNKS // 100
    assert b"x" * MAX_SMALL_CHUNKS == response.body


async def test_endless_one_byte_chunks_are_given_up(http):
    """Every transport gives up after ten thousand chunks of one byte."""

    async def crumble(reader, writer, received_heads):
        received_heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD)
        while True:
            writer.write(CRUMB * 1000)
            await writer.drain()

    async with served(crumble) as (url, received_heads):
        with pytest.raises(TransportError, match="chunks of less than 64 bytes") as caught:
            async with asyncio.timeout(300):
                await http.exchange(Request(method="POST", url=f"{url}/x", body=b"{}"))
        assert caught.value.may_have_been_sent
        assert 1 == len(received_heads)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("parser", CODECS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_long_response_is_complete(answer, parser, encrypted, monkeypatch, tmp_path):
    """Whatever its framing, and over TLS too; it keeps its connection if it can."""
    tls = trusted_server_context(monkeypatch, tmp_path, "127.0.0.1") if encrypted else None
    closes = answer == "until its end"
    async with Server(ANSWERS[answer], closes=closes, tls=tls) as server:
        http = recording_transport(parser)
        for _ in range(3):
            assert LONG == (await http.exchange(request_to(server))).body
        assert (3 if closes else 1) == len(server.received)
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_surplus_bytes_after_long_response_close_the_connection(parser):
    """Surplus bytes are no other response, even if they are slices away."""
    async with Server(ANSWERS["length"] + ANSWERS["length"]) as server:
        http = recording_transport(parser)
        for _ in range(3):
            assert LONG == (await http.exchange(request_to(server))).body
        assert 3 == len(server.received)
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_long_response_that_is_cut_is_an_error(parser):
    """Half a body is an error, however many slices it has."""
    async with Server(ANSWERS["length"][:-1], closes=True) as server:
        http = recording_transport(parser)
        with pytest.raises(
            TransportError, match="closed before the response was complete"
        ) as caught:
            await http.exchange(request_to(server))
        assert caught.value.may_have_been_sent
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_cancelled_between_two_slices(parser):
    """A call that is cancelled while its response is parsed leaves nothing behind."""
    reads = []
    async with counting_iterations() as ticks, Server(ANSWERS["length"]) as server:
        http = recording_transport(parser, reads, ticks)
        for slices in range(1, 6):
            reads.clear()
            asked = asyncio.create_task(http.exchange(request_to(server)))
            while len(reads) < slices:  # noqa: ASYNC110 -- no event tells it.
                await asyncio.sleep(0)
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked
        assert LONG == (await http.exchange(request_to(server))).body
        await http.aclose()
