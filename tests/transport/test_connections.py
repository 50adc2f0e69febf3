"""Our own HTTP/1.1 connections, against servers that behave well, badly, or not at all."""

import asyncio
import gzip
import socket
import ssl
import sys
import threading
import time
import traceback
from contextlib import suppress
from functools import partial

import httpx
import pytest
import trustme
from http_codecs import CODECS, codec_class

from modelslab_async import (
    Call,
    Client,
    HandshakeFailed,
    Request,
    Success,
    TransportError,
    UntrustedServer,
    UnusableProxy,
)
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.http11 import origin_pool
from modelslab_async._transport.http11.connect import SSLContextLoader, connect_socket
from modelslab_async._transport.http11.connection import Connection
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async._transport.sender import Sender, as_transport
from modelslab_async.emulator import Emulator, run_faulty_server

KEY = "canary-key-Zq81"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\na: b\r\n\r\n"
)


class Server:
    """
    Sends the same response to every request, and records the requests of each connection.

    Its end waits until each of its connections was closed by the other side, so a test that ends
    has leaked no socket.
    """

    def __init__(self, answer=OK, *, closes=False, host="127.0.0.1", tls=None):
        self.answer = answer
        self.closes = closes
        self.gate = asyncio.Event()
        self.gate.set()
        self.received = []
        self.writers = []
        self._where = (host, tls)
        self._talks = set()

    async def __aenter__(self):
        host, tls = self._where
        self._server = await asyncio.start_server(self._accept, host, 0, ssl=tls, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"
        return self

    async def __aexit__(self, *_exc):
        self._server.close()
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(*self._talks)

    async def _accept(self, reader, writer):
        self._talks.add(asyncio.current_task())
        requests = []
        self.received.append(requests)
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self.talk(reader, writer, requests)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def talk(self, reader, writer, requests):
        while True:
            requests.append(await read_request(reader))
            await self.gate.wait()
            writer.write(self.answer)
            await writer.drain()
            if self.closes:
                return


async def read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
    return head, await reader.readexactly(int(lines.get("content-length", "0")))


@pytest.fixture(params=CODECS)
def own(request):
    """Connections of our own over each of the parsers: all keep the same promises."""
    return partial(HTTP11Transport, make_codec=codec_class(request.param))


@pytest.fixture
async def http(own):
    http = own(connections=4)
    yield http
    await http.aclose()


def request_to(server, path="/x", **more):
    more = {"method": "POST", "headers": (("key", KEY),), "body": b'{"a":1}'} | more
    return Request(url=server.url + path, **more)


def resolve_instantly(monkeypatch, *found):
    """Names resolve at once, so that loop iterations tell how far a call has come."""

    async def getaddrinfo(host, port, **_kind):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", to) for to in found or [(host, port)]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def trusted_server_context(monkeypatch, tmp_path, *names):
    """Return a TLS context for a server that the environment makes the client trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.005)


# Reuse of connections.


async def test_connection_is_reused(http):
    """Sequential requests share one connection, and each response is complete."""
    async with Server() as server:
        for number in range(3):
            response = await http.exchange(request_to(server, f"/{number}?a=b", body=b"x" * number))
            assert (200, b"{}") == (response.status_code, response.body)
            assert [(b"Content-Length", b"2")] == list(response.headers)
        await http.aclose()
    (requests,) = server.received
    for number, (head, body) in enumerate(requests):
        assert b"x" * number == body
        assert head.startswith(f"POST /{number}?a=b HTTP/1.1\r\n")
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
        assert f"\r\nkey: {KEY}\r\n" in head


async def test_submit_opens_a_new_connection(http):
    """A request that must not be repeated gets a new connection, which others may use later."""
    async with Server() as server:
        for needs_new_connection in (False, True, False):
            await http.exchange(request_to(server, needs_new_connection=needs_new_connection))
        await http.aclose()
    assert [1, 2] == [len(requests) for requests in server.received]


async def test_get_without_body_has_no_content_length(http):
    """Only a request that may have a body declares its length."""
    async with Server() as server:
        await http.exchange(request_to(server, "", method="GET", body=b""))
        await http.aclose()
    head, _ = server.received[0][0]
    assert head.startswith("GET / HTTP/1.1\r\n")
    assert "content-length" not in head.lower()


async def test_connection_used_last_is_used_next(http):
    """In quieter times the other connections stay idle until they expire."""
    async with Server() as server:
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(4)))
        for _ in range(6):
            await http.exchange(request_to(server))
        await http.aclose()
    assert [1, 1, 1, 7] == sorted(len(requests) for requests in server.received)


async def test_connection_limit_holds_and_waiters_go_in_order(http):
    """Requests beyond the limit wait, and are sent in the order they came."""
    async with Server() as server:
        server.gate.clear()
        exchange = asyncio.gather(*(http.exchange(request_to(server, f"/{n}")) for n in range(20)))
        await until(lambda: sum(map(len, server.received)) == 4)
        await asyncio.sleep(0.02)
        assert 4 == sum(map(len, server.received))
        server.gate.set()
        await exchange
        await http.aclose()
    assert 4 == len(server.received)
    for requests in server.received:
        numbers = [int(head.split()[1][1:]) for head, _ in requests]
        assert sorted(numbers) == numbers


@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", True),
        (OK + OK, False),
        (OK + b"\r\n", False),
        (OK, True),
    ],
    ids=["Connection: close", "HTTP/1.0", "until close", "two answers", "a line too much", "cut"],
)
async def test_unusable_connection_serves_one_request(http, answer, closes):
    """A connection that the server closes, or that has surplus bytes, is not reused."""
    async with Server(answer, closes=closes) as server:
        for _ in range(3):
            assert b"{}" == (await http.exchange(request_to(server))).body
            await asyncio.sleep(0.01)
        assert 3 == len(server.received)
        await http.aclose()


async def test_unrequested_bytes_close_an_idle_connection(http):
    """They are never read as the response to the next request."""
    async with Server() as server:
        await http.exchange(request_to(server))
        server.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await server.writers[0].drain()
        (origin,) = http._routes.values()
        await until(lambda: not origin._idle)
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()
    assert 2 == len(server.received)


@pytest.mark.parametrize("farewell", [b"", OK])
async def test_closed_connection_is_noticed_by_a_blocked_loop(http, farewell):
    """If the server closed while the loop was blocked, the next request opens a new connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed = threading.Event()

    def serve():
        for _ in range(2):
            sock, _ = listener.accept()
            with sock:
                while not sock.recv(65536).endswith(b"}"):
                    pass
                sock.sendall(OK)
                time.sleep(0.05)
                if farewell:
                    sock.sendall(farewell)
            closed.set()

    # Without a limit, a second exchange that never comes would block the test.
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    request = Request(
        method="POST", url=f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"{}"
    )
    await http.exchange(request)
    assert closed.wait(5)  # Blocks the loop.
    assert 200 == (await http.exchange(request)).status_code
    await asyncio.to_thread(thread.join, 5)
    listener.close()


async def test_idle_connection_expires(http, monkeypatch):
    """A timer closes a connection that was idle for long, and leaves a younger one alone."""
    monkeypatch.setattr("modelslab_async._transport.http11.origin_pool.KEEPALIVE_S", 0.2)
    async with Server() as server:
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(2)))
        await asyncio.sleep(0.12)
        await http.exchange(request_to(server))
        await until(lambda: any(writer.is_closing() for writer in server.writers))
        assert [False, True] == sorted(writer.is_closing() for writer in server.writers)
        await until(lambda: all(writer.is_closing() for writer in server.writers))
        await http.exchange(request_to(server))
        assert 3 == len(server.received)
        await http.aclose()


async def test_expired_connection_is_not_reused_when_the_timer_is_late(http, monkeypatch):
    """The age is also checked when a connection is taken."""
    async with Server() as server:
        await http.exchange(request_to(server))
        monkeypatch.setattr("modelslab_async._transport.http11.origin_pool.KEEPALIVE_S", 0.0)
        await http.exchange(request_to(server))
        assert 2 == len(server.received)
        await http.aclose()


# What comes back.


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
    monkeypatch.setattr("modelslab_async._transport.base.MAX_BODY_BYTES", 100_000)
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


# Getting there.


async def test_connection_lost_before_its_exchange_sent_nothing(own):
    """A reset between connecting and sending raises at once."""
    loop = asyncio.get_running_loop()
    async with Server() as server:
        on_closed = asyncio.Event()
        _, connection = await loop.create_connection(
            lambda: Connection(
                own(connections=1)._make_codec,
                on_connected=lambda _: None,
                on_closed=lambda _: on_closed.set(),
            ),
            "127.0.0.1",
            server.port,
        )
        connection.abort()
        await on_closed.wait()
        with pytest.raises(TransportError) as caught:
            async with asyncio.timeout(5):
                await connection.exchange(request_to(server), "x")
    assert not caught.value.may_have_been_sent


async def test_refused_connection_never_sent(http):
    """No server listens, so nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TransportError, match="ConnectionRefusedError") as caught:
        await http.exchange(Request(method="GET", url=url))
    assert not caught.value.may_have_been_sent


async def test_host_that_never_connects_never_sent(http, monkeypatch):
    """If connecting times out, the request provably never left."""

    async def silent(*_address):
        await asyncio.Event().wait()

    resolve_instantly(monkeypatch)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", silent)
    monkeypatch.setattr(origin_pool, "_CONNECT_TIMEOUT_S", 0.05)
    with pytest.raises(TransportError, match="no connection within") as caught:
        await http.exchange(Request(method="GET", url="http://127.0.0.1:9/x"))
    assert not caught.value.may_have_been_sent


async def test_unknown_host_never_sent(http, monkeypatch):
    """A name without an address gets no request."""

    async def getaddrinfo(*_args, **_kind):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportError, match="Name or service not known") as caught:
        await http.exchange(Request(method="GET", url="https://nowhere.invalid"))
    assert not caught.value.may_have_been_sent


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "http:///x",
        "host/x",
        "http://host:port/x",
        "http://[::1/x",
        f"http://{'a' * 64}.example/x",
        "http://\u2603\u0301\ufffd/x",
        "http://127.0.0.1/a b",
    ],
)
async def test_invalid_url_never_sent(http, url, monkeypatch):
    """An invalid URL is a TransportError, so it does not break the poller."""
    async with Server() as server:
        if "127.0.0.1" in url:
            resolve_instantly(monkeypatch, ("127.0.0.1", server.port))
        with pytest.raises(TransportError) as caught:
            await http.exchange(Request(method="GET", url=url))
        assert not caught.value.may_have_been_sent


async def test_international_host_and_path_are_encoded(http, monkeypatch):
    """The host is sent as punycode and the path percent-encoded."""
    async with Server() as server:
        resolve_instantly(monkeypatch, ("127.0.0.1", server.port))
        await http.exchange(Request(method="GET", url="http://b\u00fccher.example/\u00fc?\u00fc=1"))
        await http.aclose()
    head, _ = server.received[0][0]
    assert head.startswith("GET /%C3%BC?%C3%BC=1 HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n")


async def test_ipv6_host_header(http, monkeypatch):
    """An IPv6 address has brackets, and a default port is left out."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with Server(host="::1") as server:
        await http.exchange(request_to(server))
        resolve_instantly(monkeypatch, ("127.0.0.1", server.port))
        with pytest.raises(TransportError):
            await http.exchange(Request(method="GET", url="http://[::1]/"))
        await http.aclose()
    head, _ = server.received[0][0]
    assert f"\r\nHost: [::1]:{server.port}\r\n" in head


@pytest.mark.parametrize("port", ["", ":80"])
async def test_host_header_omits_the_default_port(http, monkeypatch, port):
    """The `Host` header leaves it out, however the URL spells it."""
    async with Server() as server:
        resolve_instantly(monkeypatch, ("127.0.0.1", server.port))
        await http.exchange(Request(method="GET", url=f"http://Some.Example{port}/"))
        await http.aclose()
    head, _ = server.received[0][0]
    assert "\r\nHost: some.example\r\n" in head


async def test_silent_address_does_not_block_the_others(http, monkeypatch):
    """After a moment the next address is tried beside it, and sockets that lose are closed."""
    loop = asyncio.get_running_loop()
    both = loop.create_future()
    tried = []

    async def sock_connect(sock, address):
        tried.append((sock, address))
        await (asyncio.sleep(60) if address[1] == 1 else asyncio.shield(both))
        sock.settimeout(5)
        sock.connect(address)
        sock.settimeout(0)

    async with Server() as server:
        silent, good = ("127.0.0.1", 1), ("127.0.0.1", server.port)
        resolve_instantly(monkeypatch, silent, good, good)
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        exchange = asyncio.create_task(http.exchange(request_to(server)))
        await until(lambda: len(tried) == 3)
        both.set_result(None)
        assert 200 == (await exchange).status_code
        assert 2 == sum(sock.fileno() < 0 for sock, _ in tried)
        await http.aclose()


async def test_dead_first_address_delays_the_request_by_a_quarter_second(http, monkeypatch):
    """A first address that never answers costs one head start, and the request arrives once."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock, address):
        await (asyncio.sleep(60) if address[1] == 1 else connect(sock, address))

    async with Server() as server:
        resolve_instantly(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", server.port))
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        started_at = loop.time()
        assert 200 == (await http.exchange(request_to(server))).status_code
        assert 0.2 < loop.time() - started_at < 5.0
        await http.aclose()
    assert 1 == sum(map(len, server.received))


async def test_refusing_first_address_is_skipped(http, monkeypatch):
    """A first address that refuses the connection leads to the second one at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    async with Server() as server:
        resolve_instantly(monkeypatch, refusing, ("127.0.0.1", server.port))
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()


async def test_both_address_families_are_tried_alternately(monkeypatch):
    """A host whose IPv6 is broken is reached after one head start, not many."""
    families = [socket.AF_INET6] * 3 + [socket.AF_INET]
    addresses = [
        (family, socket.SOCK_STREAM, 6, "", (f"{number}", 1))
        for number, family in enumerate(families)
    ]
    tried = []

    async def sock_connect(_sock, address):
        tried.append(int(address[0]))
        raise OSError(111, f"refused by {address}")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
    with pytest.raises(OSError, match="refused by"):
        await connect_socket(addresses)
    assert [0, 3, 1, 2] == tried


async def test_tls_uses_the_certificates_of_the_environment(http, monkeypatch, tmp_path):
    """`SSL_CERT_FILE` applies, and the server gets the host name unless that is an address."""
    context = trusted_server_context(monkeypatch, tmp_path, "localhost", "127.0.0.1")
    names = []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with Server(tls=context) as server:
        for host in ("localhost", "127.0.0.1"):
            request = Request(method="GET", url=f"https://{host}:{server.port}/")
            assert b"{}" == (await http.exchange(request)).body
            assert b"{}" == (await http.exchange(request)).body
        alpn = {
            writer.get_extra_info("ssl_object").selected_alpn_protocol()
            for writer in server.writers
        }
        await http.aclose()
    assert ["localhost", None] == names
    assert {"http/1.1"} == alpn
    assert [2, 2] == [len(requests) for requests in server.received]


async def test_certificate_of_another_host_is_permanent(http, monkeypatch, tmp_path):
    """A certificate of another host is not trusted, and its server gets no request."""
    async with Server(
        tls=trusted_server_context(monkeypatch, tmp_path, "elsewhere.example")
    ) as server:
        with pytest.raises(UntrustedServer, match="certificate is not valid"):
            await http.exchange(request_to(server))
    assert [] == [request for requests in server.received for request in requests]


async def test_failed_handshake_never_sent(http):
    """A server that does not speak TLS gets no request."""

    class Plain(Server):
        async def talk(self, reader, writer, _requests):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Plain() as server:
        request = Request(method="GET", url=server.url.replace("http:", "https:"))
        with pytest.raises(HandshakeFailed, match="wrong version number") as caught:
            await http.exchange(request)
    assert not caught.value.may_have_been_sent


async def test_unreadable_certificates_never_sent(http, monkeypatch):
    """A wrong `SSL_CERT_FILE` is a TransportError."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with pytest.raises(TransportError, match="FileNotFoundError") as caught:
        await http.exchange(Request(method="GET", url="https://127.0.0.1:1/"))
    assert not caught.value.may_have_been_sent


async def test_certificates_are_loaded_once_in_a_thread(http, monkeypatch, tmp_path):
    """Connections that open at the same time share one load."""
    load, threads = httpx.create_ssl_context, []

    def loading():
        threads.append(threading.current_thread())
        return load()

    monkeypatch.setattr(httpx, "create_ssl_context", loading)
    async with Server(tls=trusted_server_context(monkeypatch, tmp_path, "127.0.0.1")) as server:
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(4)))
        await http.aclose()
    assert 1 == len(threads)
    assert threading.main_thread() not in threads


async def test_environment_proxy_is_used(own, monkeypatch):
    """If the environment names a proxy, requests share one transport through it."""
    async with Server() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        http = own(connections=4)
        request = Request(method="GET", url="http://some.example/x")
        await asyncio.gather(http.exchange(request), http.exchange(request))
        await http.exchange(request_to(server, "/direct"))
        server.answer = b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"
        secret = Request(
            method="POST", url="https://some.example/x", headers=(("key", KEY),), body=b"{}"
        )
        for end in await asyncio.gather(
            http.exchange(secret), http.exchange(secret), return_exceptions=True
        ):
            assert isinstance(end, TransportError)
            assert not end.may_have_been_sent
        await http.aclose()
    firsts = [head.split("\r\n")[0] for requests in server.received for head, _ in requests]
    assert 2 == firsts.count("GET http://some.example/x HTTP/1.1")
    assert 1 == firsts.count("POST /direct HTTP/1.1")
    assert 2 == firsts.count("CONNECT some.example:443 HTTP/1.1")
    assert KEY not in "".join(
        head for requests in server.received for head, _ in requests if head.startswith("CONNECT")
    )


BAD_PROXIES = {
    "socks5://user:sekret@127.0.0.1:1": "pip install",
    "socks5h://127.0.0.1:1": "pip install",
    "foo://user:sekret@127.0.0.1:1": "scheme 'foo', expected http, https, socks5",
    "http://user:sekret@127.0.0.1:notaport": "no URL with a host and a port",
    "http://user:sekret@127.0.0.1:99999": "no URL with a host and a port",
    "http://user:sekret@127.0.0.1:0": "no URL with a host and a port",
    "http://": "no URL with a host and a port",
    "http://[bad": "no URL with a host and a port",
    "http://user:sekret@bad host:1": "no URL with a host and a port",
}


@pytest.mark.parametrize("proxy", BAD_PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_unusable_proxy_is_a_permanent_error(own, monkeypatch, proxy, scheme):
    """The error tells what to change and shows no password. Nothing was sent."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", proxy)
    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    async with run_faulty_server(emulator) as url:
        where = url if scheme == "http" else "https://127.0.0.1:1"
        async with Client(KEY, base_url=where, http=own(connections=4)) as client:
            for _ in range(2):
                ends = await client.gather(["images:1", "images:2"])
                assert [UnusableProxy] * 2 == [type(end.cause) for end in ends]
            with pytest.raises(UnusableProxy) as caught:
                await client.submit("realtime/text2img", prompt="x")
            assert not caught.value.may_have_been_sent
            said = str(caught.value)
            assert BAD_PROXIES[proxy] in said
            assert f"{scheme.upper()}_PROXY or ALL_PROXY" in said
            assert "NO_PROXY" in said
            assert "sekret" not in "".join(traceback.format_exception(caught.value))
            monkeypatch.delenv("ALL_PROXY")
            if scheme == "http":
                assert isinstance(await client.fetch("images:1"), Success)


async def test_unreadable_certificates_for_a_proxy_never_sent(own, monkeypatch):
    """A wrong `SSL_CERT_FILE` gives the same error as without a proxy."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with pytest.raises(TransportError, match="FileNotFoundError") as caught:
        await own(connections=1).exchange(Request(method="GET", url="https://127.0.0.1:1/"))
    assert not caught.value.may_have_been_sent


async def test_deadline_while_certificates_load_for_a_proxy_never_sent(own, monkeypatch):
    """The deadline may pass before there is a route."""

    async def context(_ssl_loader):
        await asyncio.Event().wait()

    monkeypatch.setattr(SSLContextLoader, "context", context)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=0.05)
    with pytest.raises(TransportError, match="no connection was available") as caught:
        await sender.send(Call(method="POST", url="https://127.0.0.1:1/", repeatable=False))
    assert not caught.value.may_have_been_sent


@pytest.mark.parametrize("kind", ["proxy", "transport", "client"])
async def test_second_response_in_one_packet_is_dropped_over_httpx(monkeypatch, kind):
    """Surplus bytes are never read as the response to the next request."""

    class Twice(Server):
        async def talk(self, reader, writer, requests):
            while True:
                head, _ = request = await read_request(reader)
                requests.append(request)
                path = head.split()[1].encode()[-2:]
                writer.write(OK.replace(b"{}", path) + OK.replace(b"{}", b"no"))

    async with Twice() as server, httpx.AsyncClient(trust_env=False) as own:
        if kind == "proxy":
            monkeypatch.setenv("HTTP_PROXY", server.url)
        given = {"transport": httpx.AsyncHTTPTransport(), "client": own}.get(kind)
        http = as_transport(given, 1)
        for path in (b"/1", b"/2"):
            response = await http.exchange(request_to(server, path.decode()))
            assert path == response.body
        if kind != "client":
            await http.aclose()
    assert [1, 1] == [len(requests) for requests in server.received]


# Leaving.


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_cancelled_at_any_step_leaks_nothing(own, monkeypatch, tmp_path, secure):
    """Wherever a call is cancelled, its slot is free again and its socket is closed."""
    resolve_instantly(monkeypatch)
    context = trusted_server_context(monkeypatch, tmp_path, "127.0.0.1") if secure else None
    async with Server(tls=context) as server:
        cancelled = 0
        for steps in range(61):
            http = own(connections=1)
            if secure:
                await http._ssl_loader.context()
            task = asyncio.create_task(http.exchange(request_to(server)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            cancelled += task.cancelled()
            async with asyncio.timeout(5):
                assert 200 == (await http.exchange(request_to(server))).status_code
            (origin,) = http._routes.values()
            assert 1 == len(origin._idle)
            assert set(origin._idle) == origin._open_connections
            await http.aclose()
            assert set() == origin._open_connections
        assert 5 < cancelled < 61


async def test_cancelled_while_waiting_for_a_connection(own):
    """A cancelled waiter keeps no slot and delays no other waiter."""
    async with Server() as server:
        server.gate.clear()
        http = own(connections=1)
        tasks = [asyncio.create_task(http.exchange(request_to(server))) for _ in range(9)]
        await until(lambda: sum(map(len, server.received)) == 1)
        for task in tasks[::2]:
            task.cancel()
        server.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [False, True] * 4 + [False] == [hasattr(end, "status_code") for end in ends]
        await http.aclose()
    assert 2 == len(server.received)


@pytest.mark.parametrize("secure", [False, True], ids=["answer", "handshake"])
async def test_deadline_leaves_no_connection_and_frees_its_slot(own, secure):
    """A server that is silent, before or after the handshake, costs the deadline and no more."""

    class Silent(Server):
        async def talk(self, reader, _writer, _requests):
            await reader.read()

    async with Silent() as server:
        url = server.url.replace("http:", "https:") if secure else server.url
        sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=0.1)
        for _ in range(3):
            with pytest.raises(TransportError, match=r"within 0.1 s"):
                await sender.send(Call(method="POST", url=url, repeatable=True))
        await until(lambda: all(writer.is_closing() for writer in server.writers))
        await sender.aclose()


async def test_close_ends_exchanges_in_flight(own):
    """Exchanges that are in use, idle or waiting all end with an error that says so."""
    async with Server() as server:
        http = own(connections=2)
        await asyncio.gather(http.exchange(request_to(server)), http.exchange(request_to(server)))
        server.gate.clear()
        ends = [asyncio.create_task(http.exchange(request_to(server))) for _ in range(4)]
        await until(lambda: sum(map(len, server.received)) == 4)
        await http.aclose()
        left = []
        for end in ends:
            with pytest.raises(TransportError, match="the client was closed") as caught:
                await end
            left.append(caught.value.may_have_been_sent)
        assert [False, False, True, True] == sorted(left)
        server.gate.set()
        for url in (server.url, "http://another.example"):
            with pytest.raises(TransportError, match="the client was closed") as caught:
                await http.exchange(Request(method="GET", url=url))
            assert not caught.value.may_have_been_sent
        assert 2 == len(server.received)
        (origin,) = http._routes.values()
        assert origin._expiry_timer.cancelled()
        await http.aclose()


@pytest.mark.parametrize("steps", [1, 5, 7, 8, 9, 10, 11, 12, 13])
async def test_close_while_connecting(own, monkeypatch, steps):
    """A connection that is made too late is closed at once."""
    resolve_instantly(monkeypatch)
    async with Server() as server:
        http = own(connections=2)
        task = asyncio.create_task(http.exchange(request_to(server)))
        for _ in range(steps):
            await asyncio.sleep(0)
        await http.aclose()
        with suppress(TransportError):
            await task


async def test_thousand_connections_at_once(own):
    """A thousand connections are opened, used at the same time, reused and closed."""
    resource = pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2500:
        pytest.skip("this machine allows too few open files")
    async with Server() as server:
        http = own(connections=1000)
        server.gate.clear()
        first = asyncio.gather(*(http.exchange(request_to(server)) for _ in range(1000)))
        await until(lambda: sum(map(len, server.received)) == 1000)
        server.gate.set()
        await first
        await asyncio.gather(*(http.exchange(request_to(server)) for _ in range(1000)))
        assert 1000 == len(server.received)
        await http.aclose()
        await until(lambda: all(writer.is_closing() for writer in server.writers))


@pytest.mark.parametrize("how", ["nothing", "echo", "refused"])
async def test_no_error_shows_the_key(own, how):
    """Neither the text nor the local variables of the frames show it."""

    class Odd(Server):
        async def talk(self, reader, writer, _requests):
            head, body = await read_request(reader)
            if how == "echo":
                writer.write(head.encode().split(b"\r\n", 1)[1] + body + b"\r\n\r\n")

    async with Odd() as server:
        url = "http://127.0.0.1:1" if how == "refused" else server.url
        sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=5.0)
        for key_in in ("body", "header", "query"):
            call = Call(method="POST", url=url, key_in=key_in, repeatable=True)
            with pytest.raises(TransportError) as caught:
                await sender.send(call)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            ours = "".join(shown.format()).split("await sender.send(call)")[1]
            assert KEY not in ours
            assert caught.value.__context__ is None
        await sender.aclose()
