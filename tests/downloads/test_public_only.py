"""Public addresses only: where links may lead, and what is sent there."""

import asyncio
import socket
import ssl

import httpx
import pytest
import trustme
from closed_port import closed_port

from modelslab_async import Client, Downloads, LinkRefused, TransferFailed, download
from modelslab_async._transport.ip_ranges import is_public
from modelslab_async._transport.public_only import PublicOnlyTransport
from modelslab_async.emulator import Emulator

from .conftest import PNG, Server, names, success

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"],
)
def test_public_addresses_are_public(address):
    """IPv6 addresses that carry a public IPv4 address count too."""
    assert is_public(address)


NOT_PUBLIC = """
127.0.0.1 10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 255.255.255.255
224.0.0.1 239.1.1.1 240.0.0.1 192.0.2.1 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 fec0::1
ff02::1 2001:db8::1 3fff::1 2001::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 2002:7f00:1::
2002:a9fe:a9fe:: 64:ff9b::a00:1 64:ff9b:1::1 100::1 localhost
""".split()  # noqa: SIM905 -- a column of quotation marks hides the addresses.


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not_public(address):
    """Loopback, private, multicast and documentation addresses, also inside IPv6."""
    assert not is_public(address)


@pytest.fixture
async def public_downloads(folder):
    async with Downloads(to=folder, link_timeout=0) as downloads:
        yield downloads


@pytest.mark.parametrize(
    "link",
    [
        "http://93.184.215.14/0.png",
        "https://127.0.0.1/0.png",
        "https://[::1]/0.png",
        "https://[::ffff:169.254.169.254]/0.png",
        "https://2130706433/0.png",
        "https://0x7f.1/0.png",
        "https://localhost/0.png",
        "https:///0.png",
        "https://x:port/0.png",
    ],
)
async def test_private_or_plain_link_is_refused(link, public_downloads, folder):
    """Plain http, every name of this machine, and what is no URL."""
    with pytest.raises(LinkRefused):
        await public_downloads.save(success(link))

    assert [] == names(folder)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.1", "127.0.0.1.", "169.254.43518"],
)
@pytest.mark.parametrize("is_redirect", [False, True])
async def test_private_address_in_any_form_never_reaches_own_transport(host, is_redirect, folder):
    """Most resolvers read the short, decimal, octal and hexadecimal forms as addresses."""
    seen = []

    def answer(request):
        seen.append(request.url.host)
        return httpx.Response(302, headers={"location": f"https://{host}/0.png"})

    async with Downloads(to=folder, http=httpx.MockTransport(answer)) as downloads:
        with pytest.raises(LinkRefused, match="no public address"):
            await downloads.save(success(f"https://{PUBLIC if is_redirect else host}/0.png"))

    assert [PUBLIC] * is_redirect == seen


@pytest.mark.parametrize("host", ["8.8", "0x08080808", "cdn.example", "3.example", "1x", "a.b.c.1"])
async def test_public_host_reaches_own_transport(host, folder):
    """A public address is fetched in each form, and so is a name that starts with digits."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=PNG))
    async with Downloads(to=folder, http=transport) as downloads:
        (file,) = await downloads.save(success(f"https://{host}/0.png"))

    assert PNG == file.path.read_bytes()


async def test_link_with_password_is_refused(folder):
    """The password is not in the message."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=PNG))
    async with Downloads(to=folder, http=transport) as downloads:
        with pytest.raises(LinkRefused, match="user name") as caught:
            await downloads.save(success("https://user:password@cdn.example/0.png"))

    assert "password" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_followed(status, server, make_downloads):
    """Relative redirects too; the record keeps the first link."""
    server.at_path["old"] = (status, {"location": "/new/0.png"}, b"")

    async with make_downloads() as downloads:
        (file,) = await downloads.save(success(server.link("old/0.png")))

    assert server.link("old/0.png") == file.url
    assert ["/old/0.png", "/new/0.png"] == [request.path for request in server.requests]


async def test_redirect_loop_is_refused(server, make_downloads):
    """Five redirects are the limit."""
    server.at_path["old"] = (302, {"location": "/old/again"}, b"")

    async with make_downloads() as downloads:
        with pytest.raises(LinkRefused, match="more than 5"):
            await downloads.save(success(server.link("old/0.png")))

    assert 6 == len(server.requests)


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://x:port/"])
async def test_redirect_to_another_scheme_is_refused(location, server, make_downloads, folder):
    """Even where private networks are allowed."""
    server.at_path["old"] = (302, {"location": location}, b"")

    async with make_downloads() as downloads:
        with pytest.raises(LinkRefused):
            await downloads.save(success(server.link("old/0.png")))

    assert [] == names(folder)


@pytest.mark.parametrize("location", ["https://10.0.0.1/x", "http://93.184.215.14/x", "//[::1]/x"])
async def test_each_redirect_is_checked(location, folder):
    """A public link that redirects to a private address or to plain http is refused."""
    seen = []

    def answer(request):
        seen.append(str(request.url))
        return httpx.Response(302, headers={"location": location})

    async with Downloads(to=folder, http=httpx.MockTransport(answer)) as downloads:
        with pytest.raises(LinkRefused):
            await downloads.save(success("https://cdn.example/0.png"))

    assert ["https://cdn.example/0.png"] == seen


async def test_redirects_of_callers_client_are_checked(folder):
    """Whatever the caller's client is set to, each redirect is checked first."""
    seen = []

    def answer(request):
        seen.append(str(request.url))
        return httpx.Response(302, headers={"location": "https://10.0.0.1/x"})

    transport = httpx.MockTransport(answer)
    async with (
        httpx.AsyncClient(transport=transport, follow_redirects=True) as http,
        Downloads(to=folder, http=http) as downloads,
    ):
        with pytest.raises(LinkRefused):
            await downloads.save(success("https://cdn.example/0.png"))

    assert ["https://cdn.example/0.png"] == seen


class Resolver:
    """Resolves every name to these addresses, one list per lookup; the last list stays."""

    def __init__(self, monkeypatch, *answers):
        self.answers = list(answers)
        self.lookups = 0
        self._real = asyncio.get_running_loop().getaddrinfo
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self)

    async def __call__(self, host, port, **_kind):
        if host in ("127.0.0.1", b"127.0.0.1"):
            return await self._real(host, port, type=socket.SOCK_STREAM)
        self.lookups += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answer]


@pytest.fixture
async def connected(monkeypatch, server):
    """Leads every connection to the server, and lists the addresses that were asked for."""
    real, addresses = asyncio.get_running_loop().sock_connect, []

    async def sock_connect(sock, address):
        addresses.append(address[0])
        await real(sock, ("127.0.0.1", server.port))

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
    return addresses


@pytest.mark.modelslab_network
async def test_name_with_private_address_is_refused(public_downloads, monkeypatch, connected):
    """The resolved address decides, not the name."""
    Resolver(monkeypatch, ["192.168.0.1", "::1"])

    with pytest.raises(LinkRefused, match="allow_private=True"):
        await public_downloads.save(success("https://cdn.example/0.png"))

    assert [] == connected


async def test_private_address_among_public_ones_is_not_used(monkeypatch, connected, server):
    """Only the public addresses of a name are connected to."""
    Resolver(monkeypatch, ["10.0.0.1", PUBLIC])

    response = await _get(f"http://cdn.example:{server.port}/0.png", allow_private=False)

    assert ([PUBLIC], PNG) == (connected, response)


async def test_name_is_resolved_once(monkeypatch, connected, server):
    """DNS rebinding: the checked address is the one that is connected to."""
    resolver = Resolver(monkeypatch, [PUBLIC], ["127.0.0.1"])

    response = await _get(f"http://cdn.example:{server.port}/0.png", allow_private=False)

    assert ([PUBLIC], 1, PNG) == (connected, resolver.lookups, response)


async def test_rebinding_between_two_requests_is_refused(monkeypatch, connected, server):
    """Each new connection is checked again."""
    Resolver(monkeypatch, [PUBLIC], ["127.0.0.1"])
    server.answers = [(200, {"connection": "close"}, PNG)]
    link = f"http://cdn.example:{server.port}/0.png"

    transport = PublicOnlyTransport(allow_private=False)
    await _read(transport, link)
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
        await _read(transport, link)
    await transport.aclose()

    assert ("NotPublic", [PUBLIC]) == (caught.type.__name__, connected)


async def _read(transport, link):
    response = await transport.handle_async_request(httpx.Request("GET", link))
    content = await response.aread()
    await response.aclose()
    return content


async def _get(link, *, allow_private):
    transport = PublicOnlyTransport(allow_private=allow_private)
    try:
        return await _read(transport, link)
    finally:
        await transport.aclose()


@pytest.mark.modelslab_network
@pytest.mark.parametrize(("name", "is_fine"), [("cdn.example", True), ("other.example", False)])
async def test_certificate_is_checked_by_name(name, is_fine, monkeypatch, tmp_path):
    """TLS checks the name of the link, though the connection goes to an address."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("cdn.example").configure_cert(context)
    Resolver(monkeypatch, [PUBLIC])

    async with SecureServer(context) as secure:
        connect_only_to(monkeypatch, secure)
        async with Downloads(to=tmp_path / "out", link_timeout=0) as downloads:
            save = downloads.save(success(f"https://{name}/0.png"))
            if is_fine:
                (file,) = await save
                assert PNG == file.path.read_bytes()
            else:
                with pytest.raises(LinkRefused, match="certificate"):
                    await save


class SecureServer(Server):
    def __init__(self, context):
        super().__init__()
        self._context = context

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


def connect_only_to(monkeypatch, server):
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    async def sock_connect(sock, _address):
        await real(sock, ("127.0.0.1", server.port))

    monkeypatch.setattr(loop, "sock_connect", sock_connect)


async def test_second_address_is_tried(monkeypatch, server):
    """A refused address does not end the download."""
    real = asyncio.get_running_loop().sock_connect
    with closed_port() as dead:

        async def sock_connect(sock, address):
            port = dead.number if address[0] == "8.8.4.4" else server.port
            await real(sock, ("127.0.0.1", port))

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
        Resolver(monkeypatch, ["8.8.4.4", PUBLIC])

        assert PNG == await _get("http://cdn.example/0.png", allow_private=False)


@pytest.mark.modelslab_network
@pytest.mark.parametrize("name", ["no-such-host.invalid", f"{'a' * 64}.invalid"])
async def test_unresolvable_name_is_a_failed_transfer(name, make_downloads):
    """A name that does not resolve is a network error."""
    async with make_downloads() as downloads:
        with pytest.raises(TransferFailed):
            await downloads.save(success(f"http://{name}/0.png"))


async def test_connection_is_reused(server, make_downloads):
    """Files of one host come over one connection, which is closed at the end."""
    async with make_downloads(concurrency=1) as downloads:
        await downloads.save(success(*(server.link(str(n)) for n in range(5))))

    assert (5, 1) == (len(server.requests), server.accepted)


async def test_closed_connection_is_not_reused(server, make_downloads):
    """A new one is opened for the next file and for another host."""

    async def answer(_request, writer):
        await server.send(writer, 200, {}, PNG)
        writer.close()

    server.answers = [answer]
    async with Server() as other, make_downloads(concurrency=1) as downloads:
        await downloads.save(success(server.link()))
        while not downloads._own_transport._idle[0].has_expired():  # noqa: ASYNC110 -- there is no event for it.
            await asyncio.sleep(0.01)
        await downloads.save(success(server.link("1"), other.link("2"), server.link("3")))

    assert (2, 1) == (server.accepted, other.accepted)
    assert (3, 1) == (len(server.requests), len(other.requests))


async def test_concurrency_bounds_all_tickets(server, make_downloads):
    """The bound holds over all tickets together."""
    server.gate.clear()
    async with make_downloads(concurrency=3) as downloads:
        many = [downloads.save(success(*(server.link(f"{n}") for n in range(4))))]
        task = asyncio.ensure_future(asyncio.gather(*many))
        while server.concurrency < 3:  # noqa: ASYNC110 -- there is no event for it.
            await asyncio.sleep(0.01)
        server.gate.set()
        await task

    assert 3 == server.max_concurrency


async def test_no_key_is_sent_to_a_link(tmp_path):
    """A request to a link holds no key, no cookie and no body."""
    emulator = Emulator()
    requests = []

    async def record(request):
        requests.append((request, await request.aread()))

    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=emulator), event_hooks={"request": [record]}
    )
    ticket = emulator.add_job("images:1", duration=0)
    async with http, Client("canary-key-Zq81", base_url="http://e.test/api", http=http) as client:
        result = await client.wait(ticket)
        requests.clear()
        files = await download(result, to=tmp_path, client=client, http=http, allow_private=True)

    assert 1 == len(files)
    for request, body in requests:
        assert "canary" not in f"{request.url} {request.headers!r} {body!r}"
        assert {"host", "accept", "accept-encoding", "user-agent"} == set(request.headers)
