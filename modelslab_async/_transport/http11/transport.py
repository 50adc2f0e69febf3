"""HTTP11Transport: sends each request to the pool or the proxy of its origin. It never retries."""

import asyncio
from typing import TypeAlias

import httpx

from ..._models.errors import TransportError
from ..base import Request, Response
from ..environment_proxy import environment_proxy, proxy_transport
from ..httpx_adapter import HttpxTransportAdapter
from ..mock_guard import refuse_if_mocked
from ..network_error_translation import connect_error
from ..send_proof import mark_unsent
from ..testing_guard import OUTBOUND_GUARD
from ..url_parts import origin_of, split_origin
from .codec import CodecFactory
from .connect import SSLContextLoader
from .default_codec import DefaultCodec
from .origin_pool import OriginPool

_Route: TypeAlias = OriginPool | HttpxTransportAdapter


class HTTP11Transport:
    """
    Sends requests over HTTP/1.1. Each origin (scheme, host and port) has a pool of connections.

    If the environment names a proxy for an origin, requests go through an httpx transport instead.

    Args:
        connections: The most connections to one origin.
        make_codec: Makes the codec of each connection.
    """

    def __init__(self, *, connections: int, make_codec: CodecFactory = DefaultCodec) -> None:
        self._connections = connections
        self._make_codec = make_codec
        self._ssl_loader = SSLContextLoader()
        self._routes: dict[tuple[str, str], _Route] = {}
        self._is_closed = False

    async def exchange(self, request: Request) -> Response:
        """See `Transport.exchange`."""
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
        proxy = environment_proxy(scheme, host)
        route: _Route
        if proxy is None:
            route = OriginPool(
                scheme,
                host,
                port,
                ssl_loader=self._ssl_loader,
                connections=self._connections,
                make_codec=self._make_codec,
            )
        else:
            route = await self._proxy_route(proxy, scheme)
        if self._is_closed:
            raise TransportError("the client was closed", may_have_been_sent=False)
        # Another request may have opened the same route while this task waited.
        return self._routes.setdefault(origin_of(url), route)

    async def _proxy_route(self, proxy: str, scheme: str) -> HttpxTransportAdapter:
        limits = httpx.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections
        )
        # Do not load certificates for plain http, because loading takes some 20 ms.
        try:
            verify = await self._ssl_loader.context() if scheme == "https" else False
            return HttpxTransportAdapter(
                proxy_transport(proxy, scheme, verify=verify, limits=limits)
            )
        except asyncio.CancelledError as cancelled:
            mark_unsent(cancelled)
            raise
        except OSError as fault:
            error = connect_error(fault)
        raise error
