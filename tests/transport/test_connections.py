"""The connections of our own, against servers that behave well, badly, or not at all."""

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
    Gives every request the same answer, and remembers who asked what over which connection.

    Its end waits until each of its connections was closed by the other side, so a test that ends
    has leaked no socket.
    """

    def __init__(self, answer=OK, *, closes=False, host="127.0.0.1", tls=None):
        self.answer = answer
        self.closes = closes
        self.gate = asyncio.Event()
        self.gate.set()
        self.seen = []
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
        self.seen.append(requests)
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


def asking(server, path="/x", **more):
    more = {"method": "POST", "headers": (("key", KEY),), "body": b'{"a":1}'} | more
    return Request(url=server.url + path, **more)


def instantly(monkeypatch, *found):
    """Names resolve at once, so that a number of steps of the loop says how far a call has come."""

    async def getaddrinfo(host, port, **_kind):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", to) for to in found or [(host, port)]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def certified(monkeypatch, tmp_path, *names):
    """A server's side of TLS, whose authority the environment makes the client trust."""
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


# Reuse.


async def test_a_connection_is_used_again(http):
    """One after the other, all requests go over one connection, each whole."""
    async with Server() as server:
        for number in range(3):
            response = await http.exchange(asking(server, f"/{number}?a=b", body=b"x" * number))
            assert (200, b"{}") == (response.status_code, response.body)
            assert [(b"Content-Length", b"2")] == list(response.headers)
        await http.aclose()
    (requests,) = server.seen
    for number, (head, body) in enumerate(requests):
        assert b"x" * number == body
        assert head.startswith(f"POST /{number}?a=b HTTP/1.1\r\n")
        assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
        assert f"\r\nkey: {KEY}\r\n" in head


async def test_a_fresh_request_takes_no_used_connection(http):
    """What must not be repeated has a connection of its own, which others may use after it."""
    async with Server() as server:
        for needs_new_connection in (False, True, False):
            await http.exchange(asking(server, needs_new_connection=needs_new_connection))
        await http.aclose()
    assert [1, 2] == [len(requests) for requests in server.seen]


async def test_a_get_says_nothing_of_a_body(http):
    """Only what may carry a body says how long it is."""
    async with Server() as server:
        await http.exchange(asking(server, "", method="GET", body=b""))
        await http.aclose()
    head, _ = server.seen[0][0]
    assert head.startswith("GET / HTTP/1.1\r\n")
    assert "content-length" not in head.lower()


async def test_the_one_used_last_is_used_next(http):
    """A quieter time leaves the others alone, so that they grow old."""
    async with Server() as server:
        await asyncio.gather(*(http.exchange(asking(server)) for _ in range(4)))
        for _ in range(6):
            await http.exchange(asking(server))
        await http.aclose()
    assert [1, 1, 1, 7] == sorted(len(requests) for requests in server.seen)


async def test_no_more_connections_than_allowed_and_in_turn(http):
    """Who comes when all are busy waits, and gets its turn in order."""
    async with Server() as server:
        server.gate.clear()
        asked = asyncio.gather(*(http.exchange(asking(server, f"/{n}")) for n in range(20)))
        await until(lambda: sum(map(len, server.seen)) == 4)
        await asyncio.sleep(0.02)
        assert 4 == sum(map(len, server.seen))
        server.gate.set()
        await asked
        await http.aclose()
    assert 4 == len(server.seen)
    for requests in server.seen:
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
async def test_a_connection_that_may_not_be_used_again_is_not(http, answer, closes):
    """What the server closes, or what has bytes left over, serves one request."""
    async with Server(answer, closes=closes) as server:
        for _ in range(3):
            assert b"{}" == (await http.exchange(asking(server))).body
            await asyncio.sleep(0.01)
        assert 3 == len(server.seen)
        await http.aclose()


async def test_bytes_that_nobody_asked_for_close_a_connection(http):
    """They are never read as the answer to the next request."""
    async with Server() as server:
        await http.exchange(asking(server))
        server.writers[0].write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await server.writers[0].drain()
        (origin,) = http._routes.values()
        await until(lambda: not origin._idle)
        assert 200 == (await http.exchange(asking(server))).status_code
        await http.aclose()
    assert 2 == len(server.seen)


@pytest.mark.parametrize("farewell", [b"", OK])
async def test_a_closed_connection_is_noticed_though_the_loop_has_not_looked(http, farewell):
    """A loop that was held up while the server closed still opens a fresh connection."""
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

    # A second exchange that never comes would leave it waiting for good.
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    request = Request(
        method="POST", url=f"http://127.0.0.1:{listener.getsockname()[1]}", body=b"{}"
    )
    await http.exchange(request)
    assert closed.wait(5)  # Holds up the loop.
    assert 200 == (await http.exchange(request)).status_code
    await asyncio.to_thread(thread.join, 5)
    listener.close()


async def test_an_old_connection_is_closed(http, monkeypatch):
    """What nobody has used for a while is closed by a timer, and a younger one is left alone."""
    monkeypatch.setattr("modelslab_async._transport.http11.origin_pool.KEEPALIVE_S", 0.2)
    async with Server() as server:
        await asyncio.gather(*(http.exchange(asking(server)) for _ in range(2)))
        await asyncio.sleep(0.12)
        await http.exchange(asking(server))
        await until(lambda: any(writer.is_closing() for writer in server.writers))
        assert [False, True] == sorted(writer.is_closing() for writer in server.writers)
        await until(lambda: all(writer.is_closing() for writer in server.writers))
        await http.exchange(asking(server))
        assert 3 == len(server.seen)
        await http.aclose()


async def test_an_old_connection_is_not_used_though_the_timer_is_late(http, monkeypatch):
    """Age is looked at where a connection is taken, too."""
    async with Server() as server:
        await http.exchange(asking(server))
        monkeypatch.setattr("modelslab_async._transport.http11.origin_pool.KEEPALIVE_S", 0.0)
        await http.exchange(asking(server))
        assert 2 == len(server.seen)
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
async def test_bodies_of_all_kinds(http, answer, status_code, body, piece):
    """However its length is told and however it comes, a body is read to its end and no further."""

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
            response = await http.exchange(asking(server))
            assert (status_code, body) == (response.status_code, response.body)
        await http.aclose()
    assert [2] == [len(requests) for requests in server.seen]


async def test_nothing_is_decoded(http):
    """Packed content stays packed."""
    packed = gzip.compress(b"{}", mtime=0)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with Server(head + packed) as server:
        assert packed == (await http.exchange(asking(server))).body
        await http.aclose()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed before the response was complete"),
        (b"HTTP/1.1 200", "closed before the response was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "closed before the response was complete"),
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
async def test_what_is_no_whole_response_is_a_fault(http, answer, words):
    """Nobody can tell whether the request was heard, so it may have been."""
    async with Server(answer, closes=True) as server:
        with pytest.raises(TransportError, match=words) as caught:
            await http.exchange(asking(server))
        assert caught.value.may_have_been_sent
        await http.aclose()


async def test_a_reset_is_a_fault(http):
    """A connection that breaks while the answer comes says so."""

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
            await http.exchange(asking(server))
        assert caught.value.may_have_been_sent


async def test_a_used_connection_that_dies_may_have_carried_the_request(http):
    """Not one byte came back, and yet nobody can prove that the request was not heard."""

    class OnceOnly(Server):
        async def talk(self, reader, writer, requests):
            requests.append(await read_request(reader))
            writer.write(OK)
            requests.append(await read_request(reader))

    async with OnceOnly() as server:
        await http.exchange(asking(server))
        with pytest.raises(TransportError) as caught:
            await http.exchange(asking(server))
        assert caught.value.may_have_been_sent
        assert [2] == [len(requests) for requests in server.seen]
        await http.exchange(asking(server))
        await http.aclose()


@pytest.mark.parametrize("told", [b"", b"Transfer-Encoding: chunked\r\n"])
async def test_bodies_are_bounded(http, monkeypatch, told):
    """A body beyond the cap is not read to its end."""
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
            await http.exchange(asking(server))
    assert written < 50_000_000


async def test_an_answer_that_overtakes_the_request(http):
    """A refusal that comes before the request is out is heard, and ends the connection."""

    class Hasty(Server):
        async def talk(self, reader, writer, _requests):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)
            await reader.read()

    async with Hasty() as server:
        response = await http.exchange(asking(server, body=b"x" * 50_000_000))
        assert 413 == response.status_code
        assert 413 == (await http.exchange(asking(server))).status_code
        assert 2 == len(server.seen)
        await http.aclose()


# Getting there.


async def test_a_connection_that_was_lost_before_its_exchange_carried_nothing(own):
    """Between its coming about and the request it may be reset; nobody waits for an answer then."""
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
                await connection.exchange(asking(server), "x")
    assert not caught.value.may_have_been_sent


async def test_a_refused_connection_never_left(http):
    """Nobody listens, so nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(TransportError, match="ConnectionRefusedError") as caught:
        await http.exchange(Request(method="GET", url=url))
    assert not caught.value.may_have_been_sent


async def test_a_silent_host_never_heard_the_request(http, monkeypatch):
    """Where no connection comes about in time, the request provably never left."""

    async def silent(*_address):
        await asyncio.Event().wait()

    instantly(monkeypatch)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", silent)
    monkeypatch.setattr(origin_pool, "_CONNECT_TIMEOUT_S", 0.05)
    with pytest.raises(TransportError, match="no connection within") as caught:
        await http.exchange(Request(method="GET", url="http://127.0.0.1:9/x"))
    assert not caught.value.may_have_been_sent


async def test_an_unknown_host_never_left(http, monkeypatch):
    """A name without an address got nothing."""

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
async def test_a_url_that_is_none_never_left(http, url, monkeypatch):
    """Whatever is wrong with it, it is a fault of ours and not the end of the poller."""
    async with Server() as server:
        if "127.0.0.1" in url:
            instantly(monkeypatch, ("127.0.0.1", server.port))
        with pytest.raises(TransportError) as caught:
            await http.exchange(Request(method="GET", url=url))
        assert not caught.value.may_have_been_sent


async def test_a_host_in_another_script(http, monkeypatch):
    """It is written in ASCII, as HTTP wants it, and so is the path."""
    async with Server() as server:
        instantly(monkeypatch, ("127.0.0.1", server.port))
        await http.exchange(Request(method="GET", url="http://b\u00fccher.example/\u00fc?\u00fc=1"))
        await http.aclose()
    head, _ = server.seen[0][0]
    assert head.startswith("GET /%C3%BC?%C3%BC=1 HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n")


async def test_ipv6_and_the_default_port(http, monkeypatch):
    """An address of IPv6 stands in brackets, a port that goes without saying is not said."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with Server(host="::1") as server:
        await http.exchange(asking(server))
        instantly(monkeypatch, ("127.0.0.1", server.port))
        with pytest.raises(TransportError):
            await http.exchange(Request(method="GET", url="http://[::1]/"))
        await http.aclose()
    head, _ = server.seen[0][0]
    assert f"\r\nHost: [::1]:{server.port}\r\n" in head


@pytest.mark.parametrize("port", ["", ":80"])
async def test_the_default_port_is_not_said(http, monkeypatch, port):
    """The `Host` header leaves it out, however the URL writes it."""
    async with Server() as server:
        instantly(monkeypatch, ("127.0.0.1", server.port))
        await http.exchange(Request(method="GET", url=f"http://Some.Example{port}/"))
        await http.aclose()
    head, _ = server.seen[0][0]
    assert "\r\nHost: some.example\r\n" in head


async def test_a_silent_address_does_not_hold_up_the_others(http, monkeypatch):
    """After a moment the next address is tried beside it; whoever comes second is closed."""
    loop = asyncio.get_running_loop()
    both = loop.create_future()
    tried = []

    async def sock_connect(sock, place):
        tried.append((sock, place))
        await (asyncio.sleep(60) if place[1] == 1 else asyncio.shield(both))
        sock.settimeout(5)
        sock.connect(place)
        sock.settimeout(0)

    async with Server() as server:
        silent, good = ("127.0.0.1", 1), ("127.0.0.1", server.port)
        instantly(monkeypatch, silent, good, good)
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        asked = asyncio.create_task(http.exchange(asking(server)))
        await until(lambda: len(tried) == 3)
        both.set_result(None)
        assert 200 == (await asked).status_code
        assert 2 == sum(sock.fileno() < 0 for sock, _ in tried)
        await http.aclose()


async def test_dead_first_address_delays_the_request_by_a_quarter_second(http, monkeypatch):
    """A first address that never answers costs one head start, and the request arrives once."""
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def sock_connect(sock, address):
        await (asyncio.sleep(60) if address[1] == 1 else connect(sock, address))

    async with Server() as server:
        instantly(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", server.port))
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        started_at = loop.time()
        assert 200 == (await http.exchange(asking(server))).status_code
        assert 0.2 < loop.time() - started_at < 5.0
        await http.aclose()
    assert 1 == sum(map(len, server.seen))


async def test_refusing_first_address_is_skipped(http, monkeypatch):
    """A first address that refuses the connection leads to the second one at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    async with Server() as server:
        instantly(monkeypatch, refusing, ("127.0.0.1", server.port))
        assert 200 == (await http.exchange(asking(server))).status_code
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


async def test_tls_trusts_whom_the_environment_trusts(http, monkeypatch, tmp_path):
    """`SSL_CERT_FILE` is heard, the server is told its name, and no name that is an address."""
    context = certified(monkeypatch, tmp_path, "localhost", "127.0.0.1")
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
    assert [2, 2] == [len(requests) for requests in server.seen]


async def test_a_wrong_name_is_final(http, monkeypatch, tmp_path):
    """A certificate of another host is not trusted, and gets no request."""
    async with Server(tls=certified(monkeypatch, tmp_path, "elsewhere.example")) as server:
        with pytest.raises(UntrustedServer, match="certificate is not valid"):
            await http.exchange(asking(server))
    assert [] == [request for requests in server.seen for request in requests]


async def test_a_failed_handshake_never_left(http):
    """A server that speaks no TLS got no request."""

    class Plain(Server):
        async def talk(self, reader, writer, _requests):
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Plain() as server:
        request = Request(method="GET", url=server.url.replace("http:", "https:"))
        with pytest.raises(HandshakeFailed, match="wrong version number") as caught:
            await http.exchange(request)
    assert not caught.value.may_have_been_sent


async def test_certificates_that_cannot_be_read_never_left(http, monkeypatch):
    """A wrong `SSL_CERT_FILE` is a fault of ours."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with pytest.raises(TransportError, match="FileNotFoundError") as caught:
        await http.exchange(Request(method="GET", url="https://127.0.0.1:1/"))
    assert not caught.value.may_have_been_sent


async def test_certificates_are_loaded_once_and_not_in_the_loop(http, monkeypatch, tmp_path):
    """However many connections are wanted at once."""
    load, threads = httpx.create_ssl_context, []

    def loading():
        threads.append(threading.current_thread())
        return load()

    monkeypatch.setattr(httpx, "create_ssl_context", loading)
    async with Server(tls=certified(monkeypatch, tmp_path, "127.0.0.1")) as server:
        await asyncio.gather(*(http.exchange(asking(server)) for _ in range(4)))
        await http.aclose()
    assert 1 == len(threads)
    assert threading.main_thread() not in threads


async def test_a_proxy_gets_what_it_is_for(own, monkeypatch):
    """Where the environment names a proxy, requests go through it, and over one transport."""
    async with Server() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        http = own(connections=4)
        request = Request(method="GET", url="http://some.example/x")
        await asyncio.gather(http.exchange(request), http.exchange(request))
        await http.exchange(asking(server, "/direct"))
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
    firsts = [head.split("\r\n")[0] for requests in server.seen for head, _ in requests]
    assert 2 == firsts.count("GET http://some.example/x HTTP/1.1")
    assert 1 == firsts.count("POST /direct HTTP/1.1")
    assert 2 == firsts.count("CONNECT some.example:443 HTTP/1.1")
    assert KEY not in "".join(
        head for requests in server.seen for head, _ in requests if head.startswith("CONNECT")
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
async def test_a_proxy_that_cannot_be_used_is_told(own, monkeypatch, proxy, scheme):
    """It is final, never left, says what to do without showing a password, and breaks nothing."""
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


async def test_certificates_that_cannot_be_read_for_a_proxy_never_left(own, monkeypatch):
    """A wrong `SSL_CERT_FILE` is told as it is without a proxy."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with pytest.raises(TransportError, match="FileNotFoundError") as caught:
        await own(connections=1).exchange(Request(method="GET", url="https://127.0.0.1:1/"))
    assert not caught.value.may_have_been_sent


async def test_a_call_cut_off_while_certificates_load_for_a_proxy_never_left(own, monkeypatch):
    """Its deadline may end before there is a way at all."""

    async def context(_ssl_loader):
        await asyncio.Event().wait()

    monkeypatch.setattr(SSLContextLoader, "context", context)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=0.05)
    with pytest.raises(TransportError, match="no connection was available") as caught:
        await sender.send(Call(method="POST", url="https://127.0.0.1:1/", repeatable=False))
    assert not caught.value.may_have_been_sent


@pytest.mark.parametrize("kind", ["proxy", "transport", "client"])
async def test_two_answers_in_one_packet_over_httpx(monkeypatch, kind):
    """Over httpx too, what follows an answer is never the answer to the next request."""

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
            response = await http.exchange(asking(server, path.decode()))
            assert path == response.body
        if kind != "client":
            await http.aclose()
    assert [1, 1] == [len(requests) for requests in server.seen]


# Leaving.


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_cancelled_at_any_step_it_leaks_nothing(own, monkeypatch, tmp_path, secure):
    """Whichever step a call is cancelled at, its place is free again and its socket closed."""
    instantly(monkeypatch)
    context = certified(monkeypatch, tmp_path, "127.0.0.1") if secure else None
    async with Server(tls=context) as server:
        cancelled = 0
        for steps in range(61):
            http = own(connections=1)
            if secure:
                await http._ssl_loader.context()
            task = asyncio.create_task(http.exchange(asking(server)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            cancelled += task.cancelled()
            async with asyncio.timeout(5):
                assert 200 == (await http.exchange(asking(server))).status_code
            (origin,) = http._routes.values()
            assert 1 == len(origin._idle)
            assert set(origin._idle) == origin._open_connections
            await http.aclose()
            assert set() == origin._open_connections
        assert 5 < cancelled < 61


async def test_cancelled_while_it_waits_for_its_turn(own):
    """Who gives up in the queue takes no place along, and loses nobody else's."""
    async with Server() as server:
        server.gate.clear()
        http = own(connections=1)
        tasks = [asyncio.create_task(http.exchange(asking(server))) for _ in range(9)]
        await until(lambda: sum(map(len, server.seen)) == 1)
        for task in tasks[::2]:
            task.cancel()
        server.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [False, True] * 4 + [False] == [hasattr(end, "status_code") for end in ends]
        await http.aclose()
    assert 2 == len(server.seen)


@pytest.mark.parametrize("secure", [False, True], ids=["answer", "handshake"])
async def test_a_deadline_leaves_no_connection_and_takes_no_place(own, secure):
    """A server that is silent, before or after the handshake, costs its deadline and no more."""

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


async def test_closing_ends_what_is_on_its_way(own):
    """Those in use, at rest and in the queue: all end, each with a word that says so."""
    async with Server() as server:
        http = own(connections=2)
        await asyncio.gather(http.exchange(asking(server)), http.exchange(asking(server)))
        server.gate.clear()
        ends = [asyncio.create_task(http.exchange(asking(server))) for _ in range(4)]
        await until(lambda: sum(map(len, server.seen)) == 4)
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
        assert 2 == len(server.seen)
        (origin,) = http._routes.values()
        assert origin._expiry_timer.cancelled()
        await http.aclose()


@pytest.mark.parametrize("steps", [1, 5, 7, 8, 9, 10, 11, 12, 13])
async def test_closing_while_it_connects(own, monkeypatch, steps):
    """A connection that comes about too late is closed at once."""
    instantly(monkeypatch)
    async with Server() as server:
        http = own(connections=2)
        task = asyncio.create_task(http.exchange(asking(server)))
        for _ in range(steps):
            await asyncio.sleep(0)
        await http.aclose()
        with suppress(TransportError):
            await task


async def test_a_thousand_at_once(own):
    """A thousand connections are opened, used at the same time, used again and closed."""
    resource = pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2500:
        pytest.skip("this machine allows too few open files")
    async with Server() as server:
        http = own(connections=1000)
        server.gate.clear()
        first = asyncio.gather(*(http.exchange(asking(server)) for _ in range(1000)))
        await until(lambda: sum(map(len, server.seen)) == 1000)
        server.gate.set()
        await first
        await asyncio.gather(*(http.exchange(asking(server)) for _ in range(1000)))
        assert 1000 == len(server.seen)
        await http.aclose()
        await until(lambda: all(writer.is_closing() for writer in server.writers))


@pytest.mark.parametrize("how", ["nothing", "echo", "refused"])
async def test_the_key_is_in_no_error(own, how):
    """Not in its text, nor in the locals of the frames that it came through."""

    class Odd(Server):
        async def talk(self, reader, writer, _requests):
            head, body = await read_request(reader)
            if how == "echo":
                writer.write(head.encode().split(b"\r\n", 1)[1] + body + b"\r\n\r\n")

    async with Odd() as server:
        url = "http://127.0.0.1:1" if how == "refused" else server.url
        sender = Sender(own(connections=1), Credentials.resolve(KEY, None), timeout=5.0)
        for place in ("body", "header", "query"):
            call = Call(method="POST", url=url, key_in=place, repeatable=True)
            with pytest.raises(TransportError) as caught:
                await sender.send(call)
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            ours = "".join(shown.format()).split("await sender.send(call)")[1]
            assert KEY not in ours
            assert caught.value.__context__ is None
        await sender.aclose()
