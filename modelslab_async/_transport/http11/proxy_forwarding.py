"""Sends plain http requests through a proxy that forwards them. It opens no tunnel."""

from attrs import evolve

from ..base import Request, Response
from ..proxy import Proxy
from .origin_pool import OriginPool


class ForwardingProxy:
    """
    Sends plain http requests to a proxy, which forwards them.

    Args:
        pool: The connections to the proxy.
        proxy: The proxy.
    """

    def __init__(self, pool: OriginPool, proxy: Proxy) -> None:
        self._pool = pool
        self._proxy = proxy

    async def exchange(self, request: Request) -> Response:
        """See `Transport.exchange`."""
        headers = (*request.headers, *self._proxy.headers)
        return self._proxy.redact(await self._pool.exchange(evolve(request, headers=headers)))

    async def aclose(self) -> None:
        """Close all connections to the proxy."""
        await self._pool.aclose()
