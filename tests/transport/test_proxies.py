"""Requests through a proxy: kept connections, passwords that stay hidden, and what can fail."""

import asyncio
import base64
import logging
import ssl
import traceback
from contextlib import suppress

import httpx
import pytest
import trustme
from transport.http_server import (
    KEY,
    OK,
    Server,
    request_to,
    trusted_server_context,
    until,
)
from transport.proxy_server import ESTABLISHED, REFUSED, Proxy

from modelslab_async import (
    Call,
    Client,
    HTTPTransport,
    RequestBlocked,
    TransportError,
    UntrustedServer,
    UnusableProxy,
)
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.http11 import transport as http11_transport
from modelslab_async._transport.proxy import Proxy as ProxyValue
from modelslab_async._transport.sender import Sender

PASSWORD = "se:kret/of 20"
USER = "someone:se%3Akret%2Fof%2020"
TOKEN = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()


@pytest.fixture
def through(own):
    """The default transport over each codec, through a proxy."""
    return lambda url, connections=4: own(
        connections=connections, proxy=ProxyValue.parse(url, origin="the proxy of the test")
    )


@pytest.fixture
def secure(monkeypatch, tmp_path):
    """A TLS context for servers and proxies on this machine, which the client trusts."""
    return trusted_server_context(monkeypatch, tmp_path, "127.0.0.1")


@pytest.mark.parametrize("proxy_has_tls", [False, True], ids=["http proxy", "https proxy"])
async def test_tunnel_is_kept(through, secure, proxy_has_tls):
    """Polls in a row share one tunnel and one handshake, and the server sees no proxy header."""
    tls = secure if proxy_has_tls else None
    async with Server(tls=secure) as server, Proxy(server, tls=tls) as proxy:
        http = through(proxy.url_for(USER))
        for number in range(20):
            response = await http.exchange(request_to(server, f"/{number}"))
            assert (200, b"{}") == (response.status_code, response.body)
        await http.aclose()
    assert [20] == [len(requests) for requests in server.received]
    [head] = proxy.heads
    origin = f"127.0.0.1:{server.port}"
    assert head.startswith(f"CONNECT {origin} HTTP/1.1\r\nHost: {origin}\r\n")
    assert f"\r\nProxy-Authorization: Basic {TOKEN}\r\n" in head
    assert KEY not in head
    seen = "".join(head for head, _ in server.received[0])
    assert "proxy" not in seen.lower()
    assert "GET /19 HTTP/1.1" in seen or "POST /19 HTTP/1.1" in seen


async def test_tunnel_for_plain_http_is_kept(through):
    """Plain http goes through one tunnel, and the server sees no proxy header."""
    async with Server() as server, Proxy(server) as proxy:
        http = through(proxy.url_for(USER))
        for _ in range(20):
            assert b"{}" == (await http.exchange(request_to(server))).body
        await http.aclose()
    assert [20] == [len(requests) for requests in server.received]
    assert 1 == len(proxy.heads)
    assert "proxy" not in "".join(head for head, _ in server.received[0]).lower()


KEPT = OK.replace(b"Content", b"Connection: keep-alive\r\nContent")


@pytest.mark.parametrize(("answer", "expected"), [(KEPT, [20]), (OK, [1] * 20)])
async def test_connection_of_a_forwarding_proxy_is_kept_if_it_says_so(through, answer, expected):
    """A proxy that opens no tunnels to port 80 gets the whole URL, and may keep its connection."""
    async with Server(answer) as server, Proxy(server, answer=REFUSED) as proxy:
        http = through(proxy.url_for(USER))
        for number in range(20):
            assert 200 == (await http.exchange(request_to(server, f"/{number}?a=b"))).status_code
        await http.aclose()
    assert expected == [len(requests) for requests in server.received]
    assert 1 == sum(head.startswith("CONNECT") for head in proxy.heads)
    for number, (head, body) in enumerate(
        each for requests in server.received for each in requests
    ):
        assert head.startswith(
            f"POST http://127.0.0.1:{server.port}/{number}?a=b HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\n"
        )
        assert f"\r\nProxy-Authorization: Basic {TOKEN}\r\n" in head
        assert b'{"a":1}' == body


async def test_proxy_of_the_environment_is_kept_too(own, secure, monkeypatch):
    """HTTPS_PROXY takes the same way, and NO_PROXY leads past it."""
    async with Server(tls=secure) as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url_for(USER))
        http = own(connections=4)
        for _ in range(5):
            await http.exchange(request_to(server))
        await http.aclose()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        http = own(connections=4)
        await http.exchange(request_to(server))
        await http.aclose()
    assert [5, 1] == [len(requests) for requests in server.received]
    assert 1 == len(proxy.heads)


async def test_submit_gets_a_tunnel_of_its_own(through, secure):
    """A request that must not be repeated never meets a connection that is being closed."""
    async with Server(tls=secure) as server, Proxy(server) as proxy:
        http = through(proxy.url)
        for needs_new_connection in (False, True, False):
            await http.exchange(request_to(server, needs_new_connection=needs_new_connection))
        await http.aclose()
    assert [1, 2] == [len(requests) for requests in server.received]
    assert 2 == len(proxy.heads)


FAILURES = {
    "502": b"HTTP/1.1 502 %s\r\nX-Seen: %s\r\nContent-Length: 3\r\n\r\nbad",
    "599": b"HTTP/1.0 599 %s\r\nX-Seen: %s\r\n\r\n",
    "half an answer": b"HTTP/1.1 200 %s\r\nX-Seen: %s\r\n",
    "no answer": b"",
    "no HTTP": b"SSH-2.0-%s %s\r\n\r\n",
    "too long": b"HTTP/1.1 200 %s\r\nX-Seen: %s" + b"a" * 70_000,
}
WORDS = {"502": "status 502 Bad Gateway", "599": "status 599"}


@pytest.mark.parametrize("name", FAILURES)
async def test_proxy_that_opens_no_tunnel_sent_nothing(through, secure, name, caplog):
    """A submit is known not to have left, and no text shows the password or the proxy's words."""
    caplog.set_level(logging.DEBUG)
    answer = FAILURES[name]
    if answer:
        answer %= (TOKEN.encode(), PASSWORD.encode())
    async with (
        Server(tls=secure) as server,
        Proxy(server, answer=answer, opens=False) as proxy,
    ):
        sender = Sender(through(proxy.url_for(USER)), Credentials.resolve(KEY, None), timeout=30.0)
        call = Call(method="POST", url=server.url, fields={"a": 1}, repeatable=False)
        with pytest.raises(TransportError, match="ProxyError: the proxy") as caught:
            await sender.send(sender.build(call))
        assert not caught.value.may_have_been_sent
        assert WORDS.get(name, "") in str(caught.value)
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
        for secret in (TOKEN, PASSWORD, "se%3Akret"):
            assert secret not in shown
        await sender.aclose()
    assert [] == server.received
    assert 1 == len(proxy.heads)


async def test_bytes_after_the_answer_of_a_proxy_open_no_tunnel(through, secure):
    """A server never speaks first in TLS, so such bytes come from the proxy."""
    async with (
        Server(tls=secure) as server,
        Proxy(server, answer=ESTABLISHED + OK, opens=False) as proxy,
    ):
        http = through(proxy.url)
        with pytest.raises(TransportError, match="bytes after its answer") as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        await http.aclose()


async def test_proxy_that_never_answers_sent_nothing(through, secure, monkeypatch):
    """After the connect timeout, the request provably never left."""
    monkeypatch.setattr(http11_transport, "_CONNECT_TIMEOUT_S", 0.2)
    async with Server(tls=secure) as server, Proxy(server, answer=None) as proxy:
        http = through(proxy.url)
        with pytest.raises(TransportError, match="no connection within") as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        await http.aclose()
    assert [] == server.received


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_closed_port_of_a_proxy_sent_nothing(through, scheme):
    """The error names the proxy, not the server."""
    http = through("http://127.0.0.1:1")
    async with Server() as server:
        request = request_to(server)
        call = Call(method="POST", url=request.url.replace("http:", f"{scheme}:"), repeatable=False)
        sender = Sender(http, Credentials.resolve(KEY, None), timeout=30.0)
        with pytest.raises(TransportError, match="the proxy cannot be reached") as caught:
            await sender.send(sender.build(call))
        assert not caught.value.may_have_been_sent
        await sender.aclose()


async def test_forwarding_proxy_that_hangs_up_may_have_sent(through):
    """A proxy that forwards plain http has read the request."""
    async with Server() as server, Proxy(server, answer=REFUSED, opens=False) as proxy:
        http = through(proxy.url)
        with pytest.raises(TransportError) as caught:
            await http.exchange(request_to(server))
        assert caught.value.may_have_been_sent
        await http.aclose()


async def test_password_in_the_response_of_a_forwarding_proxy_is_redacted(through):
    """A proxy that quotes the request in its error page shows no password to the caller."""
    page = f"{TOKEN} {PASSWORD} se%3Akret%2Fof%2020".encode()
    answer = b"HTTP/1.1 502 No\r\nX-Seen: %b\r\nContent-Length: %d\r\n\r\n%b"
    answer %= (TOKEN.encode(), len(page), page)
    async with Server(answer) as server, Proxy(server, answer=REFUSED) as proxy:
        http = through(proxy.url_for(USER))
        response = await http.exchange(request_to(server))
        assert 502 == response.status_code
        assert b" ".join([b"[proxy password]"] * 3) == response.body
        assert (b"X-Seen", b"[proxy password]") == response.headers[0]
        await http.aclose()


WRONG_PASSWORD = b"HTTP/1.1 407 %s\r\nX-Seen: %s\r\nContent-Length: 3\r\n\r\nbad" % (
    TOKEN.encode(),
    PASSWORD.encode(),
)


@pytest.mark.parametrize("way", ["tunnel", "plain tunnel", "forwarding"])
async def test_wrong_password_of_a_proxy_is_permanent(through, secure, way, caplog):
    """The waits and the submit end at once. Nothing was sent, and no text shows the password."""
    caplog.set_level(logging.DEBUG)
    connect_answer = REFUSED if way == "forwarding" else WRONG_PASSWORD
    async with (
        Server(WRONG_PASSWORD, tls=secure if way == "tunnel" else None) as server,
        Proxy(server, answer=connect_answer, opens=way == "forwarding") as proxy,
        Client(KEY, base_url=server.url, http=through(proxy.url_for(USER))) as client,
    ):
        ends = await client.gather(["images:1", "images:2"])
        assert [UnusableProxy] * 2 == [type(end.cause) for end in ends]
        with pytest.raises(UnusableProxy) as caught:
            await client.submit("realtime/text2img", prompt="a fox")
        text = "the proxy of the test cannot be used: it asks for another user and password"
        assert text in str(caught.value)
        assert not caught.value.may_have_been_sent
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
        for secret in (TOKEN, PASSWORD, "se%3Akret"):
            assert secret not in shown


@pytest.mark.parametrize("way", ["tunnel", "forwarding"])
async def test_wrong_password_of_a_proxy_is_permanent_over_httpx(secure, way):
    """A client of httpx meets status 407 as an error of CONNECT, or as a response."""
    async with (
        Server(WRONG_PASSWORD, tls=secure if way == "tunnel" else None) as server,
        Proxy(server, answer=WRONG_PASSWORD) as proxy,
        httpx.AsyncClient(proxy=proxy.url_for(USER)) as http,
        Client(KEY, base_url=server.url, http=http) as client,
    ):
        with pytest.raises(UnusableProxy, match="another user and password") as caught:
            await client.wait("images:1")
        assert PASSWORD not in str(caught.value)
        with pytest.raises(UnusableProxy):
            await client.submit("realtime/text2img", prompt="a fox")


async def test_untrusted_certificates_name_who_shows_them(through, secure):
    """A server behind a tunnel is an UntrustedServer; a proxy is an UnusableProxy."""
    unknown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(unknown)
    async with Server(tls=unknown) as server, Proxy(server, tls=secure) as proxy:
        http = through(proxy.url)
        with pytest.raises(UntrustedServer, match="the server's certificate is not valid"):
            await http.exchange(request_to(server))
        await http.aclose()
    async with Server(tls=secure) as server, Proxy(server, tls=unknown) as proxy:
        http = through(proxy.url_for(USER))
        with pytest.raises(UnusableProxy, match="the proxy's certificate is not valid") as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        assert PASSWORD not in str(caught.value)
        await http.aclose()
    assert [] == server.received


async def test_server_that_speaks_unasked_through_a_tunnel_is_not_believed(through, secure):
    """Bytes that come with the end of the handshake are never the response to the first request."""
    secure.maximum_version = ssl.TLSVersion.TLSv1_2

    class Hasty(Server):
        async def talk(self, reader, writer, _requests):
            writer.write(OK.replace(b"{}", b"no"))
            await writer.drain()
            await reader.read()

    class Slow(Proxy):
        async def pump_back(self, reader, writer):
            held = b""
            while data := await reader.read(65536):
                held += data
                # The record that ends the handshake waits for the one with the bytes.
                types = tls_record_types(held)
                if CHANGE_CIPHER_SPEC not in types or APPLICATION_DATA in types:
                    writer.write(held)
                    held = b""
            writer.close()

    async with Hasty(tls=secure) as server, Slow(server) as proxy:
        http = through(proxy.url)
        with pytest.raises(TransportError, match="sent bytes unasked") as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        await http.aclose()


CHANGE_CIPHER_SPEC, APPLICATION_DATA = 20, 23


def tls_record_types(data):
    types = []
    while len(data) >= 5:
        length = 5 + int.from_bytes(data[3:5])
        types += [data[0]] * (len(data) >= length)
        data = data[length:]
    return types


async def test_cancelled_at_any_step_of_a_tunnel_leaks_nothing(through, secure):
    """Wherever a call through a proxy is cancelled, its slot is free and its socket is closed."""
    async with Server(tls=secure) as server, Proxy(server) as proxy:
        cancelled = 0
        for steps in range(0, 90, 3):
            http = through(proxy.url, connections=1)
            await http._dialer.ssl_loader.context()
            task = asyncio.create_task(http.exchange(request_to(server)))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            cancelled += task.cancelled()
            async with asyncio.timeout(300):
                assert 200 == (await http.exchange(request_to(server))).status_code
            (origin,) = http._routes.values()
            assert set(origin._idle) == origin._open_connections
            await http.aclose()
            assert set() == origin._open_connections
        assert 5 < cancelled


async def test_connection_lost_at_rest_is_replaced(through, secure):
    """A tunnel that the proxy closed is not used again."""
    async with Server(tls=secure) as server, Proxy(server) as proxy:
        http = through(proxy.url)
        await http.exchange(request_to(server))
        server.writers[0].close()
        (origin,) = http._routes.values()
        await until(lambda: not origin._idle)
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()
    assert 2 == len(proxy.heads)


async def test_client_sends_through_the_proxy_of_its_transport(secure):
    """`HTTPTransport` is given to a client, which closes it."""
    answer = b'{"status": "success", "output": ["https://x/1.png"]}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    async with Server(head % len(answer) + answer, tls=secure) as server, Proxy(server) as proxy:
        http = HTTPTransport(proxy=proxy.url_for(USER))
        async with Client(KEY, base_url=server.url, http=http) as client:
            for _ in range(3):
                await client.fetch("images:1")
    assert 1 == len(proxy.heads)


async def test_proxy_on_another_machine_is_refused_in_tests():
    """The guard of the pytest plugin asks where the connection goes, not only the request."""
    http = HTTPTransport(proxy="http://proxy.example:3128")
    async with Server() as server:
        with pytest.raises(RequestBlocked, match=r"proxy\.example"):
            await http.exchange(request_to(server))
    await http.aclose()
