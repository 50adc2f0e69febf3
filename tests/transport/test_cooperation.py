"""What comes at once is read a little at a time: others get their turns, and nothing is lost."""

import asyncio
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from http_codecs import CODECS, codec_class
from transport.test_connections import Server, asking, certified
from transport.test_contract import http, served

from modelslab_async import Request, TransportError
from modelslab_async._transport.base import MAX_SMALL_CHUNKS
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async._transport.httpx_adapter import HttpxTransportAdapter

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
async def ticking():
    """Counts the turns that the event loop gives."""
    loop, ticks = asyncio.get_running_loop(), [0]

    def tick():
        nonlocal handle
        ticks[0] += 1
        handle = loop.call_soon(tick)

    handle = loop.call_soon(tick)
    yield ticks
    handle.cancel()


def own(parser, reads=None, ticks=None):
    """Connections of our own that note how much is read at which turn."""

    class Noting(codec_class(parser)):
        def feed(self, data):
            if reads is not None:
                reads.append((ticks[0], len(data)))
            return super().feed(data)

    return HTTP11Transport(connections=4, make_codec=Noting)


@pytest.mark.parametrize("parser", CODECS)
async def test_what_comes_at_once_is_read_by_turns(parser):
    """However much has come, a turn reads 8 KiB of it at the most."""
    reads = []
    async with ticking() as ticks, Server(HEAD + CRUMB * MAX_SMALL_CHUNKS + b"0\r\n\r\n") as server:
        http = own(parser, reads, ticks)
        assert b"x" * MAX_SMALL_CHUNKS == (await http.exchange(asking(server))).body
        assert 200 == (await http.exchange(asking(server))).status_code
        assert 1 == len(server.seen)
        await http.aclose()
    assert max(length for _, length in reads) <= 8192
    turns = [turn for turn, _ in reads]
    assert len(turns) == len(set(turns))


async def test_what_comes_at_once_over_httpx_is_read_by_turns():
    """A stream that never waits lets others have theirs after every hundred pieces."""

    class Crumbs(httpx.AsyncByteStream):
        async def __aiter__(self):
            for _ in range(MAX_SMALL_CHUNKS):
                yield b"x"

    async def answer(_request):
        return httpx.Response(200, stream=Crumbs())

    http = HttpxTransportAdapter(httpx.MockTransport(answer))
    async with ticking() as ticks:
        response = await http.exchange(Request(method="GET", url="http://x.example/"))
        assert ticks[0] >= MAX_SMALL_CHUNKS // 100
    assert b"x" * MAX_SMALL_CHUNKS == response.body


async def test_a_reply_in_crumbs_that_never_ends(http):
    """Chunks of one byte are given up after ten thousand of them, over every transport."""

    async def crumble(reader, writer, heard):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HEAD)
        while True:
            writer.write(CRUMB * 1000)
            await writer.drain()

    async with served(crumble) as (url, heard):
        with pytest.raises(TransportError, match="chunks of less than 64 bytes") as caught:
            async with asyncio.timeout(20):
                await http.exchange(Request(method="POST", url=f"{url}/x", body=b"{}"))
        assert caught.value.may_have_been_sent
        assert 1 == len(heard)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("parser", CODECS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_long_reply_comes_whole(answer, parser, encrypted, monkeypatch, tmp_path):
    """Whichever way its end is told, and with TLS too; it keeps its connection if it can."""
    tls = certified(monkeypatch, tmp_path, "127.0.0.1") if encrypted else None
    closes = answer == "until its end"
    async with Server(ANSWERS[answer], closes=closes, tls=tls) as server:
        http = own(parser)
        for _ in range(3):
            assert LONG == (await http.exchange(asking(server))).body
        assert (3 if closes else 1) == len(server.seen)
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_what_follows_a_long_reply_ends_its_connection(parser):
    """Bytes behind an answer are taken for no other answer, be they slices away."""
    async with Server(ANSWERS["length"] + ANSWERS["length"]) as server:
        http = own(parser)
        for _ in range(3):
            assert LONG == (await http.exchange(asking(server))).body
        assert 3 == len(server.seen)
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_a_long_reply_that_is_cut_is_no_reply(parser):
    """Half a body is an error, however many slices it has."""
    async with Server(ANSWERS["length"][:-1], closes=True) as server:
        http = own(parser)
        with pytest.raises(TransportError, match="closed before the response was complete") as caught:
            await http.exchange(asking(server))
        assert caught.value.may_have_been_sent
        await http.aclose()


@pytest.mark.parametrize("parser", CODECS)
async def test_cancelled_between_two_slices(parser):
    """A call that is left while its reply is being read leaves nothing behind."""
    reads = []
    async with ticking() as ticks, Server(ANSWERS["length"]) as server:
        http = own(parser, reads, ticks)
        for slices in range(1, 6):
            reads.clear()
            asked = asyncio.create_task(http.exchange(asking(server)))
            while len(reads) < slices:  # noqa: ASYNC110 -- no event tells it.
                await asyncio.sleep(0)
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked
        assert LONG == (await http.exchange(asking(server))).body
        await http.aclose()
