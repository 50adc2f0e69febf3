"""HTTP over httpx: over one of its transports or clients. It decodes and follows nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.request import getproxies_environment

import httpx

from .._models.errors import ConnectionImpossible, ModelsLabError, TransportError
from .base import TOO_LONG, Body, Request, Response, is_too_long
from .send_proof import SealedBody, SealedRequest
from .tls_errors import final_fault
from .unsent import held_back

# Bytes that come behind one answer stay in httpx, unseen, and would be read as the answer to the
# next request: so no connection of HTTP/1.1 has a next one. HTTP/2 knows whose each answer is, and
# drops this header (RFC 9113, section 8.2.2).
_ONCE = ("connection", "close")
# So many pieces of a body are read before other tasks get their turn.
_TURN = 100
# What a caller's client or transport may raise. Ours are among them: its hooks may send as well,
# and what they say is not said of this request.
_FAULTS = (httpx.HTTPError, httpx.InvalidURL, ModelsLabError)


class TransportHTTP:
    """Sends through one `httpx.AsyncBaseTransport`, without the layers of a client."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def exchange(self, request: Request) -> Response:
        """See `HTTP.exchange`."""
        send = self._transport.handle_async_request
        return await _read(await _answered(request, _to_httpx, send))

    async def aclose(self) -> None:
        await self._transport.aclose()


class _QuietURL(httpx.URL):
    """A URL whose text ends before its query: httpx logs URLs, and a query may hold the key."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]


class ClientHTTP:
    """Sends through a caller's `httpx.AsyncClient`, with its settings, and never closes it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def exchange(self, request: Request) -> Response:
        """See `HTTP.exchange`."""
        return await _read(await _answered(request, self._built, self._sent))

    def _built(self, request: Request) -> httpx.Request:
        built = self._client.build_request(
            request.method,
            request.url,
            headers=(*request.headers, _ONCE),
            content=request.body or None,
        )
        built.url = _QuietURL(built.url)
        return built

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True, follow_redirects=False)


async def _answered(
    request: Request,
    build: Callable[[Request], httpx.Request],
    send: Callable[[httpx.Request], Awaitable[httpx.Response]],
) -> httpx.Response:
    """
    Send it, and say of a fault or a cancellation whether the request may have left.

    The kind of a fault does not tell: hooks of a client, wrappers that try twice and redirects that
    are no URL raise what is raised where no connection came about. What nobody took the body of
    has not left, whatever was raised.
    """
    body = SealedBody(request.body)
    sealed: httpx.Request | None = None
    try:
        sealed = SealedRequest(build(request), body)
        return await send(sealed)
    except asyncio.CancelledError as cancelled:
        if body.withdraw():
            held_back(cancelled)
        raise
    except _FAULTS as fault:
        if isinstance(fault, httpx.HTTPStatusError) and _is_answer_to(sealed, fault.response):
            # A client's hook that takes the answer for a fault has had an answer.
            return fault.response
        error = translated(fault, never_left=body.withdraw(), trusting=not request.fresh)
    finally:
        del sealed
    # Raised out here, in a frame without httpx's request: its repr shows the query.
    raise error


def _is_answer_to(request: httpx.Request | None, response: httpx.Response) -> bool:
    try:
        return response.request is request
    except RuntimeError:
        # It is the answer to nothing.
        return False


def environment_proxy(scheme: str, host: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name for a host."""
    proxies: Mapping[str, str] = getproxies_environment()
    if any(_covers(pattern.strip(), host) for pattern in proxies.get("no", "").split(",")):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _covers(pattern: str, host: str) -> bool:
    domain = pattern.lstrip("*.").lower()
    return pattern == "*" or (bool(domain) and f".{host.lower()}".endswith(f".{domain}"))


def translated(
    fault: Exception, *, never_left: bool = False, trusting: bool = True
) -> ModelsLabError:
    """
    What an httpx error means to us. httpx errors hold the request, and so the key: drop them.

    Args:
        fault: The error.
        never_left: Whether the request provably never left.
        trusting: Whether the fault of a certificate is believed to be that of our server without
            that proof.
    """
    untrusted = _untrusted(fault) if trusting or never_left else None
    return untrusted or _cut(fault, str(fault), may_have_left=not never_left)


def unreachable(fault: OSError | UnicodeError) -> ModelsLabError:
    """What it means that no connection came about. A name that is none is a `UnicodeError`."""
    said = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
    return _untrusted(fault) or _cut(fault, said, may_have_left=False)


def _cut(fault: Exception, said: str, *, may_have_left: bool) -> TransportError:
    name = type(fault).__name__
    return TransportError(f"{name}: {said}" if said else name, may_have_left=may_have_left)


def _untrusted(fault: Exception) -> ConnectionImpossible | None:
    return final_fault(fault, shaking=isinstance(fault, (httpx.ConnectError, OSError)))


def _to_httpx(request: Request) -> httpx.Request:
    return httpx.Request(
        request.method,
        request.url,
        headers=(*request.headers, _ONCE),
        content=request.body or None,
    )


async def _read(response: httpx.Response) -> Response:
    headers, body = response.headers.raw, Body()
    try:
        trouble = TOO_LONG if is_too_long(headers) else await _trouble_with(response, body)
        if not trouble:
            return Response(status_code=response.status_code, headers=headers, body=body.whole())
        error: ModelsLabError = TransportError(trouble)
    except _FAULTS as fault:
        error = translated(fault, trusting=False)
    finally:
        await response.aclose()
    raise error


async def _trouble_with(response: httpx.Response, body: Body) -> str:
    async for chunk in _raw(response):
        if trouble := body.add(chunk):
            return trouble
        if not body.pieces % _TURN:
            # httpx gives nobody else a turn while it has something left of what it has received.
            await asyncio.sleep(0)
    return ""


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    # A caller's own event hook may have read the response already.
    if response.is_stream_consumed:
        yield await response.aread()
        return
    if response.is_closed:
        # A hook that raised for its status left the body where it was.
        return
    async for chunk in response.aiter_raw():
        yield chunk
