"""What every transport promises: the default one with each codec, and those of httpx's kind."""

import asyncio
import gzip
import socket
import ssl
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace

import httpx
import pytest
import trustme
from attrs import evolve
from closed_port import closed_port
from everyday import pairs
from http_codecs import CODECS, HTTP11_TRANSPORTS, http11
from transport.http_server import until

from modelslab_async import (
    Call,
    Client,
    ClientClosed,
    HandshakeFailed,
    Pace,
    Request,
    SubmitUncertain,
    TransportError,
    UntrustedServer,
)
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.http11.connection import Connection, Dialer
from modelslab_async._transport.http11.transport import HTTP11Transport
from modelslab_async._transport.sender import Sender
from modelslab_async._transport.transport_choice import as_transport

KEY = "canary-key-Zq81"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PACKED = gzip.compress(b"{}", mtime=0)


# The two packages have the same interface and are never mixed.
LIBRARIES = {"httpx": httpx, **({"httpx2": import_module("httpx2")} if find_spec("httpx2") else {})}


def pyreqwest_transport():
    """Return a transport that follows no redirect and decodes nothing: by default it does."""
    builder = import_module("pyreqwest.client").ClientBuilder()
    for setting in (builder.follow_redirects, builder.gzip, builder.brotli):
        setting(False)  # noqa: FBT003 -- that is how it is spelled.
    return import_module("pyreqwest.compatibility.httpx").HttpxTransport(builder.build())


NARROW = {
    "h11": lambda: http11("h11", 2),
    "httptools": lambda: http11("httptools", 2),
}
for _name, _library in LIBRARIES.items():
    _limits = _library.Limits(max_connections=2)
    NARROW[f"{_name} transport"] = partial(_library.AsyncHTTPTransport, limits=_limits)
    NARROW[f"{_name} client"] = partial(_library.AsyncClient, limits=_limits, timeout=30)
KINDS = {
    **HTTP11_TRANSPORTS,
}
if find_spec("httpx_aiohttp"):
    KINDS["aiohttp"] = lambda: import_module("httpx_aiohttp").AiohttpTransport()
if find_spec("pyreqwest"):
    KINDS["pyreqwest"] = pyreqwest_transport
# Promises that need more than the transports of other packages tell. They break them on the safe
# side: the client takes a request that did not leave for one that may have left, and polls again
# where that cannot help. They also join chunks, so that only the length of a body is bounded.
UNTOLD = {
    "aiohttp": {
        "test_refused_connection_never_sent",
        "test_alert_about_one_connection_is_a_transport_error",
        "test_submit_that_never_connects_never_left",
        "test_connect_timeout_ends_attempt_that_never_connects",
        "test_endless_one_byte_chunks_are_given_up",
    },
    "pyreqwest": {
        "test_refused_connection_never_sent",
        "test_bad_certificate_is_an_untrusted_server",
        "test_failed_handshake_is_permanent",
        "test_server_without_tls_is_permanent",
        "test_alert_about_one_connection_is_a_transport_error",
        "test_submit_that_never_connects_never_left",
        "test_connect_timeout_ends_attempt_that_never_connects",
        "test_endless_one_byte_chunks_are_given_up",
    },
}
for _name, _library in LIBRARIES.items():
    KINDS[f"{_name} transport"] = _library.AsyncHTTPTransport
    KINDS[f"{_name} client"] = partial(_library.AsyncClient, follow_redirects=True, timeout=600)


def skip_untold(kind, request):
    if request.function.__name__ in UNTOLD.get(kind, ()):
        pytest.skip(f"{kind} does not tell enough for this promise")


@pytest.fixture(params=KINDS)
async def http(request):
    skip_untold(request.param, request)
    given = KINDS[request.param]()
    http = as_transport(given, 4)
    yield http
    for thing in (http, given):
        if aclose := getattr(thing, "aclose", None):
            await aclose()


@asynccontextmanager
async def served(behave, **how):
    """Run a server with one behaviour; it ends all its connections when it closes."""
    received, tasks, writers = [], set(), []

    async def accept(reader, writer):
        tasks.add(asyncio.current_task())
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await behave(reader, writer, received)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **how)
    try:
        scheme = "https" if how else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", received
    finally:
        server.close()
        # Connections that were just accepted must begin before they are aborted.
        await asyncio.sleep(0.02)
        for writer in writers:
            writer.transport.abort()
        async with asyncio.timeout(300):
            await asyncio.gather(*tasks)


async def read_request(reader, received):
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    received.append(head + await reader.readexactly(int(length)))


def replying_with(answer, *, closes=False):
    async def behave(reader, writer, received):
        while True:
            await read_request(reader, received)
            writer.write(answer)
            await writer.drain()
            if closes:
                return

    return behave


def submit_to(url):
    return Request(method="POST", url=f"{url}/x", headers=(("key", KEY),), body=b'{"a": 12}')


@pytest.mark.parametrize(
    ("http", "status_code"),
    pairs([*KINDS], [200, 201, 400, 401, 404, 408, 413, 429, 500, 502, 503, 529]),
    indirect=["http"],
)
async def test_every_status_is_returned(http, status_code):
    """No status is an exception, and no request is repeated."""
    answer = OK.replace(b"200", b"%d" % status_code)
    async with served(replying_with(answer)) as (url, received):
        response = await http.exchange(submit_to(url))
        assert (status_code, b"{}") == (response.status_code, response.body)
        assert 1 == len(received)


@pytest.mark.parametrize(
    ("http", "status_code"), pairs([*KINDS], [301, 302, 303, 307, 308]), indirect=["http"]
)
async def test_no_redirect_is_followed(http, status_code):
    """Neither the body nor the key goes where a server points."""
    async with served(replying_with(OK)) as (elsewhere, received_elsewhere):
        answer = b"HTTP/1.1 %d Go\r\nLocation: %b/y\r\nContent-Length: 0\r\n\r\n"
        answer %= (status_code, elsewhere.encode())
        async with served(replying_with(answer)) as (url, received):
            response = await http.exchange(submit_to(url))
            assert status_code == response.status_code
            assert [] == received_elsewhere
            assert 1 == len(received)


@pytest.mark.parametrize(
    ("encoding", "body"), [(b"gzip", PACKED), (b"br", b"\x0b"), (b"identity", b"{}")]
)
async def test_encoded_body_is_returned_as_sent(http, encoding, body):
    """A body of any encoding is returned as received."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n%b"
    async with served(replying_with(answer % (encoding, len(body), body))) as (url, _):
        assert body == (await http.exchange(submit_to(url))).body


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 2", OK[:-1], b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\0" * 99],
    ids=["dropped", "half a head", "half a body", "another protocol", "nulls"],
)
async def test_request_that_the_server_read_may_have_been_sent(http, answer):
    """Whatever happens after the server read the request, the error never says it did not leave."""
    async with served(replying_with(answer, closes=True)) as (url, received):
        with pytest.raises(TransportError) as caught:
            await http.exchange(submit_to(url))
        assert caught.value.may_have_been_sent
        assert 1 == len(received)
        assert KEY not in f"{caught.value!r}{caught.value.__cause__!r}"


async def test_refused_connection_never_sent(http):
    """No server listens, so nothing was sent."""
    with closed_port() as port, pytest.raises(TransportError) as caught:
        await http.exchange(submit_to(port.url))
    assert not caught.value.may_have_been_sent


async def test_bad_certificate_is_an_untrusted_server(http):
    """A server that cannot prove its name gets no request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with served(replying_with(OK), ssl=context) as (url, received):
        with pytest.raises(UntrustedServer):
            await http.exchange(submit_to(url))
        assert [] == received


@asynccontextmanager
async def handshake_server(context):
    """
    A server that does no more than shake hands, in a thread: asyncio's sends no alert.

    It reads on until the other side has gone, since a reset would overtake the alert.
    """
    handshakes = []

    def shake(sock):
        with context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) as tls:
            handshakes.append(tls)
            with suppress(OSError):
                tls.do_handshake()
            with suppress(OSError), socket.socket(fileno=tls.detach()) as bare:
                bare.settimeout(300)
                while bare.recv(4096):
                    pass

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(300)
            shake(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(300)
        serving = asyncio.create_task(asyncio.to_thread(serve))
        try:
            yield f"https://127.0.0.1:{listener.getsockname()[1]}", handshakes
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await serving


def tls(**settings):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if ciphers := settings.pop("ciphers", None):
        context.set_ciphers(ciphers)
    if settings.get("verify_mode"):
        authority.configure_trust(context)
    for name, value in settings.items():
        setattr(context, name, value)
    return authority, context


OLD = {"maximum_version": ssl.TLSVersion.TLSv1_2}
DISAGREEMENTS = {
    "no common cipher": {**OLD, "ciphers": "PSK"},
    "a certificate wanted, TLS 1.2": {**OLD, "verify_mode": ssl.CERT_REQUIRED},
    "a certificate wanted, TLS 1.3": {"verify_mode": ssl.CERT_REQUIRED},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", DISAGREEMENTS.values(), ids=DISAGREEMENTS)
async def test_failed_handshake_is_permanent(kind, settings, monkeypatch, tmp_path, request):
    """If the two sides agree on no TLS, one connection is made and no more."""
    skip_untold(kind, request)
    authority, context = tls(**settings)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    pace = Pace(floor=0.01, max_failures=4)
    async with handshake_server(context) as (url, handshakes):
        async with Client(KEY, base_url=url, http=KINDS[kind](), pace=pace) as client:
            with pytest.raises(HandshakeFailed, match="no TLS with the server"):
                await client.wait("images:1")
        assert 1 == len(handshakes)


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("name", DISAGREEMENTS)
async def test_submit_with_failed_handshake(kind, name, monkeypatch, tmp_path):
    """It never left, except with TLS 1.3, where the refusal may come before or after it."""
    authority, context = tls(**DISAGREEMENTS[name])
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    expected = (HandshakeFailed, SubmitUncertain) if name.endswith("1.3") else HandshakeFailed
    async with handshake_server(context) as (url, handshakes):
        async with Client(KEY, base_url=url, http=KINDS[kind]()) as client:
            with pytest.raises(expected) as caught:
                await client.submit("realtime/text2img", prompt="x")
        assert 1 == len(handshakes)
    is_uncertain = isinstance(caught.value, SubmitUncertain)
    error = caught.value.__cause__ if is_uncertain else caught.value
    assert isinstance(error, HandshakeFailed)
    assert error.may_have_been_sent == is_uncertain


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("seen", ["closing", "lost"])
async def test_refusal_that_overtakes_the_request_is_permanent(kind, seen):
    """A connection that the server refused before it was used tells why, and sent nothing."""
    authority, server_context = tls(verify_mode=ssl.CERT_REQUIRED)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    lost = asyncio.Event()
    async with handshake_server(server_context) as (url, _):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(
                KINDS[kind]()._make_codec,
                on_connected=lambda _: None,
                on_closed=lambda _: lost.set(),
            ),
            "127.0.0.1",
            httpx.URL(url).port,
            ssl=context,
        )
        # A longer sleep would end after both.
        while not (lost.is_set() if seen == "lost" else connection.is_closing):  # noqa: ASYNC110
            await asyncio.sleep(0)
        try:
            with pytest.raises(HandshakeFailed, match="certificate required") as caught:
                await connection.exchange(Request(method="GET", url=url), "127.0.0.1")
        finally:
            connection.abort()
    assert not caught.value.may_have_been_sent


async def test_server_without_tls_is_permanent(http):
    """A plain HTTP server on an https URL ends after one connection and gets no request."""

    async def plain(reader, writer, received):
        received.append(await reader.read(64))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with served(plain) as (url, received):
        where = url.replace("http:", "https:")
        async with Client(KEY, base_url=where, http=http, pace=Pace(max_failures=4)) as client:
            with pytest.raises(HandshakeFailed, match="wrong version number") as caught:
                await client.wait("images:1")
        assert 1 == len(received)
    assert not caught.value.may_have_been_sent


@pytest.mark.parametrize("after", ["", "half a handshake"])
async def test_handshake_that_is_cut_is_a_transport_error(http, after):
    """A server that only hangs up may work a moment later."""

    async def hang_up(reader, _writer, received):
        received.append(await (reader.read(64) if after else reader.read(0)))

    async with served(hang_up) as (url, _):
        with pytest.raises(TransportError):
            await http.exchange(submit_to(url.replace("http:", "https:")))


@pytest.mark.parametrize(("http", "alert"), pairs([*KINDS], [20, 22, 80, 90]), indirect=["http"])
async def test_alert_about_one_connection_is_a_transport_error(http, alert):
    """A server with an internal error may shake hands a moment later."""

    async def refuse(reader, writer, received):
        received.append(await reader.read(64))
        writer.write(bytes([21, 3, 3, 0, 2, 2, alert]))
        await writer.drain()
        await reader.read()

    async with served(refuse) as (url, _):
        with pytest.raises(TransportError) as caught:
            await http.exchange(submit_to(url.replace("http:", "https:")))
    assert not caught.value.may_have_been_sent


async def test_silent_server_is_cut_off(http, leap):
    """After its deadline the request may have left, and the next exchange gets a connection."""

    async def silent(reader, writer, received):
        await read_request(reader, received)
        if 1 == len(received):
            await reader.read()
        writer.write(OK)
        await writer.drain()

    async with served(silent) as (url, received):
        sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=300.0)
        call = Call(method="POST", url=f"{url}/x", repeatable=True)
        sending = asyncio.create_task(sender.send(sender.build(call)))
        await until(lambda: received)
        leap(300.0)
        with pytest.raises(TransportError, match=r"within 300 s") as caught:
            await sending
        assert caught.value.may_have_been_sent
        assert 200 == (await http.exchange(submit_to(url))).status_code


SUBMIT = Call(method="POST", url="", fields={"prompt": "x"}, key_in="body", repeatable=False)


@pytest.mark.parametrize("kind", NARROW)
async def test_submit_without_connection_never_left(kind):
    """If all connections are in use until the deadline, no server got the request."""

    async def hang(reader, _writer, received):
        await read_request(reader, received)
        await reader.read()

    async with served(hang) as (url, received):
        given = NARROW[kind]()
        http = as_transport(given, 2)
        sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=30.0)
        polls = [asyncio.create_task(http.exchange(submit_to(url))) for _ in range(2)]
        async with asyncio.timeout(300):
            while len(received) < 2:  # noqa: ASYNC110 -- no event tells it.
                await asyncio.sleep(0.005)
        with pytest.raises(TransportError) as caught:
            await sender.send(sender.build(evolve(SUBMIT, url=f"{url}/y")), timeout=0.3)
        assert not caught.value.may_have_been_sent
        assert 2 == len(received)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        for thing in (http, given):
            if aclose := getattr(thing, "aclose", None):
                await aclose()


@pytest.mark.modelslab_network
async def test_submit_that_never_connects_never_left(http, monkeypatch):
    """The same holds if the deadline passes while connecting: the name never resolves here."""

    async def getaddrinfo(*_place, **_kind):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=30.0)
    call = evolve(SUBMIT, url="http://somewhere.invalid/y")
    with pytest.raises(
        TransportError, match=r"no connection was available within 0\.3 s"
    ) as caught:
        await sender.send(sender.build(call), timeout=0.3)
    assert not caught.value.may_have_been_sent


@pytest.mark.modelslab_network
async def test_connect_timeout_ends_attempt_that_never_connects(http, monkeypatch):
    """A request with a connect timeout does not leave after it, and its error says so."""

    async def getaddrinfo(*_place, **_kind):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=600.0)
    call = evolve(SUBMIT, url="http://somewhere.invalid/y")
    with pytest.raises(TransportError) as caught:
        await sender.send(sender.build(call), connect_timeout=0.3)
    assert not caught.value.may_have_been_sent


async def test_connect_timeout_ends_when_the_request_leaves(http):
    """A server may take longer than that to answer."""
    answer = asyncio.Event()

    async def slow(reader, writer, received):
        await read_request(reader, received)
        await answer.wait()
        writer.write(OK)
        await writer.drain()

    async with served(slow) as (url, received):
        sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=600.0)

        request = sender.build(evolve(SUBMIT, url=f"{url}/y"))

        async def send():
            # A loaded machine may take longer than that to connect over loopback.
            while True:
                try:
                    return await sender.send(request, connect_timeout=0.5)
                except TransportError:
                    if received:
                        raise

        sending = asyncio.create_task(send())
        async with asyncio.timeout(300):
            while not received:  # noqa: ASYNC110 -- no event tells it.
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.6)
        assert not sending.done()
        answer.set()
        assert 200 == (await sending).status_code


@pytest.mark.parametrize("kind", NARROW)
async def test_connect_timeout_covers_the_wait_for_a_connection(kind):
    """If all connections are in use until then, no server got the request."""

    async def hang(reader, _writer, received):
        await read_request(reader, received)
        await reader.read()

    async with served(hang) as (url, received):
        given = NARROW[kind]()
        http = as_transport(given, 2)
        sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=600.0)
        polls = [asyncio.create_task(http.exchange(submit_to(url))) for _ in range(2)]
        async with asyncio.timeout(300):
            while len(received) < 2:  # noqa: ASYNC110 -- no event tells it.
                await asyncio.sleep(0.005)
        with pytest.raises(TransportError) as caught:
            await sender.send(sender.build(evolve(SUBMIT, url=f"{url}/y")), connect_timeout=0.3)
        assert not caught.value.may_have_been_sent
        assert 2 == len(received)
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
        for thing in (http, given):
            if aclose := getattr(thing, "aclose", None):
                await aclose()


async def test_submit_that_was_read_may_have_left(http, leap):
    """Once the request is out, its deadline proves nothing."""

    async def hang(reader, _writer, received):
        await read_request(reader, received)
        await reader.read()

    async with served(hang) as (url, received):
        sender = Sender(http, Credentials(standard=KEY, enterprise=None), timeout=600.0)
        request = sender.build(evolve(SUBMIT, url=f"{url}/y"))
        sending = asyncio.create_task(sender.send(request, timeout=300.0))
        await until(lambda: received)
        leap(300.0)
        with pytest.raises(TransportError, match=r"no complete response came within 300 s") as late:
            await sending
        assert late.value.may_have_been_sent


async def test_cancelled_exchange_frees_its_slot(http):
    """An exchange that is cancelled before the server has answered leaves nothing behind."""
    received_one, answer = asyncio.Event(), asyncio.Event()

    async def slow(reader, writer, received):
        while True:
            await read_request(reader, received)
            received_one.set()
            await answer.wait()
            writer.write(OK)
            await writer.drain()

    async with served(slow) as (url, _):
        for _ in range(12):
            received_one.clear()
            task = asyncio.create_task(http.exchange(submit_to(url)))
            await received_one.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        answer.set()
        found = await asyncio.gather(*(http.exchange(submit_to(url)) for _ in range(8)))
        assert [200] * 8 == [response.status_code for response in found]


# The pool of httpcore loses a connection if a request is cancelled at certain moments.
@pytest.mark.parametrize("http", HTTP11_TRANSPORTS, indirect=True)
async def test_cancelled_at_any_moment_frees_its_slot(http):
    """However far a cancelled exchange has come, the next ones get its slot."""
    async with served(replying_with(OK)) as (url, _):
        for steps in range(12):
            task = asyncio.create_task(http.exchange(submit_to(url)))
            for _ in range(steps):
                await asyncio.sleep(0.0005)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        async with asyncio.timeout(300):
            found = await asyncio.gather(*(http.exchange(submit_to(url)) for _ in range(8)))
        assert [200] * 8 == [response.status_code for response in found]


@pytest.mark.parametrize("is_reused", [False, True])
async def test_request_that_may_no_longer_be_sent_has_no_body_on_the_wire(http, is_reused):
    """The transport asks once there is a connection. Its caller gets the error that says no."""
    refusal = ClientClosed("it was closed")

    def refuse():
        raise refusal

    async with served(replying_with(OK)) as (url, received):
        if is_reused:
            await http.exchange(submit_to(url))
        with pytest.raises(ClientClosed) as caught:
            await http.exchange(evolve(submit_to(url), check_sendable=refuse))
        assert refusal is caught.value
        assert 200 == (await http.exchange(submit_to(url))).status_code
    assert 1 + is_reused == len(received)


@pytest.mark.parametrize("kind", CODECS)
async def test_nothing_of_a_request_that_may_no_longer_be_sent_is_written(kind):
    """The package's own transport asks before the first byte, once the connection is open."""
    asked, read = [], asyncio.get_running_loop().create_future()

    async def behave(reader, _writer, _received):
        read.set_result(await reader.read(1))

    def refuse():
        asked.append(len(opened))
        raise ClientClosed("it was closed")

    opened = []

    async def dial(*args, **more):
        transport = await Dialer().open(*args, **more)
        opened.append(transport)
        return transport

    transport = HTTP11Transport(
        connections=1, make_codec=CODECS[kind], dialer=SimpleNamespace(open=dial)
    )
    async with served(behave) as (url, _):
        with pytest.raises(ClientClosed):
            await transport.exchange(evolve(submit_to(url), check_sendable=refuse))
        async with asyncio.timeout(300):
            assert b"" == await read
    await transport.aclose()
    assert [1] == asked
