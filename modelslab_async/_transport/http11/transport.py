"""HTTP11Transport: sends each request over a connection to its origin. It never retries."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import httpx

from ..._models.errors import TransportError, UnusableProxy
from ..environment_proxy import usable_environment_proxy
from ..httpx_adapter import HttpxTransportAdapter
from ..network_error_translation import connect_error
from ..proxy import Proxy
from ..send_proof import mark_unsent
from ..testing_guard import OUTBOUND_GUARD, refuse_if_mocked
from ..transport_protocol import Request, Response, host_header, origin_of, split_origin
from .codec import Codec, CodecFactory
from .connect import Dialer
from .default_codec import DefaultCodec
from .origin_pool import Connect, OriginPool
from .plain_proxy_route import PlainProxyRoute, absolute_target, says_keep_alive
from .proxy_tunnel import ProxyDialer

_Route: TypeAlias = OriginPool | PlainProxyRoute | HttpxTransportAdapter


class HTTP11Transport:
    """
    Sends requests over HTTP/1.1. Each origin (scheme, host and port) has a pool of connections.

    With an HTTP proxy, the connections go through the proxy, as tunnels if it opens tunnels. With a
    SOCKS proxy, an httpx transport sends the requests instead.

    Args:
        connections: The maximum number of connections to one origin.
        make_codec: Makes the codec of each connection.
        dialer: Opens the connections.
        proxy: The proxy for all origins; None to take it from the environment variables.
    """

    def __init__(
        self,
        *,
        connections: int,
        make_codec: CodecFactory = DefaultCodec,
        dialer: Dialer | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._connections = connections
        self._make_codec = make_codec
        self._dialer = dialer or Dialer()
        self._proxy = proxy
        self._routes: dict[tuple[str, str], _Route] = {}
        self._is_closed = False

    async def exchange(self, request: Request) -> Response:
        """Send one request and read its response."""
        refuse_if_mocked(instead="Client(http=httpx.AsyncClient())")
        if OUTBOUND_GUARD.refusal:
            OUTBOUND_GUARD.check(split_origin(request.url)[1])
        route = self._routes.get(origin_of(request.url)) or await self._open_route(request.url)
        return await route.exchange(request)

    async def aclose(self) -> None:
        """Close every connection. An exchange in flight raises a `TransportError`."""
        self._is_closed = True
        for route in self._routes.values():
            await route.aclose()

    async def _open_route(self, url: str) -> _Route:
        scheme, host, port = split_origin(url)
        proxy = self._proxy or usable_environment_proxy(scheme, host)
        route: _Route
        if proxy is None:
            connect = partial(self._dialer.open, scheme=scheme, host=host, port=port)
            route = self._pool(url, connect)
        elif proxy.is_socks:
            route = await self._socks_route(proxy, scheme)
        else:
            route = self._http_proxy_route(proxy, url)
        if self._is_closed:
            raise TransportError("the client was closed", may_have_been_sent=False)
        # Another request may have opened a route to the same origin while this task waited. Then
        # use that route.
        return self._routes.setdefault(origin_of(url), route)

    def _pool(
        self,
        url: str,
        connect: Connect,
        *,
        make_codec: Callable[[], Codec] | None = None,
        may_keep: Callable[[Response], bool] | None = None,
    ) -> OriginPool:
        return OriginPool(
            host_header(*split_origin(url)),
            connect,
            connections=self._connections,
            make_codec=make_codec or self._make_codec,
            may_keep=may_keep,
        )

    def _http_proxy_route(self, proxy: Proxy, url: str) -> OriginPool | PlainProxyRoute:
        scheme, host, port = split_origin(url)
        dialer = ProxyDialer(proxy=proxy, dialer=self._dialer)
        if scheme == "https":
            connect = partial(dialer.open_tunnel, host=host, port=port)
            return self._pool(url, connect)
        return PlainProxyRoute(
            proxy,
            tunnels=self._pool(url, partial(dialer.open_plain_tunnel, host=host, port=port)),
            forwarding=self._pool(
                url,
                dialer.open,
                make_codec=partial(self._make_codec, target_of=absolute_target),
                may_keep=says_keep_alive,
            ),
        )

    async def _socks_route(self, proxy: Proxy, scheme: str) -> HttpxTransportAdapter:
        if self._dialer.local_addresses:
            raise UnusableProxy(
                f"{proxy.origin} speaks SOCKS, which cannot be combined with local_address"
            )
        limits = httpx.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections
        )
        # Do not load certificates for http without TLS, because loading takes some 20 ms.
        try:
            verify = await self._dialer.ssl_loader.context() if scheme == "https" else False
            return HttpxTransportAdapter(
                httpx.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy.url)
            )
        except asyncio.CancelledError as cancelled:
            mark_unsent(cancelled)
            raise
        except OSError as fault:
            error = connect_error(fault)
        raise error
