"""Over httpx, a request never left if nobody took its body: whatever was raised, whoever raised."""

import asyncio
import inspect
import ssl

import httpx
import pytest

from modelslab_async import (
    AuthenticationError,
    RateLimited,
    Request,
    TransportError,
    UntrustedServer,
)
from modelslab_async._transport.send_proof import TrackedBody
from modelslab_async._transport.sender import as_transport

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
    """Does with a request what a function says."""

    def __init__(self, deed):
        self.deed = deed

    async def handle_async_request(self, request):
        return await self.deed(request)


THROUGH = {
    "transport": Scripted,
    "client": lambda deed: httpx.AsyncClient(transport=Scripted(deed)),
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
    return lambda deed: as_transport(THROUGH[request.param](deed), 1)


async def fault_of(http, request=SUBMIT):
    with pytest.raises(TransportError) as caught:
        await http.exchange(request)
    assert caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
async def test_what_nobody_took_never_left(through, name):
    """Whatever a transport raises, it sent nothing of a body that it has not touched."""

    async def fail(_request):
        raise FAULTS[name]

    assert not (await fault_of(through(fail))).may_have_been_sent


@pytest.mark.parametrize("take", TAKING)
@pytest.mark.parametrize("name", FAULTS)
async def test_what_was_taken_may_have_left(through, name, take):
    """However it was taken, and whatever is raised then: it may have been sent."""

    async def fail(request):
        assert BODY == await take(request)
        raise FAULTS[name]

    assert (await fault_of(through(fail))).may_have_been_sent


@pytest.mark.parametrize("name", FAULTS)
async def test_what_was_answered_has_left(through, name):
    """An answer that breaks while it is read was an answer, also where nobody took the body."""

    async def broken():
        yield b"{"
        raise FAULTS[name]

    async def answer(_request):
        return httpx.Response(200, content=broken())

    assert (await fault_of(through(answer))).may_have_been_sent


async def test_a_wrapper_that_tries_twice_has_sent_it(through):
    """A second attempt that meets a closed port takes nothing back of the first."""

    async def try_twice(request):
        await from_the_stream(request)
        raise httpx.ConnectError("the second attempt was refused")

    assert (await fault_of(through(try_twice))).may_have_been_sent


async def test_what_never_left_cannot_leave_later(through):
    """An attempt that goes on beside the one that failed gets no body any more."""
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


async def test_of_a_request_without_a_body_nobody_can_tell(through):
    """Its head is all of it, and who has sent that shows nowhere."""

    async def fail(_request):
        raise httpx.ConnectError("refused")

    bare = Request(method="GET", url=SUBMIT.url, needs_new_connection=True)
    assert (await fault_of(through(fail), bare)).may_have_been_sent
    assert not TrackedBody(b"").withdraw()


async def test_what_cannot_be_built_never_left(through):
    """A URL that is none is refused before anybody is handed the request."""
    url = "https://service.example/" + "a" * 70_000
    request = Request(method="POST", url=url, body=BODY, needs_new_connection=True)
    assert not (await fault_of(through(from_the_stream), request)).may_have_been_sent


async def test_a_request_is_what_httpx_makes_of_it(through):
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


async def test_hooks_and_signatures_see_the_body():
    """A client's hooks and its auth read the body as ever; then nobody can tell that it stayed."""
    seen = []

    async def look(request):
        seen.append(request.content)

    async def answer(request):
        seen.append(await from_the_stream(request))
        return httpx.Response(200, content=request.headers["x-signature"])

    async def fail(_request):
        raise httpx.ConnectError("refused")

    for deed in (answer, fail):
        client = httpx.AsyncClient(
            transport=Scripted(deed), auth=Signing(), event_hooks={"request": [look]}
        )
        if deed is answer:
            assert b"%d" % len(BODY) == (await as_transport(client, 1).exchange(SUBMIT)).body
        else:
            assert (await fault_of(as_transport(client, 1))).may_have_been_sent
    assert [BODY] * 3 == seen


@pytest.mark.parametrize("needs_new_connection", [True, False])
async def test_whose_certificate_it_is_shows_only_before_anything_left(needs_new_connection):
    """A hook that meets a bad certificate says nothing of the service's; a look costs nothing."""
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
