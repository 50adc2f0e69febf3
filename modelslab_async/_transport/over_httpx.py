"""HTTP over httpx: over one of its transports or clients. It decodes and follows nothing."""

from collections.abc import AsyncIterator, Mapping
from urllib.request import getproxies_environment

import httpx

from .._core.errors import ConnectionImpossible, ModelsLabError, TransportError
from .tls import final_fault
from .wire import TOO_LONG, Body, Request, Response, is_too_long

# What httpx raises before the first byte of a request has gone out.
_NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)
# Bytes that come behind one answer stay in httpx, unseen, and would be read as the answer to the
# next request: so no connection of HTTP/1.1 has a next one. HTTP/2 knows whose each answer is, and
# drops this header (RFC 9113, section 8.2.2).
_ONCE = ("connection", "close")


class TransportHTTP:
    """Sends through one `httpx.AsyncBaseTransport`, without the layers of a client."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def exchange(self, request: Request) -> Response:
        """See `HTTP.exchange`."""
        try:
            response = await self._transport.handle_async_request(_to_httpx(request))
            return await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            error = translated(fault)
        raise error

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
        try:
            prepared = self._client.build_request(
                request.method,
                request.url,
                headers=(*request.headers, _ONCE),
                content=request.body or None,
            )
            prepared.url = _QuietURL(prepared.url)
            response = await self._client.send(prepared, stream=True, follow_redirects=False)
            return await _read(response)
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            error = translated(fault)
        raise error


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


def translated(fault: httpx.HTTPError | httpx.InvalidURL) -> ModelsLabError:
    """What an httpx error means to us. httpx errors hold the request, and so the key: drop them."""
    return _untrusted(fault) or _cut(
        fault, str(fault), may_have_left=not isinstance(fault, _NEVER_LEFT)
    )


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
        if is_too_long(headers):
            raise TransportError(TOO_LONG)
        async for chunk in _raw(response):
            if not body.add(chunk):
                raise TransportError(TOO_LONG)
    finally:
        await response.aclose()
    return Response(status_code=response.status_code, headers=headers, body=body.whole())


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    # A caller's own event hook may have read the response already.
    if response.is_stream_consumed:
        yield await response.aread()
        return
    async for chunk in response.aiter_raw():
        yield chunk
