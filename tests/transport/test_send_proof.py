"""Over httpx, a request whose body was never read never left, whatever error was raised."""

import asyncio
import inspect
import pickle
import ssl

import httpx
import pytest
from attrs import evolve

from modelslab_async import (
    AuthenticationError,
    ClientClosed,
    RateLimited,
    Request,
    TransportError,
    UntrustedServer,
)
from modelslab_async._transport.send_proof import TrackedBody
from modelslab_async._transport.transport_choice import as_transport

BODY = b'{"key": "a-key-1234", "prompt": "a fox"}'
SUBMIT = Request(
    method="POST",
    url="https://service.example/api/v6/realtime/text2img",
    headers=(("content-type", "application/json"),),
    body=BODY,
    needs_new_connection=True,
)


def of_kind(kind):
    extra = {"response": httpx.Response(500)} if kind is httpx.HTTPStatusError else {}
    known = "request" in inspect.signature(kind).parameters
    return (
        kind("x", request=httpx.Request("POST", "https://x.example"), **extra)
        if known
        else kind("x")
    )


FAULTS = {
    **{
        kind.__name__: of_kind(kind)
        for kind in vars(httpx).values()
        if inspect.isclass(kind) and issubclass(kind, (httpx.HTTPError, httpx.InvalidURL))
    },
    "ours, never left": TransportError("x", may_have_been_sent=False),
    "ours, a rate": RateLimited("x"),
    "ours, a key": AuthenticationError("x"),
    "ours, a certificate": UntrustedServer("x"),
}


class Scripted(httpx.AsyncBaseTransport):
    """A transport that passes each request to a function."""

    def __init__(self, action):
        self.action = action

    async def handle_async_request(self, request):
        return await self.action(request)


THROUGH = {
    "transport": Scripted,
    "client": lambda action: httpx.AsyncClient(transport=Scripted(action)),
}


async def from_the_stream(request):
    return b"".join([chunk async for chunk in request.stream])


async def from_a_plain_stream(request):
    return b"".join(request.stream)


async def from_the_content(request):
    return request.content


async def read_at_once(request):
    return request.read()


async def read_in_turn(request):
    return await request.aread()


async def from_a_copy(request):
    copy = httpx.Request(
        request.method, request.url, headers=request.headers, stream=request.stream
    )
    return await copy.aread()


TAKING = [
    from_the_stream,
    from_a_plain_stream,
    from_the_content,
    read_at_once,
    read_in_turn,
    from_a_copy,
]


@pytest.fixture(params=THROUGH)
def through(request):
    return lambda action: as_transport(THROUGH[request.param](action), 1)


async def fault_of(http, request=SUBMIT):
    with pytest.raises(TransportError) as caught:
        await http.exchange(request)
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
async def test_unread_body_never_left(through, name):
    """Whatever a transport raises, it sent nothing of a body that it has not read."""

    async def fail(_request):
        raise FAULTS[name]

    assert not (await fault_of(through(fail))).may_have_been_sent


class Asked:
    """Counts how often it is asked, and refuses if it has a refusal."""

    def __init__(self, refusal=None):
        self.refusal, self.times = refusal, 0

    def __call__(self):
        self.times += 1
        if self.refusal is not None:
            raise self.refusal


@pytest.mark.parametrize("then", ["passes it on", "fails in its own way", "reads once more"])
@pytest.mark.parametrize("take", TAKING)
async def test_body_that_may_no_longer_be_sent_is_never_read(through, take, then):
    """The caller gets the refusal itself, whatever a transport makes of it."""
    asked = Asked(ClientClosed("it was closed"))

    async def act(request):
        try:
            await take(request)
        except ClientClosed:
            if then == "passes it on":
                raise
            if then == "reads once more":
                await take(request)
            raise RuntimeError("my own") from None

    with pytest.raises(ClientClosed) as caught:
        await through(act).exchange(evolve(SUBMIT, check_sendable=asked))
    assert asked.refusal is caught.value
    assert 1 == asked.times


@pytest.mark.parametrize("take", TAKING)
async def test_body_that_was_read_is_not_asked_about_again(through, take):
    """It may have been sent, so a later refusal would prove nothing."""
    asked = Asked()

    async def act(request):
        assert BODY == await take(request) == await take(request)
        return httpx.Response(200)

    await through(act).exchange(evolve(SUBMIT, check_sendable=asked))
    assert 1 == asked.times


def test_request_that_can_be_stopped_equals_one_that_cannot():
    """It shows nothing of the check. A pickle holds none, because it may be for another process."""
    stopped = evolve(SUBMIT, check_sendable=Asked(ClientClosed()).__call__)
    assert SUBMIT == stopped
    assert hash(SUBMIT) == hash(stopped)
    assert repr(SUBMIT) == repr(stopped)
    pickled = pickle.loads(pickle.dumps(evolve(SUBMIT, check_sendable=lambda: 1 / 0)))
    assert SUBMIT == pickled
    pickled.check_sendable()


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize("name", FAULTS)
async def test_read_body_may_have_left(through, name, take):
    """However it was read, and whatever is raised then: it may have been sent."""

    async def fail(request):
        assert BODY == await take(request)
        raise FAULTS[name]

    assert (await fault_of(through(fail))).may_have_been_sent


@pytest.mark.parametrize("name", FAULTS)
async def test_request_with_a_response_has_left(through, name):
    """A response that breaks off proves that the request was sent, even with an unread body."""

    async def broken():
        yield b"{"
        raise FAULTS[name]

    async def answer(_request):
        return httpx.Response(200, content=broken())

    assert (await fault_of(through(answer))).may_have_been_sent


async def test_retrying_wrapper_has_sent_the_request(through):
    """A second attempt that meets a closed port does not undo the first."""

    async def try_twice(request):
        await from_the_stream(request)
        raise httpx.ConnectError("the second attempt was refused")

    assert (await fault_of(through(try_twice))).may_have_been_sent


async def test_withdrawn_body_cannot_leave_later(through):
    """An attempt that goes on beside the failed one gets no body any more."""
    late = []

    async def race(request):
        late.append((request, asyncio.create_task(asyncio.sleep(0.01))))
        raise httpx.ConnectError("refused")

    assert not (await fault_of(through(race))).may_have_been_sent
    [(request, task)] = late
    await task
    for take in TAKING:
        with pytest.raises(httpx.StreamClosed):
            await take(request)


async def test_request_without_body_may_have_left(through):
    """Its head is all of it, and nothing shows whether that was sent."""

    async def fail(_request):
        raise httpx.ConnectError("refused")

    bare = Request(method="GET", url=SUBMIT.url, needs_new_connection=True)
    assert (await fault_of(through(fail), bare)).may_have_been_sent
    assert not TrackedBody(b"").withdraw()


async def test_unbuildable_request_never_left(through):
    """An invalid URL is refused before any transport gets the request."""
    url = "https://service.example/" + "a" * 70_000
    request = Request(method="POST", url=url, body=BODY, needs_new_connection=True)
    assert not (await fault_of(through(from_the_stream), request)).may_have_been_sent


async def test_tracked_request_equals_httpx_request(through):
    """Its head names the host and the length; its body can be read again and again."""

    async def echo(request):
        assert request.headers["host"] == "service.example"
        assert request.headers["content-length"] == str(len(BODY))
        for take in TAKING * 2:
            assert BODY == await take(request)
        return httpx.Response(200, content=request.content)

    assert BODY == (await through(echo).exchange(SUBMIT)).body


class Signing(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request):
        request.headers["x-signature"] = str(len(request.content))
        yield request


async def test_hooks_and_auth_can_read_the_body():
    """Hooks and auth of a client read the body as usual; then it may have left."""
    bodies = []

    async def read_content(request):
        bodies.append(request.content)

    async def answer(request):
        bodies.append(await from_the_stream(request))
        return httpx.Response(200, content=request.headers["x-signature"])

    async def fail(_request):
        raise httpx.ConnectError("refused")

    for action in (answer, fail):
        client = httpx.AsyncClient(
            transport=Scripted(action), auth=Signing(), event_hooks={"request": [read_content]}
        )
        if action is answer:
            assert b"%d" % len(BODY) == (await as_transport(client, 1).exchange(SUBMIT)).body
        else:
            assert (await fault_of(as_transport(client, 1))).may_have_been_sent
    assert [BODY] * 3 == bodies


@pytest.mark.parametrize("needs_new_connection", [True, False])
async def test_tls_error_of_a_hook_is_not_the_servers(needs_new_connection):
    """A hook that meets a bad certificate says nothing about the service's; a poll is repeated."""
    bad = ssl.SSLCertVerificationError("expired")
    bad.verify_message = "expired"

    async def measure(_response):
        raise httpx.ConnectError("x") from bad

    async def answer(request):
        await from_the_stream(request)
        return httpx.Response(200)

    client = httpx.AsyncClient(transport=Scripted(answer), event_hooks={"response": [measure]})
    request = Request(
        method="POST", url=SUBMIT.url, body=BODY, needs_new_connection=needs_new_connection
    )
    with pytest.raises(TransportError if needs_new_connection else UntrustedServer):
        await as_transport(client, 1).exchange(request)
