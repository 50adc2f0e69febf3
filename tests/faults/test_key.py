"""A key of 32 characters is nowhere but in the one request that it belongs to."""

import asyncio
import contextlib
import io
import json
import logging
import pickle
import re
import ssl
import traceback
from itertools import product
from urllib.parse import quote

import anyio
import httpx
import pytest
from everyday import pairs
from http_codecs import CODECS, HTTP11_TRANSPORTS

from modelslab_async import Client, ModelsLabError, Pace, Request, Ticket, TransportError
from modelslab_async.emulator import (
    Emulator,
    Faults,
    Jobs,
    ScriptedReply,
    Traffic,
    run_faulty_server,
)
from modelslab_async.emulator.faults.connection_faults import CONNECTION_FAULTS
from modelslab_async.emulator.faults.fault_plan import FAULTS

TICKETS = ["realtime:1", "workflows:wf/1", "controlnet_v5:1"]  # The key in body, header and query.
TRANSPORTS = {
    **HTTP11_TRANSPORTS,
    "transport": httpx.AsyncHTTPTransport,
    "client": lambda: httpx.AsyncClient(follow_redirects=True, trust_env=False),
}
# Endless faults keep the one loop busy, and bytes are counted in a test of their own.
EACH = [name for name in FAULTS if not name.startswith(("endless", "huge_body", "rate_limit_h"))]
SOME = [
    "hang",
    "close_in_body",
    "reset_after",
    "refuse_connection",
    "not_http",
    "html",
    "redirect_307",
    "foreign_links",
]
SOME += ["redirect_301", "redirect_303", "status_401", "status_500", "gzip_bomb"]
# A wait under these ends at its deadline. All others end the wait, so that its deadline is long: on
# a busy machine, a short one passes before anything is sent.
LASTING = {name for name in FAULTS if name.startswith("rate_limit")}
LASTING |= {"drip", "foreign_links", "hang", "hang_before", "nan", "status_404"}
WAYS = list(product(TRANSPORTS, TICKETS))


@pytest.fixture
def logged():
    """Everything that any logger wrote, at any level, with tracebacks."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setLevel(logging.NOTSET)
    loggers = [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]
    before = {logger: (logger.level, logger.disabled) for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    logging.root.addHandler(handler)
    yield text
    logging.root.removeHandler(handler)
    for logger, (level, disabled) in before.items():
        logger.setLevel(level)
        logger.disabled = disabled


def text_of(*things):
    """Return everything that objects show of themselves."""
    parts = []
    for thing in things:
        parts += [repr(thing), str(thing)]
        if isinstance(thing, BaseException):
            parts += [repr(thing.args), repr(vars(thing)), *traceback_with_locals(thing)]
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError, ValueError):
            parts.append(pickle.dumps(thing).decode("latin-1"))
    return "\n".join(parts)


def lines_with(key, text):
    """Return the lines that hold the key, with the key replaced."""
    return [line.replace(key, "[KEY]")[:300] for line in text.splitlines() if key in line]


def traceback_with_locals(error):
    """Return a traceback as crash report tools print it: with every local variable."""
    return traceback.TracebackException.from_exception(error, capture_locals=True).format()


@contextlib.asynccontextmanager
async def opened(kind, key, url, **more):
    http = TRANSPORTS[kind]() if kind in TRANSPORTS else None
    client = Client(
        key,
        base_url=url,
        legacy_base_url=url,
        http=http,
        pace=Pace(floor=0.01, max_failures=2),
        **{"timeout": 1.0, **more},
    )
    async with client:
        yield client
    if isinstance(http, httpx.AsyncClient):
        await http.aclose()


async def results_of(client, ticket, events, *, timeout=0.3):
    """Wait and fetch; return every error, outcome and event that came."""
    things = []
    try:
        things.append(await client.wait(ticket, timeout=timeout))
    except Exception as error:  # noqa: BLE001 -- every error is searched.
        things.append(error)
    try:
        things.append(await client.fetch(ticket))
    except Exception as error:  # noqa: BLE001
        things.append(error)
    return [*things, *events, client]


@pytest.mark.parametrize(("kind", "ticket"), pairs([*TRANSPORTS], TICKETS))
async def test_no_fault_shows_the_key(canary, logged, kind, ticket):
    """Under every fault the key is in no text, log, traceback or pickle, and on no other host."""
    asyncio.get_running_loop().set_debug(True)
    foreign_url, here, parts = Traffic(), Traffic(), []

    async def strike(name, other):
        emulator, events = Emulator(jobs=Jobs(duration=(0.0, 0.0))), []
        emulator.add_job(ticket)
        kinds = (
            {"connections": [name] * 6} if name in CONNECTION_FAULTS else {"shares": {name: 1.0}}
        )
        faults = Faults(delay=0.02, hint=0.02, foreign_url=f"{other}/v6/realtime/fetch/1", **kinds)
        wait_s, poll_s = (0.3, 1.0) if name in LASTING else (120.0, 60.0)
        async with (
            run_faulty_server(emulator, faults, traffic=here) as url,
            opened(kind, canary, url, on_event=events.append, timeout=poll_s) as client,
        ):
            parts.append(text_of(*await results_of(client, ticket, events, timeout=wait_s)))

    async with run_faulty_server(Emulator(), traffic=foreign_url) as other:
        names = EACH if kind in CODECS else SOME
        for start in range(0, len(names), 16):
            await asyncio.gather(*(strike(name, other) for name in names[start : start + 16]))
    assert here.requests, "nothing was sent, so nothing was tried"
    assert all(canary in str((each.headers, each.body, each.target)) for each in here.requests)
    assert 0 == foreign_url.connection_count
    assert [] == lines_with(canary, "\n".join(parts))
    assert [] == lines_with(canary, logged.getvalue())


def echoes(key):
    """Replies of a server that echoes the key."""
    echo = json.dumps({"status": "error", "message": f"Invalid API key {key}"}).encode()
    yield "refusal", ScriptedReply(401, echo)
    yield "trouble", ScriptedReply(500, echo)
    yield "words", ScriptedReply(200, echo)
    yield "html", ScriptedReply(502, b"<html>" + key.encode() + b"</html>")
    yield "list", ScriptedReply(200, json.dumps([key]).encode())
    done = {"status": "success", "output": [f"https://x.example/{key}.png?key={key}"], "key": key}
    yield "success", ScriptedReply(200, json.dumps(done).encode())
    yield (
        "running",
        ScriptedReply(200, json.dumps({"status": "processing", "message": key}).encode()),
    )
    yield "strange", ScriptedReply(200, json.dumps({"status": key}).encode())
    yield "limit", ScriptedReply(429, echo, {"retry-after": key, "x-request": key})
    yield "query", ScriptedReply(307, b"", {"location": f"https://x.example/?key={key}"})
    yield "path", ScriptedReply(307, b"", {"location": f"https://x.example/{key}/1"})


ECHOES = [name for name, _ in echoes("k")]


@pytest.mark.parametrize(("kind", "name"), pairs(["h11", "httptools", "transport"], ECHOES))
async def test_echoed_key_is_masked(canary, logged, name, kind):
    """A key that comes back in a body or a header is in nothing that the caller gets."""
    emulator, events = Emulator(), []
    emulator.script("realtime:1", [dict(echoes(canary))[name]])
    async with (
        run_faulty_server(emulator) as url,
        opened(kind, canary, url, on_event=events.append) as client,
    ):
        parts = text_of(*await results_of(client, "realtime:1", events))
    assert [] == lines_with(canary, parts)
    if kind in CODECS:
        # httpcore logs the headers of a response as they came, as security.md says.
        assert [] == lines_with(canary, logged.getvalue())


def malformed(echo):
    """Bytes that are not HTTP, with the request quoted where a parser quotes it again."""
    yield "header", b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % echo
    yield "status line", b"GARBAGE %b\r\n\r\n" % echo
    yield "reason", b"HTTP/1.1 200 %b\x00\r\n\r\n" % echo
    yield "length", b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\n" % echo
    yield "coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: %b\r\n\r\n" % echo
    yield "chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%b\r\n\r\n" % echo
    location = b"HTTP/1.1 302 Go\r\nlocation: http://[%b\r\ncontent-length: 0\r\n\r\n"
    yield "location", location % echo


MALFORMED = dict(malformed(b"%b"))
SPELLINGS = {
    "plain": lambda key: key,
    "json": lambda key: json.dumps({"key": key}),
    "percent": lambda key: quote(key, ""),
    "small percent": lambda key: re.sub("%..", lambda code: code[0].lower(), quote(key, "")),
    "every percent": lambda key: "".join(f"%{ord(each):02X}" for each in key),
}
# One character of each kind that some encoding of text escapes.
STRANGE = "c4n4ry\"K'E\\Y/c%n+4ry"


@contextlib.asynccontextmanager
async def server_sending(raw):
    """Run a server that sends these bytes for every request."""

    async def talk(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.modelslab_network
@pytest.mark.parametrize(("kind", "name"), pairs([*TRANSPORTS, "proxy"], [*MALFORMED]))
async def test_key_in_malformed_response_is_masked(monkeypatch, caplog, name, kind):
    """A parser quotes what it cannot read; no spelling of the key in it is shown."""
    parts = []
    for spelled in SPELLINGS.values():
        events = []
        async with server_sending(MALFORMED[name] % spelled(STRANGE).encode()) as url:
            if kind == "proxy":
                monkeypatch.setenv("HTTP_PROXY", url)
                url = "http://somewhere.invalid"  # noqa: PLW2901
            async with opened(kind, STRANGE, f"{url}/api", on_event=events.append) as client:
                parts.append(text_of(*await results_of(client, "realtime:1", events)))
                with pytest.raises(ModelsLabError) as caught:
                    await client.submit("realtime/text2img", prompt="x")
                parts.append(text_of(caught.value))
    # httpcore logs responses as they came, as security.md says.
    ours = [each.getMessage() for each in caplog.records if each.name == "modelslab_async"]
    assert ours
    found = "\n".join([*parts, *ours])
    for spelled in SPELLINGS.values():
        for form in (spelled(STRANGE), repr(spelled(STRANGE))[1:-1], repr(STRANGE.encode())[2:-1]):
            assert [] == lines_with(form, found)


def chained(key, *, ours):
    """An error of a caller's `http` object that quotes the key, and so does its cause."""
    fault = KeyError(key.encode())
    fault.__context__ = ValueError("could not send", {"key": key})
    error = TransportError(f"cut while sending {key}") if ours else RuntimeError("no luck")
    error.add_note(f"sent {key}")
    error.__cause__ = ExceptionGroup("both", [fault, OSError(5, key)])
    return error


@pytest.mark.parametrize("ours", [True, False])
async def test_error_of_callers_http_shows_no_key(canary, logged, ours):
    """An error of an `http` object loses the key in its text, its notes and its causes."""

    class Own:
        async def exchange(self, _request):
            raise chained(canary, ours=ours)

    async with Client(canary, http=Own(), pace=Pace(floor=0.01, max_failures=2)) as client:
        things = await results_of(client, "realtime:1", [])
    # A wait ends with an error of this package; a fetch raises what the `http` object raised.
    expected = [TransportError, TransportError] if ours else [ModelsLabError, RuntimeError]
    assert expected == [type(each) for each in things[:2]]
    # The frames of this test hold the key.
    lines = [line for each in things[:2] for line in traceback.format_exception(each)]
    shows = "\n".join([*lines, repr([vars(each) for each in things[:2]]), logged.getvalue()])
    assert [] == lines_with(canary, shows)
    # The log or a note of the error tells where it was raised.
    assert ours or logged.getvalue().count("raised RuntimeError in exchange (") == 1
    assert ours or "raised in exchange (" in shows


def quote_request(request):
    """Return everything that an httpx request shows of itself."""
    return f"{request.url!r} {request.url.raw_path} {request.headers.raw} {request.content}"


async def raise_quoting(request):
    raise ValueError(f"cannot handle {quote_request(request)}")


async def raise_with_locals(request):
    quoted = quote_request(request)
    raise ValueError("cannot handle it", len(quoted))


async def raise_in_a_chain(request):
    try:
        await raise_quoting(request)
    except ValueError as error:
        raise LookupError("no luck") from error


async def raise_ours_with_locals(request):
    try:
        await raise_with_locals(request)
    except ValueError as error:
        raise TransportError("no luck") from error


async def raise_os_error(request):
    raise ConnectionResetError(104, quote_request(request))


async def raise_certificate_error(request):
    raise ssl.SSLCertVerificationError(1, quote_request(request))


async def raise_with_attribute(request):
    error = ValueError("cannot handle it")
    error.request_bytes = quote_request(request)
    raise error


class UnprintableError(Exception):
    """An error whose text cannot be made, and the reason quotes its argument."""

    def __str__(self):
        raise ValueError(self.args[0])

    __repr__ = __str__


async def raise_unprintable(request):
    raise UnprintableError(quote_request(request))


class QuotingBaseException(BaseException):
    """Not an `Exception`, as the outcomes of test frameworks are not."""


async def raise_base_exception(request):
    raise QuotingBaseException(quote_request(request))


async def raise_with_request(request):
    raise httpx.ReadError("cannot handle it", request=request)


RAISING = [
    raise_quoting,
    raise_with_locals,
    raise_in_a_chain,
    raise_ours_with_locals,
    raise_os_error,
    raise_certificate_error,
    raise_with_attribute,
    raise_unprintable,
    raise_base_exception,
    raise_with_request,
]


class RaisingHTTP:
    """An `http` object that raises after it has copied the request."""

    def __init__(self, fail):
        self.fail = fail

    async def exchange(self, request):
        headers = dict(request.headers)
        await self.fail(
            httpx.Request(request.method, request.url, headers=headers, content=request.body)
        )


class RaisingTransport(httpx.AsyncBaseTransport):
    def __init__(self, fail):
        self.fail = fail

    async def handle_async_request(self, request):
        await request.aread()
        await self.fail(request)


class RaisingAuth(httpx.Auth):
    requires_request_body = True

    def __init__(self, fail):
        self.fail = fail

    async def async_auth_flow(self, request):
        await self.fail(request)
        yield request


def with_response_hook(fail):
    async def on_response(response):
        await fail(response.request)

    answer = httpx.MockTransport(lambda _request: httpx.Response(200, json={}))
    return httpx.AsyncClient(transport=answer, event_hooks={"response": [on_response]})


RAISING_HTTP = {
    "exchange": RaisingHTTP,
    "transport": RaisingTransport,
    "request hook": lambda fail: httpx.AsyncClient(event_hooks={"request": [fail]}),
    "response hook": with_response_hook,
    "auth": lambda fail: httpx.AsyncClient(auth=RaisingAuth(fail)),
}


async def errors_of(client, ticket):
    """Yield the errors of a fetch, a wait and a submit."""
    for call in (
        lambda: client.fetch(ticket),
        lambda: client.wait(ticket),
        lambda: client.submit("realtime/text2img", prompt="x"),
    ):
        try:
            await call()
        except Exception as error:  # noqa: BLE001 -- every error is searched.
            yield error


@pytest.mark.parametrize("ticket", TICKETS)
@pytest.mark.parametrize(("kind", "fail"), pairs([*RAISING_HTTP], RAISING))
async def test_error_of_callers_http_shows_no_key_in_any_local_variable(
    canary, logged, kind, fail, ticket
):
    """Whatever foreign code raises in an exchange, no frame of its traceback shows the key."""
    async with Client(
        canary, http=RAISING_HTTP[kind](fail), pace=Pace(floor=0.01, max_failures=1)
    ) as client:
        texts = [text_of(error) async for error in errors_of(client, ticket)]
    assert 3 == len(texts)
    assert [] == lines_with(canary, "\n".join(texts))
    assert [] == lines_with(canary, logged.getvalue())


async def test_error_without_the_key_keeps_its_cause():
    """The traceback tells the author of an `http` object what failed in it."""
    cause = OSError(5, "the disk is full")

    class Own:
        async def exchange(self, _request):
            raise TransportError("no answer") from cause

    async with Client("another-key-1234", http=Own()) as client:
        with pytest.raises(TransportError) as caught:
            await client.fetch("realtime:1")
    assert cause is caught.value.__cause__


async def cancelled(client, ticket, traffic):
    """Cancel a fetch while it hangs; no frame here holds the key."""
    looking = asyncio.create_task(client.fetch(ticket))
    while not traffic.requests:  # noqa: ASYNC110 -- no event tells it.
        await asyncio.sleep(0.005)
    looking.cancel()
    try:
        await looking
    except asyncio.CancelledError as error:
        return error


@pytest.mark.parametrize(("kind", "ticket"), WAYS)
async def test_cancelled_poll_shows_no_key(canary, kind, ticket):
    """A poll that its caller cancels raises nothing that shows the key, not even in its frames."""
    traffic = Traffic()
    async with (
        run_faulty_server(Emulator(), Faults(shares={"hang": 1.0}), traffic=traffic) as url,
        opened(kind, canary, url, timeout=600.0) as client,
    ):
        found = lines_with(canary, text_of(await cancelled(client, ticket, traffic)))
    assert [] == found


async def in_a_timeout(polling):
    async with asyncio.timeout(0.05):
        await polling


async def in_a_scope(polling):
    with anyio.move_on_after(0.05) as scope:
        await polling
    return scope.cancelled_caught


async def in_a_group(polling):
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: polling)
        await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    return group.cancel_scope.cancelled_caught


@pytest.mark.parametrize("leave", [in_a_timeout, in_a_scope, in_a_group])
async def test_poll_can_be_cancelled_in_every_way(canary, leave):
    """A timeout, a cancel scope and a task group recognize their own cancellation."""
    task = asyncio.current_task()
    async with (
        run_faulty_server(Emulator(), Faults(shares={"hang": 1.0})) as url,
        opened("transport", canary, url, timeout=60.0) as client,
    ):
        try:
            assert await leave(client.fetch("controlnet_v5:1"))
        except TimeoutError:
            assert leave is in_a_timeout
        assert 0 == task.cancelling()


async def test_cancel_message_is_kept(canary):
    """A caller who cancels with a message gets it back, even if another error replaced it."""

    class Rewording:
        async def exchange(self, _request):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise asyncio.CancelledError from None

    for http in (Rewording(), httpx.MockTransport(lambda _: asyncio.sleep(60))):
        async with Client(canary, http=http) as client:
            looking = asyncio.create_task(client.fetch("realtime:1"))
            await asyncio.sleep(0)
            looking.cancel("enough")
            with pytest.raises(asyncio.CancelledError) as caught:
                await looking
            assert ("enough",) == caught.value.args
            assert 1 == looking.cancelling()


async def test_cancel_message_of_callers_http_shows_no_key(canary):
    """An `http` object may raise a cancellation of its own, with any message."""

    class Own:
        async def exchange(self, request):
            raise asyncio.CancelledError(f"gave up {request.body!r}")

    async with Client(canary, http=Own()) as client:
        with pytest.raises(asyncio.CancelledError) as caught:
            await client.fetch("realtime:1")
    assert [] == lines_with(canary, str(caught.value))
    assert "[key]" in str(caught.value)


def test_objects_with_the_key_do_not_show_it(canary):
    """The client, its parts and a request hold the key, and none of them shows it."""
    client = Client(canary, http=httpx.AsyncHTTPTransport())
    sender = client.engine.status_client._sender
    ticket = Ticket("realtime", 1)
    requests = sender._request_builder
    request = requests.poll(client.engine.status_client.family_of(ticket), ticket)
    assert isinstance(request, Request)
    assert canary.encode() in request.body
    (form,) = requests._templates.values()
    assert canary.encode() in b"".join(form.body)
    for thing in (
        client,
        client.engine.status_client,
        sender,
        sender.credentials,
        requests,
        form,
        request,
    ):
        assert 0 == f"{thing!r} {thing!s} {[thing]}".count(canary)


def test_objects_with_the_key_cannot_be_pickled(canary):
    """So the key reaches no other process and no cache."""
    client = Client(canary)
    for thing in (
        client,
        client.engine.status_client._sender,
        client.engine.status_client._sender.credentials,
    ):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(thing)
