"""The httpx transport of `Downloads`, which connects to public addresses only."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import httpcore
import httpx

from .http11.connection import Address, connect_socket, resolve_host
from .httpcore_guard import watch_connections
from .ip_ranges import NotPublic, is_public
from .testing_guard import refuse_if_mocked
from .tls_context import SSLContextLoader

# A connection that is idle for this many seconds is closed. Most servers keep idle connections for
# longer.
_KEEPALIVE_S = 15.0
_MAX_IDLE_CONNECTIONS = 32


class PublicOnlyTransport(httpx.AsyncBaseTransport):
    """
    An httpx transport that connects to public addresses only.

    For each connection, it resolves the host once, checks the addresses, and connects to a checked
    address. So a later DNS answer with another address (DNS rebinding) has no effect. The
    certificate is checked against the host name. No proxy is used, because a proxy would resolve
    the host itself. The caller limits the number of connections.

    Args:
        allow_private: Whether private addresses are allowed too.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._ssl_loader = SSLContextLoader()
        self._idle: list[httpcore.AsyncHTTPConnection] = []
        self._is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """
        Send one request. The caller reads and closes the response.

        Raises:
            NotPublic: The host has no public address.
            httpx.TransportError: No response came.
            OSError: No connection could be made.
            RequestBlocked: A test mocks httpx, and the mock cannot intercept the request.
        """
        refuse_if_mocked(instead="Downloads(http=httpx.AsyncClient())", uses_httpcore=True)
        core_request = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            extensions=watch_connections(request.extensions),
        )
        connection = await self._connection(core_request.url.origin)
        try:
            response = await connection.handle_async_request(core_request)
        except BaseException as fault:
            await connection.aclose()
            if isinstance(fault, _HTTPCORE_ERRORS):
                raise _to_httpx_error(fault) from fault
            raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseBody(response, connection, self),
        )

    async def aclose(self) -> None:
        """Close the idle connections. A connection in use is closed together with its response."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().aclose()

    async def release(self, connection: httpcore.AsyncHTTPConnection) -> None:
        """Keep a connection for the next request if it is idle and there is room, else close it."""
        if connection.is_idle() and not self._is_closed and len(self._idle) < _MAX_IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def _connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        # Search for expired connections again after each `aclose`, because other requests may
        # change the list meanwhile.
        while expired := next((each for each in self._idle if each.has_expired()), None):
            self._idle.remove(expired)
            await expired.aclose()
        for connection in self._idle:
            if connection.can_handle_request(origin):
                self._idle.remove(connection)
                return connection
        return await self._new_connection(origin)

    async def _new_connection(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        ssl_loader = self._ssl_loader if origin.scheme == b"https" else None
        backend = _CheckedBackend(ssl_loader, allow_private=self._allow_private)
        # httpcore never uses this TLS context, because `connect_tcp` sets up TLS itself. But
        # without a context, httpcore would load one, which takes time.
        context = await ssl_loader.context() if ssl_loader else None
        return httpcore.AsyncHTTPConnection(
            origin, ssl_context=context, keepalive_expiry=_KEEPALIVE_S, network_backend=backend
        )


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a response. Closing it gives the connection back to the transport."""

    def __init__(
        self,
        response: httpcore.Response,
        connection: httpcore.AsyncHTTPConnection,
        transport: PublicOnlyTransport,
    ) -> None:
        self._response = response
        self._connection = connection
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_stream():
                yield chunk
        except _HTTPCORE_ERRORS as fault:
            raise _to_httpx_error(fault) from fault

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        finally:
            # If this call of `aclose` was cancelled, httpcore has left the connection open.
            # `release` then closes it.
            await self._transport.release(self._connection)


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a host, checks its addresses, and connects to an allowed address."""

    def __init__(self, ssl_loader: SSLContextLoader | None, *, allow_private: bool) -> None:
        self._ssl_loader = ssl_loader
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 -- the caller has a deadline.
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        context = await self._ssl_loader.context() if self._ssl_loader else None
        sock = await connect_socket(await self._resolve_allowed(host, port))
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=host if context else None
        )
        return _Stream(reader, writer)

    async def _resolve_allowed(self, host: str, port: int) -> Sequence[Address]:
        try:
            found = await resolve_host(host, port)
        except UnicodeError:
            raise OSError(f"{host!r} is not a valid host name") from None
        allowed = [each for each in found if self._allow_private or is_public(each[4][0])]
        if not allowed:
            addresses = ", ".join(str(each[4][0]) for each in found)
            raise NotPublic(f"{host} has no public address, only {addresses}")
        return allowed


class _Stream(httpcore.AsyncNetworkStream):
    """An httpcore stream over an asyncio connection. For https, TLS is already set up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return await self._reader.read(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._writer.write(buffer)
        await self._writer.drain()

    async def aclose(self) -> None:
        # Abort the connection. A clean close could wait for a server that keeps sending.
        self._writer.transport.abort()
        await asyncio.sleep(0)

    async def start_tls(self, *_any: object, **_more: object) -> httpcore.AsyncNetworkStream:
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # httpcore asks for "is_readable" to learn whether the server has closed an idle
            # connection.
            return self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info(info)


_HTTPCORE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.ConnectionNotAvailable,
)


def _to_httpx_error(fault: Exception) -> httpx.TransportError:
    """Return the httpx error with the same name as this httpcore error."""
    kind: type[httpx.TransportError] = getattr(httpx, type(fault).__name__, httpx.TransportError)
    return kind(str(fault))
