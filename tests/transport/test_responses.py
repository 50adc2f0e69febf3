"""Responses that are complete, cut, too long, or early."""

import asyncio
import gzip
import socket
from contextlib import suppress

import pytest
from transport.http_server import (
    CHUNKED,
    OK,
    Server,
    read_request,
    request_to,
)

from modelslab_async import (
    TransportError,
)


@pytest.mark.parametrize(
    ("answer", "status_code", "body"),
    [
        (OK, 200, b"{}"),
        (CHUNKED, 200, b"{}"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + OK, 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (
            b"HTTP/1.1 307 Go\r\nLocation: https://evil.example\r\nContent-Length: 0\r\n\r\n",
            307,
            b"",
        ),
    ],
    ids=["length", "chunks", "1xx", "204", "304", "empty", "redirect"],
)
@pytest.mark.parametrize("piece", [1, 1000], ids=["dripping", "at once"])
async def test_body_is_read_to_its_end(http, answer, status_code, body, piece):
    """Whatever its framing and however it is cut, a body is read to its end and no further."""

    class Dripping(Server):
        async def talk(self, reader, writer, requests):
            with suppress(asyncio.IncompleteReadError):
                while True:
                    requests.append(await read_request(reader))
                    for start in range(0, len(answer), piece):
                        writer.write(answer[start : start + piece])
                        await asyncio.sleep(0)

    async with Dripping() as server:
        for _ in range(2):
            response = await http.exchange(request_to(server))
            assert (status_code, body) == (response.status_code, response.body)
        await http.aclose()
    assert [2] == [len(requests) for requests in server.received]


async def test_compressed_body_is_not_decoded(http):
    """A compressed body is returned as received."""
    packed = gzip.compress(b"{}", mtime=0)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with Server(head + packed) as server:
        assert packed == (await http.exchange(request_to(server))).body
        await http.aclose()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed before the response was complete"),
        (b"HTTP/1.1 200", "closed before the response was complete"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "closed before the response was complete",
        ),
        (CHUNKED[:-9], "closed before the response was complete"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not an HTTP response"),
        (b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not an HTTP response"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50_000, "not an HTTP response"),
        (CHUNKED.replace(b"\n1\r", b"\nz\r"), "not an HTTP response"),
    ],
    ids=[
        "nothing",
        "head",
        "length",
        "chunks",
        "ssh",
        "tls",
        "101",
        "negative",
        "endless",
        "chunk",
    ],
)
async def test_incomplete_response_is_a_transport_error(http, answer, words):
    """The server may have read the request, so it may have been sent."""
    async with Server(answer, closes=True) as server:
        with pytest.raises(TransportError, match=words) as caught:
            await http.exchange(request_to(server))
        assert caught.value.may_have_been_sent
        await http.aclose()


async def test_reset_during_response_is_a_transport_error(http):
    """The error names the reset."""

    class Breaking(Server):
        async def talk(self, reader, writer, requests):
            requests.append(await read_request(reader))
            writer.write(OK[:-1])
            await writer.drain()
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

    async with Breaking() as server:
        with pytest.raises(TransportError, match="ConnectionResetError") as caught:
            await http.exchange(request_to(server))
        assert caught.value.may_have_been_sent


async def test_reused_connection_that_dies_may_have_sent_the_request(http):
    """No byte came back, but the server may have read the request."""

    class OnceOnly(Server):
        async def talk(self, reader, writer, requests):
            requests.append(await read_request(reader))
            writer.write(OK)
            requests.append(await read_request(reader))

    async with OnceOnly() as server:
        await http.exchange(request_to(server))
        with pytest.raises(TransportError) as caught:
            await http.exchange(request_to(server))
        assert caught.value.may_have_been_sent
        assert [2] == [len(requests) for requests in server.received]
        await http.exchange(request_to(server))
        await http.aclose()


@pytest.mark.parametrize("told", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_body_above_the_cap_is_a_transport_error(http, monkeypatch, told):
    """A body above the cap is not read to its end."""
    monkeypatch.setattr("modelslab_async._transport.transport_protocol.MAX_BODY_BYTES", 100_000)
    written = 0

    class Endless(Server):
        async def talk(self, reader, writer, _requests):
            nonlocal written
            await read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n" + told + b"\r\n")
            while written < 100_000_000:
                block = b"x" * 65536
                writer.write(b"10000\r\n" + block + b"\r\n" if told else block)
                await writer.drain()
                written += len(block)

    async with Endless() as server:
        with pytest.raises(TransportError, match="longer than"):
            await http.exchange(request_to(server))
    assert written < 50_000_000


async def test_response_before_the_request_is_sent_is_returned(http):
    """An early refusal is returned, and its connection is closed."""

    class Hasty(Server):
        async def talk(self, reader, writer, _requests):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            await reader.read()

    async with Hasty() as server:
        response = await http.exchange(request_to(server, body=b"x" * 50_000_000))
        assert 413 == response.status_code
        assert 413 == (await http.exchange(request_to(server))).status_code
        assert 2 == len(server.received)
        await http.aclose()
