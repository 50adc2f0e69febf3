"""Guarded: GET over connections that open only to addresses that were checked. It has no key."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeAlias, cast

import httpcore
import httpx

from .dialing import Trust, addresses_of
from .public import is_public

KEPT = 15.0
# How long one of several addresses may be silent before the next is tried.
_PATIENCE = 3.0

_Options: TypeAlias = Iterable[Any] | None


class NotPublic(Exception):
    """A host has no public address."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """
    An httpx transport whose names are resolved here, once, and connected to as they were checked.

    A name that means something else a moment later (DNS rebinding) changes nothing, and the
    certificate is still judged by the name. It goes through no proxy, since a proxy would resolve
    the name itself. There is no pool to lose places in: whoever asks bounds how many ask at once.

    Args:
        private: Whether addresses that are not public are allowed too.
    """

    def __init__(self, *, private: bool) -> None:
        self._dialer = _Dialer(private=private)
        self._trust = Trust()
        self._idle: list[httpcore.AsyncHTTPConnection] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send one request; the response is read by whoever asked, and closed.

        Raises:
            NotPublic: The host has no public address.
            httpx.TransportError: No response came.
        """
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            extensions=request.extensions,
        )
        connection = await self._connection(asked.url.origin)
        try:
            response = await connection.handle_async_request(asked)
        except BaseException as fault:
            await connection.aclose()
            if isinstance(fault, _FAULTS):
                raise _translated(fault) from fault
            raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, connection, self),
        )

    async def aclose(self) -> None:
        """Close the connections that rest, and let none rest any more."""
        self._closed = True
        while self._idle:
            await self._idle.pop().aclose()

    async def rest(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection for the next request to its origin, if it can carry one."""
        if connection.is_idle() and not self._closed:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        for connection in [each for each in self._idle if each.has_expired()]:
            self._idle.remove(connection)
            await connection.aclose()
        for connection in self._idle:
            if connection.can_handle_request(origin):
                self._idle.remove(connection)
                return connection
        trusted = await self._trust.context() if origin.scheme == b"https" else None
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=trusted, keepalive_expiry=KEPT, network_backend=self._dialer
        )


class _Body(httpx.AsyncByteStream):
    """The body of a response, and the end of what it came over."""

    def __init__(
        self,
        response: httpcore.Response,
        connection: httpcore.AsyncHTTPConnection,
        transport: GuardedTransport,
    ) -> None:
        self._response = response
        self._connection = connection
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except _FAULTS as fault:
            raise _translated(fault) from fault

    async def aclose(self) -> None:
        await self._response.aclose()
        await self._transport.rest(self._connection)


class _Dialer(httpcore.AsyncNetworkBackend):
    """Resolves, checks, connects: the one place where a download meets the network."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        # Where anyio is missing this is another class to the type checkers; httpx brings it.
        self._inner = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = await self._allowed(host, port)
        for address in others:
            try:
                return await self._inner.connect_tcp(
                    address, port, _PATIENCE, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> list[str]:
        try:
            found = await addresses_of(host, port)
        except (OSError, UnicodeError) as fault:
            raise httpcore.ConnectError(str(fault)) from fault
        addresses = [str(place[0]) for *_, place in found]
        allowed = [each for each in addresses if self._private or is_public(each)]
        if not allowed:
            raise NotPublic(f"{host} is no public address but {', '.join(addresses)}")
        return allowed


_FAULTS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.ConnectionNotAvailable,
)


def _translated(fault: Exception) -> httpx.TransportError:
    """The error of the same name, by which httpx would call it."""
    kind: type[httpx.TransportError] = getattr(httpx, type(fault).__name__, httpx.TransportError)
    return kind(str(fault))
