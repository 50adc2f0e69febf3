"""A submit over real connections that break at every step: nothing is started twice, or untold."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from closed_port import closed_port
from everyday import pairs
from http_codecs import HTTP11_TRANSPORTS
from submitting.simulate import Tally

from modelslab_async import (
    AuthenticationError,
    Client,
    ModelsLabError,
    Pace,
    RateLimited,
    Submitted,
    SubmitUncertain,
    TransportError,
    UntrustedServer,
)
from modelslab_async.emulator import Emulator, Faults, Jobs, Traffic, run_faulty_server, run_server
from modelslab_async.emulator.faults.connection_faults import CONNECTION_FAULTS, REQUEST_FAULTS

KEY = "a-test-key-1234"
MARK = "a-mark"
QUICK = Pace(floor=0.01, max_failures=6)


class RetryingTransport(httpx.AsyncBaseTransport):
    """What some programs wrap around a transport: it sends a failed request again, elsewhere."""

    def __init__(self):
        self.inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        try:
            response = await self.inner.handle_async_request(request)
            await response.aread()
        except httpx.TransportError:
            request.url = httpx.URL("http://127.0.0.1:1/")
            return await self.inner.handle_async_request(request)
        return httpx.Response(response.status_code, content=response.content)

    async def aclose(self):
        await self.inner.aclose()


async def measured(_response):
    """A hook that reports to a port that is closed."""
    async with httpx.AsyncClient(trust_env=False) as metrics:
        await metrics.post("http://127.0.0.1:1/metrics")


KINDS = {
    **HTTP11_TRANSPORTS,
    "transport": httpx.AsyncHTTPTransport,
    "client": lambda: httpx.AsyncClient(timeout=600.0),
    "hook": lambda: httpx.AsyncClient(timeout=600.0, event_hooks={"response": [measured]}),
    "wrapper": RetryingTransport,
}


@asynccontextmanager
async def submitting(url, kind, **more):
    http = KINDS[kind]() if isinstance(kind, str) else kind
    options = {"pace": QUICK, "queue": None, "submit_timeout": 0.3} | more
    try:
        async with Client(KEY, base_url=url, http=http, **options) as client:
            yield client
    finally:
        if isinstance(http, httpx.AsyncClient):
            await http.aclose()


async def end_of(client, mark=MARK):
    try:
        return await client.submit("realtime/text2img", prompt="a fox", track_id=mark)
    except ModelsLabError as error:
        return error


def emulated():
    return Emulator(jobs=Jobs(duration=(0.0, 0.0)))


# An endless reply is read up to the limit. `test_bytes` covers the bytes of replies.
POINTS = sorted(
    {*CONNECTION_FAULTS, *REQUEST_FAULTS}
    - {"endless_headers", "endless_header_value", "endless_interim", "endless", "huge_body"}
)


@pytest.mark.parametrize(("kind", "name"), pairs([*KINDS], POINTS))
async def test_fault_at_any_point_starts_nothing_twice(kind, name):
    """The fault strikes once or always: at most one job starts, and the error tells the truth."""
    for always in (False, True):
        emulator, tally = emulated(), Tally()
        once = {"connections" if name in CONNECTION_FAULTS else "script": [name]}
        faults = Faults(delay=0.02, **({"shares": {name: 1.0}} if always else once))
        async with run_faulty_server(emulator, faults) as url, submitting(url, kind) as client:
            outcome = await end_of(client)
            tally.judge(0, MARK, len(emulator.submits), outcome)
        assert [] == tally.wrong


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hook"])
async def test_submit_waits_for_port_to_open(kind):
    """With no server nothing left: the submit is sent again, and arrives once a server listens."""
    emulator, news = emulated(), []

    async def store(submitted):
        news.append(submitted)

    with closed_port() as port:
        pace = Pace(floor=0.05, max_failures=1_000_000)
        async with submitting(
            f"{port.url}/api",
            kind,
            pace=pace,
            submit_timeout=600.0,
            unsent_timeout=600.0,
            on_submitted=store,
        ) as client:
            submit = asyncio.create_task(end_of(client))
            await asyncio.sleep(0.2)
            assert not submit.done()
            port.release()
            async with run_server(emulator, port=port.number):
                await submit
    assert [MARK] == [each.track_id for each in news if isinstance(each, Submitted)]
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("kind", KINDS)
async def test_closed_port_started_nothing(kind):
    """After the budget the error says so, and it is no `SubmitUncertain`."""
    with closed_port() as port:
        async with submitting(f"{port.url}/api", kind) as client:
            outcome = await end_of(client)
    assert type(outcome) is TransportError
    assert not outcome.may_have_been_sent


@pytest.mark.modelslab_network
@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_host_name_started_nothing(monkeypatch, kind):
    """Without an address there is no connection: it is retried, and given up without doubt."""
    asked = []

    def unknown(*args, **_more):
        asked.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    # An attempt that runs out of time may end before it asks for the address.
    patience = {"submit_timeout": 600.0, "unsent_timeout": 600.0}
    async with submitting("http://service.example/api", kind, **patience) as client:
        outcome = await end_of(client)
    assert type(outcome) is TransportError
    assert not outcome.may_have_been_sent
    assert len(asked) >= QUICK.max_failures


@pytest.mark.parametrize("layers", ["transport", "client"])
async def test_submit_waits_for_free_connection_in_httpx_pool(layers):
    """A pool without a free connection has sent nothing: the submit is sent again."""
    emulator, full = emulated(), asyncio.Event()
    limits, release = httpx.Limits(max_connections=1), asyncio.Event()

    class Full(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request):
            request.extensions["timeout"] = {"pool": 0.05}
            try:
                return await super().handle_async_request(request)
            except httpx.PoolTimeout:
                full.set()
                raise

    async def hold(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    pool = Full(limits=limits)
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    place = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    http = pool if layers == "transport" else httpx.AsyncClient(transport=pool)
    pace = Pace(floor=0.05, max_failures=100)
    async with (
        server,
        run_server(emulator) as url,
        submitting(url, http, pace=pace, submit_timeout=20.0) as client,
    ):
        request = httpx.Request("GET", place)
        holding = asyncio.create_task(pool.handle_async_request(request))
        await asyncio.sleep(0.01)
        submit = asyncio.create_task(end_of(client))
        async with asyncio.timeout(300):
            await full.wait()
            release.set()
            await (await holding).aread()
            await (await holding).aclose()
            outcome = await submit
    assert not isinstance(outcome, ModelsLabError)
    assert 1 == len(emulator.submits)


RAISED = [
    httpx.ConnectError("x"),
    httpx.ConnectTimeout("x"),
    httpx.PoolTimeout("x"),
    httpx.ProxyError("x"),
    httpx.UnsupportedProtocol("x"),
    httpx.LocalProtocolError("x"),
    httpx.InvalidURL("x"),
    TransportError("x", may_have_been_sent=False),
    RateLimited("x"),
    AuthenticationError("x"),
    UntrustedServer("x"),
    OSError("x"),
    ValueError("x"),
]


@pytest.mark.parametrize("fault", RAISED, ids=lambda fault: type(fault).__name__)
async def test_what_hook_raises_after_reply_is_uncertain(fault):
    """The work was started: whatever an httpx hook raises, the error leaves that open."""

    async def stumble(_response):
        raise fault

    emulator = emulated()
    http = httpx.AsyncClient(event_hooks={"response": [stumble]})
    async with run_server(emulator) as url, submitting(url, http, submit_timeout=20.0) as client:
        outcome = await end_of(client)
    assert isinstance(outcome, SubmitUncertain)
    assert 1 == len(emulator.submits)


LOCATIONS = {
    "too long": b"/" + b"a" * 65_530,
    "no port": b"http://:99999999/",
    "no host": b"http:",
    "no name": b"//xn--\xff/",
    "no characters": b"http://x\x7f/",
}


@pytest.mark.parametrize("name", LOCATIONS)
@pytest.mark.parametrize("kind", ["h11", "httptools", "transport", "client"])
async def test_redirect_to_invalid_url_is_uncertain(kind, name):
    """The request was read, even if httpx cannot make a URL of the redirect."""
    traffic = []

    async def redirect(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        traffic.append(await reader.readexactly(int(length)))
        location = LOCATIONS[name]
        writer.write(b"HTTP/1.1 307 X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api"
    async with server, submitting(url, kind, submit_timeout=20.0) as client:
        outcome = await end_of(client)
    assert isinstance(outcome, SubmitUncertain)
    assert 1 == len(traffic)


@pytest.mark.modelslab_network
async def test_submit_over_plain_http_goes_to_proxy():
    """What a proxy has read has left, though it hangs up; a closed proxy has read nothing."""
    emulator, traffic = emulated(), Traffic()
    faults = Faults(script=["reset_after"])
    async with run_faulty_server(emulator, faults, traffic=traffic) as proxy:
        http = httpx.AsyncHTTPTransport(proxy=proxy.removesuffix("/api"))
        async with submitting("http://service.example/api", http, submit_timeout=20.0) as client:
            assert isinstance(await end_of(client), SubmitUncertain)
    assert 1 == len(traffic.requests)
    with closed_port() as port:
        http = httpx.AsyncHTTPTransport(proxy=port.url)
        async with submitting("http://service.example/api", http) as client:
            outcome = await end_of(client)
    assert type(outcome) is TransportError
    assert not outcome.may_have_been_sent


async def test_submit_of_nothing_but_its_name_waits_for_port():
    """A workflow without parameters has a body all the same, and so a proof."""
    with closed_port() as port:
        async with submitting(f"{port.url}/api", "transport") as client:
            with pytest.raises(TransportError) as caught:
                await client.submit("workflows/run", workflow_id="wf")
    assert not caught.value.may_have_been_sent
