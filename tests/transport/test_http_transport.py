"""The settings of the default transport: certificates, addresses and limits."""

import asyncio
import ssl
from shutil import which

import pytest
import trustme
import truststore
from transport.http_server import Server, request_to, until

from modelslab_async import HandshakeFailed, HTTPTransport, TransportError, UntrustedServer


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.mark.parametrize(
    "make_context",
    [
        ssl.create_default_context,
        lambda: truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    ],
    ids=["ssl", "truststore"],
)
async def test_ssl_context_decides_which_servers_are_trusted(
    authority, server_context, make_context
):
    """Only a context that trusts the authority of the server lets a request through."""
    async with Server(tls=server_context) as server:
        for trusts in (False, True):
            context = make_context()
            if trusts:
                authority.configure_trust(context)
            http = HTTPTransport(ssl_context=context)
            if trusts:
                assert 200 == (await http.exchange(request_to(server))).status_code
            else:
                with pytest.raises(UntrustedServer):
                    await http.exchange(request_to(server))
            await http.aclose()


async def test_client_certificate_of_the_context_is_shown(authority, server_context):
    """A server that asks for a certificate gets that of the context."""
    authority.configure_trust(server_context)
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Server(tls=server_context) as server:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        http = HTTPTransport(ssl_context=context)
        with pytest.raises((HandshakeFailed, TransportError)) as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        await http.aclose()
        authority.issue_cert("me@example.org").configure_cert(context)
        http = HTTPTransport(ssl_context=context)
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()


async def test_context_for_http2_is_used_for_http11(authority, server_context):
    """A context that offers HTTP/2, as one shared with httpx may, still negotiates HTTP/1.1."""
    server_context.set_alpn_protocols(["h2", "http/1.1"])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    async with Server(tls=server_context) as server:
        http = HTTPTransport(ssl_context=context)
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()
    assert "http/1.1" == server.writers[0].get_extra_info("ssl_object").selected_alpn_protocol()


@pytest.mark.skipif(not which("openssl"), reason="the program openssl computes the hashed name")
async def test_ssl_cert_dir_is_honoured(authority, server_context, monkeypatch, tmp_path):
    """SSL_CERT_DIR names a folder of certificates with hashed names."""
    pem = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(pem)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    async with Server(tls=server_context) as server:
        http = HTTPTransport()
        with pytest.raises(UntrustedServer):
            await http.exchange(request_to(server))
        await http.aclose()
        pem.rename(tmp_path / f"{await subject_hash(pem)}.0")
        http = HTTPTransport()
        assert 200 == (await http.exchange(request_to(server))).status_code
        await http.aclose()


async def subject_hash(pem):
    process = await asyncio.create_subprocess_exec(
        "openssl", "x509", "-hash", "-noout", "-in", str(pem), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode().strip()


async def test_connections_limit_one_host():
    """Further requests wait until a connection is free."""
    async with Server() as server:
        server.gate.clear()
        http = HTTPTransport(connections=2)
        tasks = [asyncio.create_task(http.exchange(request_to(server))) for _ in range(5)]
        await until(lambda: sum(map(len, server.received)) == 2)
        server.gate.set()
        assert [200] * 5 == [response.status_code for response in await asyncio.gather(*tasks)]
        await http.aclose()
    assert 2 == len(server.received)


async def test_connection_comes_from_the_local_address():
    """The server sees the address that the caller chose."""
    async with Server() as server:
        http = HTTPTransport(local_address="127.0.0.2")
        assert 200 == (await http.exchange(request_to(server))).status_code
        [writer] = server.writers
        assert "127.0.0.2" == writer.get_extra_info("peername")[0]
        await http.aclose()


async def test_local_address_that_this_machine_lacks_never_sent():
    """Binding fails before anything is sent."""
    async with Server() as server:
        http = HTTPTransport(local_address="192.0.2.1")
        with pytest.raises(TransportError, match="192\\.0\\.2\\.1") as caught:
            await http.exchange(request_to(server))
        assert not caught.value.may_have_been_sent
        await http.aclose()
    assert [] == server.received


WRONG = [
    ({"ssl_context": True}, TypeError, "ssl_context is an ssl.SSLContext or None, got a value"),
    ({"ssl_context": "/ca.pem"}, TypeError, "ssl_context is an ssl.SSLContext or None, got a"),
    ({"connections": 0}, ValueError, "connections is a number of at least 1, got 0"),
    ({"connections": 1.5}, TypeError, "connections is a number of at least 1, a whole one"),
    ({"proxy": 8080}, TypeError, "proxy is the URL of a proxy or None, got a value of type int"),
    ({"proxy": ""}, ValueError, "proxy is no URL with a host and a port"),
    ({"proxy": "u:sekret@host:1"}, ValueError, "proxy is no URL with a host and a port"),
    ({"proxy": "foo://u:sekret@host:1"}, ValueError, "proxy has the scheme 'foo', expected http"),
    ({"proxy": "http://u:sekret@host:0"}, ValueError, "proxy is no URL with a host and a port"),
    ({"proxy": "http://u:sekret@:80"}, ValueError, "proxy is no URL with a host and a port"),
    ({"local_address": "localhost"}, ValueError, "local_address is an IP address of this machine"),
    ({"local_address": 1}, TypeError, "local_address is an IP address or None, got a value"),
]


@pytest.mark.parametrize(("given", "kind", "text"), WRONG)
def test_wrong_argument_is_refused_at_once(given, kind, text):
    """The message says what was expected, and shows no password."""
    with pytest.raises(kind) as caught:
        HTTPTransport(**given)
    assert text in str(caught.value)
    assert "sekret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_socks_without_its_extra_is_refused_at_once(monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    with pytest.raises(ValueError, match="pip install"):
        HTTPTransport(proxy="socks5://127.0.0.1:1")


def test_repr_shows_no_setting():
    """A log line with the transport or a part of it shows no password of the proxy."""
    http = HTTPTransport(proxy="http://u:sekret@127.0.0.1:1")
    assert "sekret" not in f"{http!r}{http}{vars(http)}{vars(http._transport)}"
