"""What the client sends over httpx, and what it makes of the responses."""

import asyncio
import gzip
import inspect
import json
import ssl
import traceback

import httpcore
import httpx
import pytest
import respx
import trustme

from modelslab_async import (
    AuthenticationError,
    Call,
    Client,
    Request,
    Response,
    SubmitUncertain,
    Ticket,
    TransportError,
    UnreadableReply,
    UntrustedServer,
)
from modelslab_async._transport.credentials import Credentials
from modelslab_async._transport.environment_proxy import environment_proxy
from modelslab_async._transport.network_error_translation import translate_error
from modelslab_async._transport.sender import Sender
from modelslab_async._transport.transport_choice import as_transport
from modelslab_async._transport.transport_protocol import MAX_BODY_BYTES

KEY = "canary-key-Zq81/x"
RUNNING = {"status": "processing", "message": "try again later.", "output": ""}
URLS = {
    "images:1": "https://modelslab.com/api/v6/images/fetch",
    "realtime:1": "https://modelslab.com/api/v6/realtime/fetch/1",
    "workflows:wf/1": "https://modelslab.com/api/v1/workflows/wf/runs/1",
    "controlnet_v5:1": "https://modelslab.com/api/v5/images/fetch/1",
    "legacy_v4_dreambooth:1": "https://stablediffusionapi.com/api/v4/dreambooth/fetch",
}


@pytest.fixture
async def client():
    async with Client(KEY, http=httpx.AsyncHTTPTransport()) as client:
        yield client


@pytest.mark.parametrize(
    ("ticket", "body"),
    [
        ("images:1", {"request_id": "1", "key": KEY}),
        ("realtime:1", {"key": KEY}),
        ("legacy_v4_dreambooth:1", {"request_id": "1", "key": KEY}),
    ],
)
@respx.mock
async def test_key_in_the_body(client, ticket, body):
    """Most families take the key, and some the id, as fields of a JSON body."""
    route = respx.post(URLS[ticket]).respond(json=RUNNING)
    await client.fetch(ticket)
    request = route.calls.last.request
    assert body == json.loads(request.content)
    assert "application/json" == request.headers["content-type"]
    assert "identity" == request.headers["accept-encoding"]
    assert request.headers["user-agent"].startswith("modelslab-async/")


@respx.mock
async def test_key_in_the_header(client):
    """Workflows take the key in a header, and the id in two parts of the path."""
    run = {"status": "success", "execution": {"status": "running"}}
    route = respx.get(URLS["workflows:wf/1"], headers={"key": KEY}).respond(json=run)
    assert "running" == (await client.fetch("workflows:wf/1")).status
    assert b"" == route.calls.last.request.content


@respx.mock
async def test_key_in_the_query(client):
    """The one family without a documented place for the key takes it in the query."""
    route = respx.get(URLS["controlnet_v5:1"], params={"key": KEY}).respond(json=RUNNING)
    await client.fetch("controlnet_v5:1")
    assert route.called


@respx.mock
async def test_enterprise_families_use_the_enterprise_key():
    """Each tier has a key; the standard key serves if there is no enterprise key."""
    url = "https://modelslab.com/api/v1/enterprise/video/fetch/1"
    route = respx.post(url).respond(json=RUNNING)
    for keys in ({"enterprise_key": "e-key"}, {}, {"api_key": None, "enterprise_key": "e-key"}):
        async with Client(**{"api_key": KEY} | keys, http=httpx.AsyncHTTPTransport()) as client:
            await client.fetch("enterprise_video:1")
    sent = [json.loads(call.request.content)["key"] for call in route.calls]
    assert ["e-key", KEY, "e-key"] == sent


async def test_missing_key_is_an_error_before_sending(monkeypatch):
    """No key at all is an error of the constructor, a missing tier an error of the call."""
    with pytest.raises(ValueError, match="MODELSLAB_API_KEY"):
        Client()
    monkeypatch.setenv("MODELSLAB_ENTERPRISE_API_KEY", "e-key")
    async with Client() as client:
        with pytest.raises(ValueError, match="needs the standard key"):
            await client.fetch("images:1")
        with pytest.raises(ValueError, match="needs the standard key"):
            await client.wait("images:1")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "k\u00e9y"])
def test_invalid_key_is_refused_and_not_shown(key):
    """A key with a line break is a copying mistake; the message does not show it."""
    with pytest.raises(ValueError, match="one line of ASCII") as caught:
        Client(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("status_code", [301, 302, 303, 307, 308])
@respx.mock
async def test_redirects_are_never_followed(client, status_code):
    """A redirect is a failed poll; the key goes to no other host."""
    elsewhere = respx.route(host="evil.example").respond(json=RUNNING)
    location = {"location": "https://evil.example/fetch?token=1"}
    respx.post(URLS["realtime:1"]).respond(status_code, headers=location)
    with pytest.raises(UnreadableReply, match=r"redirects to 'https://evil.example/fetch'"):
        await client.fetch("realtime:1")
    assert not elsewhere.called


@respx.mock
async def test_callers_client_follows_no_redirects():
    """Even a client that follows redirects by default does not here, and stays open."""
    elsewhere = respx.route(host="evil.example").respond(json=RUNNING)
    respx.post(URLS["realtime:1"]).respond(307, headers={"location": "https://evil.example/"})
    async with httpx.AsyncClient(follow_redirects=True, headers={"x-mine": "1"}) as own:
        async with Client(KEY, http=own) as client:
            with pytest.raises(UnreadableReply):
                await client.fetch("realtime:1")
        assert not own.is_closed
    assert not elsewhere.called
    assert "1" == respx.calls.last.request.headers["x-mine"]


def httpx_errors():
    kinds = [kind for kind in vars(httpx).values() if inspect.isclass(kind)]
    return [kind for kind in kinds if issubclass(kind, httpx.HTTPError)]


@pytest.mark.parametrize("kind", httpx_errors(), ids=lambda kind: kind.__name__)
def test_every_httpx_error_is_translated(kind):
    """No httpx error is raised, and none of them proves that the request never left."""
    request = httpx.Request("POST", "https://modelslab.com", content=KEY)
    extra = {"response": httpx.Response(500)} if kind is httpx.HTTPStatusError else {}
    known = "request" in inspect.signature(kind).parameters
    fault = kind("x", request=request, **extra) if known else kind("x")
    error = translate_error(fault)
    assert isinstance(error, TransportError)
    assert error.may_have_been_sent
    assert KEY not in repr(vars(error))


@respx.mock
async def test_no_error_shows_the_key(client):
    """Neither the text nor the local variables of the frames show it."""
    respx.post(URLS["realtime:1"]).mock(side_effect=httpx.ReadError(KEY.replace("Zq", "**")))
    with pytest.raises(TransportError) as caught:
        await client.fetch("realtime:1")
    error = caught.value
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert KEY not in "".join(frames.format())
    assert error.__context__ is None
    assert error.__cause__ is None


@respx.mock
async def test_echoed_key_is_masked(client, caplog):
    """A reply does not contain a key that the server echoed."""
    body = {**RUNNING, "message": f"key {KEY} is busy", "fetch_result": f"https://x/?k={KEY}"}
    respx.post(URLS["realtime:1"]).mock(
        side_effect=[
            httpx.Response(200, json=body),
            httpx.Response(200, text=json.dumps(body).replace("/", "\\/")),
        ]
    )
    for _ in range(2):
        reply = await client.fetch("realtime:1")
        assert "[key]" in reply.message
        assert KEY not in repr(reply) + json.dumps(dict(reply.raw)) + caplog.text


ESCAPED = "".join(f"\\u{ord(character):04X}" for character in KEY)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KEY.replace("-", "\\u002d"), "utf-8"),
        (ESCAPED, "utf-8"),
        (ESCAPED.replace("A", "a"), "utf-8"),
        (KEY, "utf-16-le"),
        (KEY, "utf-32-be"),
    ],
)
@respx.mock
async def test_echoed_key_is_masked_in_every_json_spelling(client, text, encoding):
    """Servers may escape punctuation or non-letters, and JSON may be UTF-16."""
    body = f'{{"status": "error", "message": "Invalid API key: {text}"}}'
    respx.post(URLS["realtime:1"]).respond(401, content=body.encode(encoding))
    with pytest.raises(AuthenticationError) as caught:
        await client.fetch("realtime:1")
    assert "Invalid API key: [key]" == caught.value.server_message
    assert KEY not in repr(vars(caught.value))


class Body(httpx.AsyncByteStream):
    """A body that can be read once, as from a socket."""

    async def __aiter__(self):
        yield b'{"status":"error","message":"no such key"}'


@pytest.mark.parametrize("reads", [False, True])
async def test_raise_for_status_hook_hides_no_refusal(reads):
    """The response came: a hook that raises for its status makes it no network error."""
    asked = []

    def refuse(request):
        asked.append(request)
        return httpx.Response(401, stream=Body())

    async def check(response):
        if reads:
            await response.aread()
        response.raise_for_status()

    hooks, transport = {"response": [check]}, httpx.MockTransport(refuse)
    async with (
        httpx.AsyncClient(transport=transport, event_hooks=hooks) as own,
        Client(KEY, http=own) as client,
    ):
        outcomes = await client.gather([("realtime", number) for number in range(5)])
    assert {AuthenticationError} == {type(each.cause) for each in outcomes}
    assert 1 == len(asked)
    assert reads == ("no such key" in str(outcomes[0].cause))


@respx.mock
async def test_httpx_does_not_log_the_key(caplog):
    """A caller's httpx client logs each URL, without the query that holds the key."""
    route = respx.get(URLS["controlnet_v5:1"], params={"key": KEY}).respond(json=RUNNING)
    caplog.set_level("DEBUG")
    async with httpx.AsyncClient() as own, Client(KEY, http=own) as client:
        await client.fetch("controlnet_v5:1")
    assert route.called
    assert "v5/images/fetch/1" in caplog.text
    assert KEY not in caplog.text
    assert "canary" not in caplog.text


def test_no_repr_shows_the_key():
    """Neither the client, nor its parts, nor a request shows it."""
    keys = Credentials.resolve(KEY, KEY)
    request = Request(
        method="GET", url=f"https://x/?key={KEY}", headers=(("key", KEY),), body=KEY.encode()
    )
    client = Client(KEY)
    shown = [
        repr(each) for each in (keys, request, client, client.engine.status_client, vars(client))
    ]
    assert KEY not in "".join(shown)


@respx.mock
async def test_body_above_the_cap_is_a_transport_error(client):
    """A body above the cap is not read to its end."""
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1
            yield b" " * 1024 * 1024

    respx.post(URLS["realtime:1"]).mock(return_value=httpx.Response(200, content=endless()))
    with pytest.raises(TransportError, match="longer than"):
        await client.fetch("realtime:1")
    assert read <= MAX_BODY_BYTES // (1024 * 1024) + 2


@respx.mock
async def test_compressed_body_is_not_decoded(client):
    """A body that is compressed against the request is not decompressed."""
    packed = httpx.Response(
        200,
        headers={"content-encoding": "gzip"},
        stream=httpx.ByteStream(gzip.compress(json.dumps(RUNNING).encode())),
    )
    respx.post(URLS["realtime:1"]).mock(return_value=packed)
    with pytest.raises(UnreadableReply):
        await client.fetch("realtime:1")


class Dripping:
    """Sends one byte a second without end."""

    async def exchange(self, _request):
        await asyncio.sleep(10_000)


def test_one_deadline_covers_the_whole_exchange(virtually):
    """However the time is spent, a poll ends after its timeout."""

    async def main():
        sender = Sender(Dripping(), Credentials.resolve(KEY, None), timeout=7.0)
        call = Call(method="POST", url="https://x", repeatable=True)
        with pytest.raises(TransportError, match="within 7 s") as caught:
            await sender.send(sender.build(call))
        assert caught.value.may_have_been_sent
        assert 7.0 == pytest.approx(asyncio.get_running_loop().time())

    virtually(main)


@pytest.mark.parametrize("fault", [OSError(104, "reset"), ConnectionResetError("gone")])
async def test_os_error_of_callers_http_is_a_failed_poll(fault):
    """An OSError of a caller's `http` object does not break the poller."""

    class Own:
        async def exchange(self, _request):
            raise fault

    async with Client(KEY, http=Own()) as client:
        with pytest.raises(TransportError):
            await client.fetch("images:1")


@pytest.mark.parametrize("kind", ["client", "transport"])
async def test_error_in_closing_a_response_spares_the_reply(kind):
    """The body was read whole, so a submit returns its ticket."""

    class Unclosable(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b'{"status": "processing", '
            yield b'"id": 7}'

        async def aclose(self):
            raise OSError(107, "Transport endpoint is not connected")

    mock = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Unclosable()))
    http = httpx.AsyncClient(transport=mock) if kind == "client" else mock
    async with Client(KEY, http=http) as client:
        reply = await client.submit("realtime/text2img", prompt="a fox")
    assert Ticket("realtime", 7) == reply.ticket


async def test_callers_http_is_closed_with_the_client():
    """The client closes an `http` object with an `aclose`, unless it is an httpx client."""
    closed = []

    class Own:
        async def exchange(self, _request):
            return Response(status_code=200, body=json.dumps(RUNNING).encode())

        async def aclose(self):
            closed.append(True)

    async with Client(KEY, http=Own()) as client:
        await client.fetch("images:1")
    assert [True] == closed


def test_http_of_another_type_is_refused():
    """The error lists what it may be."""
    with pytest.raises(TypeError, match="async def exchange"):
        as_transport(object(), 1)


async def test_bad_certificate_is_permanent():
    """A server that cannot prove its name gets no request, and is not polled again."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    received = []

    async def serve(reader, writer):
        received.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Client(KEY, base_url=url) as client:
            with pytest.raises(UntrustedServer, match="certificate"):
                await client.wait("images:1")
    assert b"" == b"".join(received)


async def test_bad_certificate_is_permanent_for_all_tickets():
    """The first ticket that meets it ends the others of that host, without another poll."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    connections = []
    context.sni_callback = lambda *_any: connections.append(1)
    server = await asyncio.start_server(lambda *_any: None, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with Client(KEY, base_url=url, workers=2) as client:
            ends = await client.gather([("images", n) for n in range(50)])
    assert {UntrustedServer} == {type(end.cause) for end in ends}
    assert len(connections) <= 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"ALL_PROXY": "socks5://proxy:1080"}, "socks5://proxy:1080"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "modelslab.com"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "x.org, .modelslab.com"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "lab.com"}, "http://proxy:3128"),
    ],
)
def test_environment_proxy(monkeypatch, variables, expected):
    """The usual variables name the proxy, and the hosts that need none."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert expected == environment_proxy("https", "modelslab.com")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://host", "https://host/api/v6/realtime/fetch/1"),
        ("https://host/", "https://host/api/v6/realtime/fetch/1"),
        ("https://host/api/", "https://host/api/v6/realtime/fetch/1"),
        ("http://host:1/proxy/x", "http://host:1/proxy/x/v6/realtime/fetch/1"),
    ],
)
@pytest.mark.parametrize("how", ["argument", "environment"])
@respx.mock
async def test_base_url_moves_every_family(monkeypatch, given, sent, how):
    """A base URL may end with `/api` or not; the legacy host keeps its own."""
    route = respx.post(sent).respond(json=RUNNING)
    legacy = respx.post(URLS["legacy_v4_dreambooth:1"]).respond(json=RUNNING)
    if how == "environment":
        monkeypatch.setenv("MODELSLAB_BASE_URL", given)
    argument = given if how == "argument" else None
    transport = httpx.AsyncHTTPTransport()
    async with Client(KEY, base_url=argument, http=transport) as client:
        await client.fetch("realtime:1")
        await client.fetch("legacy_v4_dreambooth:1")
    assert route.called
    assert legacy.called


@respx.mock
async def test_legacy_host_has_its_own_base_url(monkeypatch):
    """Each of the two hosts has its own base URL."""
    monkeypatch.setenv("MODELSLAB_LEGACY_BASE_URL", "https://old.example/api")
    legacy = respx.post("https://old.example/api/v3/fetch/1").respond(json=RUNNING)
    modern = respx.post(URLS["realtime:1"]).respond(json=RUNNING)
    async with Client(KEY, http=httpx.AsyncHTTPTransport()) as client:
        await client.fetch("legacy_v3:1")
        await client.fetch("realtime:1")
    assert legacy.called
    assert modern.called


@pytest.mark.parametrize(
    "url",
    [
        "modelslab.com",
        "ftp://x",
        "https://x/?a=1",
        "https://u:p@x",
        "http://h:abc/api",
        "http://h:99999",
        "http://h x",
        "http://h\n/api",
        "https://h/{id}/api",
        "http://[::1/api",
        KEY,
        f"https://x/?key={KEY}",
    ],
)
def test_invalid_base_url_is_refused(url):
    """A base URL without a scheme, or with a query or a password, is an error without the key."""
    with pytest.raises(ValueError, match=r"base.url|base URL") as caught:
        Client(KEY, base_url=url)
    assert KEY not in str(caught.value)


@respx.mock
async def test_strange_ids_arrive_unchanged(client):
    """An id with blanks, punctuation or other scripts is one path segment at the server."""
    route = respx.post(url__regex=r"https://modelslab\.com/api/v6/realtime/fetch/[^/?#]+$")
    route.respond(json=RUNNING)
    for id_ in ("a b", "a?b#c", "50%", "\u00fc\u6f22", "a%2fb", "a..b", "a\\b", "@:&="):
        await client.fetch(("realtime", id_))
        assert id_ == httpx.URL(str(route.calls.last.request.url)).path.rsplit("/", 1)[1]


async def test_unrepeatable_call_asks_for_a_new_connection():
    """A call that must not be sent twice goes over no connection that was used before."""
    sent = []

    class Recorder:
        async def exchange(self, request, /):
            sent.append(request.needs_new_connection)
            return Response(status_code=200, body=b"{}")

    sender = Sender(Recorder(), Credentials.resolve(KEY, None), timeout=5.0)
    for repeatable in (True, False):
        call = Call(method="POST", url="https://x.example/y", repeatable=repeatable)
        await sender.send(sender.build(call))
    assert [False, True] == sent


def test_call_with_its_own_deadline(virtually):
    """The deadline of a call replaces the sender's."""

    class Silent:
        async def exchange(self, _request, /):
            await asyncio.Event().wait()

    async def main():
        sender = Sender(Silent(), Credentials.resolve(KEY, None), timeout=5.0)
        call = Call(method="POST", url="https://x.example/y", repeatable=False)
        with pytest.raises(TransportError, match="within 90 s") as caught:
            await sender.send(sender.build(call), timeout=90.0)
        assert caught.value.may_have_been_sent
        return asyncio.get_running_loop().time()

    assert 90.0 == virtually(main)


class BrokenStream(httpcore.AsyncNetworkStream):
    """A connection on which reading raises an error of another package."""

    async def write(self, *_args, **_more):
        pass

    async def read(self, *_args, **_more):
        raise ValueError("invalid literal for int() with base 10: 'abc'")

    async def aclose(self):
        pass

    def get_extra_info(self, _name):
        return None


class BrokenBackend(httpcore.AsyncNetworkBackend):
    async def connect_tcp(self, *_args, **_more):
        return BrokenStream()


async def test_foreign_error_out_of_httpcore_is_a_transport_error():
    """Over HTTP/2, httpcore raises a ValueError for a status that is no number."""
    http = httpx.AsyncHTTPTransport()
    http._pool = httpcore.AsyncConnectionPool(network_backend=BrokenBackend())
    async with Client(KEY, base_url="http://127.0.0.1:1", http=http) as client:
        with pytest.raises(TransportError, match="ValueError: invalid literal"):
            await client.fetch("images:1")
        with pytest.raises(SubmitUncertain):
            await client.submit("realtime/text2img", prompt="x")


async def test_foreign_error_of_a_hook_stays_as_it_is():
    """A hook that fails is not a failure of the network."""

    async def fail(_request):
        raise ValueError("a defect")

    async with (
        httpx.AsyncClient(event_hooks={"request": [fail]}) as http,
        Client(KEY, http=http) as client,
    ):
        with pytest.raises(ValueError, match="a defect"):
            await client.fetch("images:1")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("403 \x1b[31mred\nline", "ProxyError: 403 \\x1b[31mred\\nline"),
        ("403 " + "r" * 60_000, "ProxyError: (a message of 60004 characters)"),
        ("407 Proxy Authentication Required", "ProxyError: 407 Proxy Authentication Required"),
    ],
)
def test_message_of_a_network_error_is_one_short_line(reason, expected):
    """A proxy chooses the words of its refusal, and they go into logs."""
    assert str(translate_error(httpx.ProxyError(reason))) == expected
