"""From a URL to a connection: names, addresses, TLS and proxies."""

import asyncio
import socket
import sys
import threading
import traceback

import httpx
import pytest
from closed_port import closed_port
from transport.http_server import (
    KEY,
    OK,
    Server,
    read_request,
    request_to,
    resolve_instantly,
    trusted_server_context,
    until,
)
from transport.proxy_server import REFUSED, Proxy

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
from modelslab_async._transport.http11 import connection as http11_connection
from modelslab_async._transport.http11 import transport as http11_transport
from modelslab_async._transport.http11.connection import Connection, connect_socket
from modelslab_async._transport.http11.transport import OriginPool
from modelslab_async._transport.send_proof import is_unsent
from modelslab_async._transport.sender import Sender
from modelslab_async._transport.tls_context import SSLContextLoader
from modelslab_async._transport.transport_choice import as_transport
from modelslab_async.emulator import Emulator, run_faulty_server


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
            async with asyncio.timeout(300):
                await connection.exchange(request_to(server), "x")
    assert not caught.value.may_have_been_sent


class ClosingTransport(asyncio.Transport):
    """A transport whose loop has not told yet that the connection is lost."""

    def is_closing(self):
        return True

    def abort(self):
        pass


@pytest.mark.parametrize("end", ["abort", "cancel"])
async def test_exchange_on_closing_connection_sent_nothing(own, end):
    """However it ends before the loss of the connection is told, no byte has left."""
    near, far = socket.socketpair()
    opened = []

    async def connect(connection):
        opened.append(connection)
        connection.connection_made(ClosingTransport({"socket": near}))

    with near, far:
        pool = OriginPool("x", connect, connections=1, make_codec=own(connections=1)._make_codec)
        request = Request(method="POST", url="http://x/", body=b"{}")
        exchange = asyncio.create_task(pool.exchange(request))
        while not (opened and opened[0]._pending):  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0)
        opened[0].abort() if end == "abort" else exchange.cancel()
        with pytest.raises((TransportError, asyncio.CancelledError)) as caught:
            await exchange
        opened[0].connection_lost(None)
    if end == "abort":
        assert not caught.value.may_have_been_sent
    else:
        assert is_unsent(caught.value)


async def test_refused_connection_never_sent(http):
    """No server listens, so nothing was sent."""
    with (
        closed_port() as port,
        pytest.raises(TransportError, match="ConnectionRefusedError") as caught,
    ):
        await http.exchange(Request(method="GET", url=port.url))
    assert not caught.value.may_have_been_sent


async def test_host_that_never_connects_never_sent(http, monkeypatch):
    """If connecting times out, the request provably never left."""

    async def silent(*_address):
        await asyncio.Event().wait()

    resolve_instantly(monkeypatch)
    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", silent)
    monkeypatch.setattr(http11_transport, "_CONNECT_TIMEOUT_S", 0.05)
    with pytest.raises(TransportError, match="no connection within") as caught:
        await http.exchange(Request(method="GET", url="http://127.0.0.1:9/x"))
    assert not caught.value.may_have_been_sent


@pytest.mark.modelslab_network
async def test_unknown_host_never_sent(http, monkeypatch):
    """A name without an address gets no request."""

    async def getaddrinfo(*_args, **_kind):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportError, match="Name or service not known") as caught:
        await http.exchange(Request(method="GET", url="https://nowhere.invalid"))
    assert not caught.value.may_have_been_sent


@pytest.mark.modelslab_network
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


@pytest.mark.modelslab_network
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
        pytest.skip("this machine has no IPv6; give its loopback interface the address ::1")
    async with Server(host="::1") as server:
        await http.exchange(request_to(server))
        resolve_instantly(monkeypatch, ("127.0.0.1", server.port))
        with pytest.raises(TransportError):
            await http.exchange(Request(method="GET", url="http://[::1]/"))
        await http.aclose()
    head, _ = server.received[0][0]
    assert f"\r\nHost: [::1]:{server.port}\r\n" in head


@pytest.mark.modelslab_network
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
    monkeypatch.setattr(http11_transport, "_CONNECT_TIMEOUT_S", 300.0)
    loop = asyncio.get_running_loop()
    both = loop.create_future()
    tried = []

    async def sock_connect(sock, address):
        tried.append((sock, address))
        await (asyncio.Event().wait() if address[1] == 1 else asyncio.shield(both))
        sock.settimeout(300)
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


async def test_dead_first_address_costs_one_head_start(http, monkeypatch, leap):
    """If the first address never answers, the second is tried after the delay, not before."""
    assert 0.25 == http11_connection._NEXT_ADDRESS_DELAY_S
    monkeypatch.setattr(http11_connection, "_NEXT_ADDRESS_DELAY_S", 300.0)
    monkeypatch.setattr(http11_transport, "_CONNECT_TIMEOUT_S", 3000.0)
    loop, tried = asyncio.get_running_loop(), []
    real_connect = loop.sock_connect

    async def sock_connect(sock, address):
        tried.append(address[1])
        await (asyncio.Event().wait() if address[1] == 1 else real_connect(sock, address))

    async with Server() as server:
        resolve_instantly(monkeypatch, ("127.0.0.1", 1), ("127.0.0.1", server.port))
        monkeypatch.setattr(loop, "sock_connect", sock_connect)
        exchange = asyncio.create_task(http.exchange(request_to(server)))
        await until(lambda: tried)
        leap(200.0)
        await asyncio.sleep(0.01)
        assert [1] == tried
        leap(300.0)
        assert 200 == (await exchange).status_code
        assert [1, server.port] == tried
        await http.aclose()
    assert 1 == sum(map(len, server.received))


async def test_refusing_first_address_is_skipped(http, monkeypatch):
    """A first address that refuses the connection leads to the second one at once."""
    with closed_port() as refusing:
        async with Server() as server:
            addresses = [("127.0.0.1", port) for port in (refusing.number, server.port)]
            resolve_instantly(monkeypatch, *addresses)
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


@pytest.mark.modelslab_network
async def test_environment_proxy_is_used(own, monkeypatch):
    """If the environment names a proxy, requests share one route through it."""
    async with Server() as server, Proxy(server, answer=REFUSED) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        http = own(connections=4)
        request = Request(method="GET", url="http://some.example/x")
        await asyncio.gather(http.exchange(request), http.exchange(request))
        await http.exchange(request_to(server, "/direct"))
        proxy.answer = b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"
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
    connects = [head for head in proxy.heads if head.startswith("CONNECT")]
    assert 2 == sum(head.startswith("CONNECT some.example:443 HTTP/1.1") for head in connects)
    assert KEY not in "".join(connects)


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
    call = Call(method="POST", url="https://127.0.0.1:1/", repeatable=False)
    with pytest.raises(TransportError, match="no connection was available") as caught:
        await sender.send(sender.build(call))
    assert not caught.value.may_have_been_sent


@pytest.mark.parametrize("kind", ["transport", "client"])
async def test_second_response_in_one_packet_is_dropped_over_httpx(kind):
    """Surplus bytes are never read as the response to the next request."""

    class Twice(Server):
        async def talk(self, reader, writer, requests):
            while True:
                head, _ = request = await read_request(reader)
                requests.append(request)
                path = head.split()[1].encode()[-2:]
                writer.write(OK.replace(b"{}", path) + OK.replace(b"{}", b"no"))

    async with Twice() as server, httpx.AsyncClient(trust_env=False, timeout=600.0) as own:
        given = {"transport": httpx.AsyncHTTPTransport(), "client": own}[kind]
        http = as_transport(given, 1)
        for path in (b"/1", b"/2"):
            response = await http.exchange(request_to(server, path.decode()))
            assert path == response.body
        if kind != "client":
            await http.aclose()
    assert [1, 1] == [len(requests) for requests in server.received]
