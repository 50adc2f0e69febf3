"""While requests to other machines are refused, none leaves through any transport."""

import asyncio
import socket

import httpx
import pytest

from modelslab_async import Client, Downloads, LinkRefused, RequestBlocked, Success, Ticket
from modelslab_async._transport.testing_guard import OUTBOUND_GUARD, is_loopback
from modelslab_async.emulator import Emulator

KEY = "a-key-that-may-not-leave"
REFUSAL = "write something else"
DONE = {"status": "success", "id": 1, "output": ["https://files.example/1.png"]}
TRANSPORTS = {
    "default": lambda: None,
    "httpx client": httpx.AsyncClient,
    "httpx transport": httpx.AsyncHTTPTransport,
}


@pytest.fixture(autouse=True)
def names_asked_for(monkeypatch):
    """Refuse requests to other machines, and note the names that are resolved all the same."""
    monkeypatch.setattr(OUTBOUND_GUARD, "refusal", REFUSAL)
    names, resolve = [], socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        names.append(host)
        return resolve("127.0.0.1" if "service" in str(host) else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.mark.parametrize("kind", TRANSPORTS)
@pytest.mark.parametrize("ticket", ["images:1", "workflows:wf/1", "legacy_v3:1"])
async def test_poll_of_another_machine_is_refused(kind, ticket, names_asked_for):
    """It raises before the host name is resolved, and the message says what to write."""
    async with Client(KEY, http=TRANSPORTS[kind]()) as client:
        with pytest.raises(RequestBlocked, match=rf"request to \w+\.com: {REFUSAL}"):
            await client.fetch(ticket)
        with pytest.raises(RequestBlocked, match=rf"request to \w+\.com: {REFUSAL}"):
            await client.wait(ticket, timeout=60)
    assert [] == names_asked_for


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_submit_to_another_machine_is_refused(kind, names_asked_for):
    """It is known that no work was started."""
    async with Client(KEY, http=TRANSPORTS[kind]()) as client:
        with pytest.raises(RequestBlocked) as caught:
            await client.submit("realtime/text2img", prompt="a lighthouse")
    assert not caught.value.may_have_been_sent
    assert [] == names_asked_for


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_open_connection_to_another_machine_is_not_used(kind, serving, monkeypatch):
    """A client that was connected before the test sends nothing during the test."""
    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    with serving(emulator) as loopback_url:
        url = loopback_url.replace("127.0.0.1", "service.test")
        http = TRANSPORTS[kind]()
        async with Client(KEY, http=http, base_url=url) as client:
            with monkeypatch.context() as allowed:
                allowed.setattr(OUTBOUND_GUARD, "refusal", "")
                await client.fetch("images:1")
                if isinstance(http, httpx.AsyncClient):
                    await http.get(url)
            request_count = emulator.request_count
            with pytest.raises(RequestBlocked):
                await client.fetch("images:1")
        assert request_count == emulator.request_count
        if isinstance(http, httpx.AsyncClient):
            await http.aclose()


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_proxy_of_this_machine_leads_to_no_other(kind, unasked_server, monkeypatch):
    """The host of the request counts, not that of the proxy."""
    monkeypatch.setenv("ALL_PROXY", unasked_server.url)
    proxied = {"proxy": unasked_server.url} if kind == "httpx transport" else {}
    http = httpx.AsyncHTTPTransport(**proxied) if proxied else TRANSPORTS[kind]()
    url = "http://modelslab.com/api"
    async with Client(KEY, http=http, base_url=url) as client:
        with pytest.raises(RequestBlocked):
            await client.fetch("images:1")
    assert unasked_server.is_unasked


async def test_hook_cannot_redirect_to_another_machine(names_asked_for):
    """A hook of the client changes the URL, and the request is judged by the new one."""

    async def to_the_service(request):
        request.url = request.url.copy_with(host="modelslab.com", port=None)

    http = httpx.AsyncClient(event_hooks={"request": [to_the_service]})
    async with http, Client(KEY, base_url="http://127.0.0.1:9", http=http) as client:
        with pytest.raises(RequestBlocked):
            await client.fetch("images:1")
    assert [] == names_asked_for


async def test_callers_trace_is_still_called(serving):
    """A hook that traces a request sees what it saw before."""
    events = []

    async def trace(event, _info):
        events.append(event)

    async def add_trace(request):
        request.extensions["trace"] = trace

    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    http = httpx.AsyncClient(event_hooks={"request": [add_trace]})
    with serving(emulator) as url:
        async with http, Client(KEY, base_url=url, http=http) as client:
            await client.fetch("images:1")
    assert "connection.connect_tcp.started" == events[0]


@pytest.mark.parametrize("kind", TRANSPORTS)
async def test_this_machine_is_never_refused(kind, serving):
    """An emulator on a socket is polled as without a guard."""
    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    with serving(emulator) as url:
        http = TRANSPORTS[kind]()
        async with Client(KEY, base_url=url, http=http) as client:
            assert isinstance(await client.fetch("images:1"), Success)
        if isinstance(http, httpx.AsyncClient):
            await http.aclose()


@pytest.mark.parametrize("as_client", [False, True])
async def test_transport_that_sends_nothing_is_never_refused(as_client):
    """A mock transport and an application in process answer for any host."""
    emulator = Emulator()
    emulator.add_job("images:1", duration=0)
    mock = httpx.MockTransport(lambda _request: httpx.Response(200, json=DONE))
    for transport in (mock, httpx.ASGITransport(app=emulator)):
        http = httpx.AsyncClient(transport=transport) if as_client else transport
        async with Client(KEY, http=http) as client:
            assert isinstance(await client.fetch("images:1"), Success)


@pytest.mark.parametrize("http", [None, httpx.AsyncClient, httpx.AsyncHTTPTransport])
async def test_download_from_another_machine_is_refused(http, tmp_path, names_asked_for):
    """It raises at once, also with a caller's client, and the link is not tried again."""
    success = Success(ticket=Ticket("images", "1"), output=["https://files.example/1.png"])
    async with Downloads(to=tmp_path, http=http and http()) as downloads:
        async with asyncio.timeout(300):
            with pytest.raises(LinkRefused, match=rf"files\.example: {REFUSAL}"):
                await downloads.save(success)
    assert [] == names_asked_for


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "api.localhost",
        "127.0.0.1",
        "127.8.9.10",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
    ],
)
def test_loopback_host(host):
    """Names and addresses of this machine, in every form that a URL may have."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["modelslab.com", "localhost.example", "notlocalhost", "10.0.0.1", "::ffff:8.8.8.8", "8.8.8.8"],
)
def test_host_that_is_not_loopback(host):
    """A private address is another machine too."""
    assert not is_loopback(host)
