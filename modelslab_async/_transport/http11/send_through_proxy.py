"""Sends requests through a proxy: in a tunnel, by forwarding or over SOCKS."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeAlias

import httpx
from attrs import evolve

from ..._models.errors import UnusableProxy
from ..httpx_adapter import HttpxTransportAdapter
from ..network_error_translation import connect_error
from ..proxy import UNAUTHORIZED_STATUS, Proxy, wrong_password_error
from ..send_proof import mark_unsent
from ..transport_protocol import Request, Response, host_header, request_target, split_origin
from .codec import Codec, CodecFactory
from .connection import Dialer
from .proxy_tunnel import ProxyDialer, TunnelRefused

Connect: TypeAlias = Callable[[asyncio.Protocol], Coroutine[Any, Any, object]]


class Route(Protocol):
    """Sends the requests to one origin."""

    async def exchange(self, request: Request, /) -> Response: ...
    async def aclose(self) -> None: ...


class MakePool(Protocol):
    """Makes the pool of connections to one origin. `OriginPool` explains the arguments."""

    def __call__(
        self,
        url: str,
        connect: Connect,
        *,
        make_codec: Callable[[], Codec] | None = None,
        may_keep: Callable[[Response], bool] | None = None,
    ) -> Route: ...


def http_proxy_route(
    proxy: Proxy, url: str, *, dialer: Dialer, make_codec: CodecFactory, make_pool: MakePool
) -> Route:
    """Return a route through an HTTP proxy, to the origin of a URL."""
    scheme, host, port = split_origin(url)
    proxy_dialer = ProxyDialer(proxy=proxy, dialer=dialer)
    if scheme == "https":
        return make_pool(url, partial(proxy_dialer.open_tunnel, host=host, port=port))
    return PlainProxyRoute(
        proxy,
        tunnels=make_pool(url, partial(proxy_dialer.open_plain_tunnel, host=host, port=port)),
        forwarding=make_pool(
            url,
            proxy_dialer.open,
            make_codec=partial(make_codec, target_of=_absolute_target),
            may_keep=_says_keep_alive,
        ),
    )


async def socks_route(proxy: Proxy, scheme: str, *, dialer: Dialer, connections: int) -> Route:
    """
    Return a route through a SOCKS proxy, for URLs with this scheme.

    The route sends requests with httpx, because this package does not speak SOCKS.

    Raises:
        UnusableProxy: The dialer has local addresses, which httpx cannot use with SOCKS.
    """
    if dialer.local_addresses:
        raise UnusableProxy(
            f"{proxy.origin} speaks SOCKS, which cannot be combined with local_address"
        )
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    # Load certificates only for https, because loading takes about 20 ms.
    try:
        verify = await dialer.ssl_loader.context() if scheme == "https" else False
        return HttpxTransportAdapter(
            httpx.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy.url)
        )
    except asyncio.CancelledError as cancelled:
        mark_unsent(cancelled)
        raise
    except OSError as fault:
        error = connect_error(fault)
    raise error


class PlainProxyRoute:
    """
    Sends requests without TLS to one server, through an HTTP proxy.

    It prefers a tunnel: if no tunnel can be opened, the request provably never left this machine.
    Many proxies open tunnels to port 443 only. If this proxy refuses a tunnel, the route sends this
    request and all later requests to the proxy itself, which forwards them.

    Args:
        proxy: The proxy.
        tunnels: The pool of tunnels through the proxy to the server.
        forwarding: The pool of connections to the proxy, for requests that the proxy forwards.
    """

    def __init__(self, proxy: Proxy, *, tunnels: Route, forwarding: Route) -> None:
        self._proxy = proxy
        self._tunnels = tunnels
        self._forwarding = forwarding
        self._opens_tunnels = True

    async def exchange(self, request: Request) -> Response:
        """
        Send one request and read its response.

        Raises:
            UnusableProxy: The proxy rejects the user or the password, with status 407.
        """
        if self._opens_tunnels:
            try:
                return await self._tunnels.exchange(request)
            except TunnelRefused:
                self._opens_tunnels = False
        headers = (*request.headers, *self._proxy.headers)
        response = await self._forwarding.exchange(evolve(request, headers=headers))
        if response.status_code == UNAUTHORIZED_STATUS:
            raise wrong_password_error(self._proxy.origin)
        return self._proxy.redact(response)

    async def aclose(self) -> None:
        """Close all connections to the proxy and all tunnels."""
        await self._tunnels.aclose()
        await self._forwarding.aclose()


def _says_keep_alive(response: Response) -> bool:
    """
    Return whether a proxy's response says that the proxy keeps the connection open.

    A header must say so, although HTTP/1.1 keeps a connection open by default. Some proxies, such
    as tinyproxy, close the connection without announcing it in a header.
    """
    return any(
        name.lower() in (b"connection", b"proxy-connection") and b"keep-alive" in value.lower()
        for name, value in response.headers
    )


def _absolute_target(url: str) -> str:
    """Return a URL in ASCII and without the fragment, for the request line to a proxy."""
    scheme, host, port = split_origin(url)
    return f"{scheme}://{host_header(scheme, host, port)}{request_target(url)}"
