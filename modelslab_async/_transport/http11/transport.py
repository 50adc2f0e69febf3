"""OwnHTTP: the default way to send. It finds a request's origin or proxy, and retries nothing."""

import asyncio
from typing import TypeAlias

import httpx

from ..._models.errors import TransportError
from ..base import Request, Response
from ..environment_proxy import through
from ..httpx_adapter import TransportHTTP, environment_proxy, unreachable
from ..unsent import held_back
from ..urls import address_of, place_of
from .codec import MakeMessages
from .connect import Trust
from .h11_codec import H11Messages
from .origin_pool import Origin

_Way: TypeAlias = Origin | TransportHTTP


class OwnHTTP:
    """
    Sends through connections of our own: HTTP/1.1, over TLS for https.

    Where the environment names a proxy, an httpx transport goes through it. For HTTP/2, hand an
    `httpx.AsyncHTTPTransport(http2=True)` to the client.
    """

    def __init__(self, *, connections: int, messages: MakeMessages = H11Messages) -> None:
        self._connections = connections
        self._messages = messages
        self._trust = Trust()
        self._ways: dict[tuple[str, str], _Way] = {}
        self._closed = False

    async def exchange(self, request: Request) -> Response:
        """See `HTTP.exchange`."""
        way = self._ways.get(place_of(request.url)) or await self._way(request.url)
        return await way.exchange(request)

    async def aclose(self) -> None:
        """Close every connection. Whoever still exchanges hears a `TransportError`."""
        self._closed = True
        for way in self._ways.values():
            await way.aclose()

    async def _way(self, url: str) -> _Way:
        scheme, host, port = address_of(url)
        proxy = environment_proxy(scheme, host)
        way: _Way
        if proxy is None:
            way = Origin(
                scheme,
                host,
                port,
                trust=self._trust,
                connections=self._connections,
                messages=self._messages,
            )
        else:
            way = await self._through(proxy, scheme)
        if self._closed:
            raise TransportError("the client was closed", may_have_left=False)
        # Another call may have opened the same way meanwhile.
        return self._ways.setdefault(place_of(url), way)

    async def _through(self, proxy: str, scheme: str) -> TransportHTTP:
        limits = httpx.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections
        )
        # Plain http needs no certificates, and they take longer to load than many looks.
        try:
            verify = await self._trust.context() if scheme == "https" else False
            return TransportHTTP(through(proxy, scheme, verify=verify, limits=limits))
        except asyncio.CancelledError as cancelled:
            held_back(cancelled)
            raise
        except OSError as fault:
            error = unreachable(fault)
        raise error
