"""HTTP11Transport: sends each request over a pooled connection to its origin."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial

import anyio

from ..._models.errors import ModelsLabError, TransportError
from ..environment_proxy import usable_environment_proxy
from ..network_error_translation import connect_error
from ..proxy import Proxy
from ..send_proof import mark_unsent
from ..testing_guard import OUTBOUND_GUARD, refuse_if_mocked
from ..transport_protocol import Request, Response, host_header, origin_of, split_origin
from .codec import Codec, CodecFactory
from .connection import Connection, Dialer
from .default_codec import DefaultCodec
from .send_through_proxy import Connect, Route, http_proxy_route, socks_route

# An idle connection is closed after this many seconds. This is longer than most intervals between
# two polls, so that polls reuse connections. It is shorter than the idle timeout of most proxies
# and load balancers, which is 60 s or more.
KEEPALIVE_S = 30.0
_CLIENT_CLOSED = "the client was closed"
_CLOSE_TIMEOUT_S = 0.5
# The maximum time to connect. It is shorter than the usual timeout of a call, so that the error
# distinguishes a host that cannot be reached from a host that does not respond.
_CONNECT_TIMEOUT_S = 10.0


class HTTP11Transport:
    """
    Sends requests over HTTP/1.1. Each origin (scheme, host and port) has a pool of connections.

    With an HTTP proxy, the connections go through the proxy. With a SOCKS proxy, httpx sends the
    requests instead.

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
        self._routes: dict[tuple[str, str], Route] = {}
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

    async def _open_route(self, url: str) -> Route:
        scheme, host, port = split_origin(url)
        proxy = self._proxy or usable_environment_proxy(scheme, host)
        dialer = self._dialer
        route: Route
        if proxy is None:
            route = self._pool(url, partial(dialer.open, scheme=scheme, host=host, port=port))
        elif proxy.is_socks:
            route = await socks_route(proxy, scheme, dialer=dialer, connections=self._connections)
        else:
            route = http_proxy_route(
                proxy, url, dialer=dialer, make_codec=self._make_codec, make_pool=self._pool
            )
        if self._is_closed:
            raise TransportError(_CLIENT_CLOSED, may_have_been_sent=False)
        # If another request has opened a route to the same origin meanwhile, use that route.
        return self._routes.setdefault(origin_of(url), route)

    def _pool(
        self,
        url: str,
        connect: Connect,
        *,
        make_codec: Callable[[], Codec] | None = None,
        may_keep: Callable[[Response], bool] | None = None,
    ) -> Route:
        return OriginPool(
            host_header(*split_origin(url)),
            connect,
            connections=self._connections,
            make_codec=make_codec or self._make_codec,
            may_keep=may_keep,
        )


class OriginPool:
    """
    A pool of at most `connections` connections, each with one exchange at a time.

    While all connections are in use, requests wait in the order in which they came. A request takes
    the most recently used idle connection, so that the other connections can expire.

    Args:
        host_header: The value of the `Host` header.
        connect: Opens a connection for a given asyncio protocol, to the origin or to its proxy.
        connections: The maximum number of connections.
        make_codec: Makes the codec of each connection.
        may_keep: Returns whether the connection can be used again after a response; None if only
            the codec decides this.
    """

    def __init__(
        self,
        host_header: str,
        connect: Connect,
        *,
        connections: int,
        make_codec: Callable[[], Codec],
        may_keep: Callable[[Response], bool] | None = None,
    ) -> None:
        self._host_header = host_header
        self._connect_protocol = connect
        self._make_codec = make_codec
        self._may_keep = may_keep
        # Each exchange acquires this semaphore before it opens a connection, and releases it when
        # the response is complete.
        self._connection_limit = asyncio.Semaphore(connections)
        self._idle: dict[Connection, float] = {}
        self._open_connections: set[Connection] = set()
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._all_closed = asyncio.Event()

    async def exchange(self, request: Request) -> Response:
        """Send one request and read its response."""
        if request.connect_timeout is None:
            return await self._exchange(request)
        timeout = asyncio.timeout(request.connect_timeout)
        try:
            async with timeout:
                return await self._exchange(request, timeout)
        except TimeoutError:
            if not timeout.expired():
                raise
        raise _no_connection(request.connect_timeout)

    async def _exchange(
        self, request: Request, connect_timeout: asyncio.Timeout | None = None
    ) -> Response:
        """Send a request. The connect timeout no longer applies once there is a connection."""
        may_have_left = False
        try:
            # Do not use `async with`, because it would add two coroutines to each exchange.
            await self._connection_limit.acquire()
            try:
                connection = (
                    None if request.needs_new_connection else self._take_idle()
                ) or await self._connect()
                if connect_timeout is not None:
                    connect_timeout.reschedule(None)
                may_have_left = True
                try:
                    request.check_sendable()
                    response = await connection.exchange(request, self._host_header)
                except BaseException:
                    may_have_left = connection.may_have_sent
                    connection.abort()
                    raise
                if self._may_keep is not None and not self._may_keep(response):
                    connection.abort()
                self._release(connection)
                return response
            finally:
                self._connection_limit.release()
        except asyncio.CancelledError as cancelled:
            if not may_have_left:
                mark_unsent(cancelled)
            raise

    async def aclose(self) -> None:
        """Close all connections, even those in use, and wait until they are closed."""
        self._is_closed = True
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        for connection in list(self._open_connections):
            connection.abort(_CLIENT_CLOSED)
        # Limit this wait, because some event loops do not always call `connection_lost`.
        with anyio.move_on_after(_CLOSE_TIMEOUT_S):
            while self._open_connections:
                await self._all_closed.wait()

    def _take_idle(self) -> Connection | None:
        cutoff = asyncio.get_running_loop().time() - KEEPALIVE_S
        while self._idle:
            connection, idle_since = self._idle.popitem()
            if idle_since > cutoff and connection.is_reusable():
                return connection
            connection.abort()
        return None

    def _release(self, connection: Connection) -> None:
        if not connection.is_closing:
            self._idle[connection] = asyncio.get_running_loop().time()
            self._arm_expiry_timer()
        else:
            connection.abort()

    async def _connect(self) -> Connection:
        connection = Connection(
            self._make_codec, on_connected=self._open_connections.add, on_closed=self._forget
        )
        try:
            error = await self._try_connect(connection)
        except BaseException:
            connection.abort()
            # uvloop never calls `connection_lost` if connecting was cancelled, so call `_forget`
            # here.
            asyncio.get_running_loop().call_soon(self._forget, connection)
            raise
        if error is None:
            return connection
        connection.abort()
        raise error

    async def _try_connect(self, connection: Connection) -> ModelsLabError | None:
        """Open the connection. Return the error if it cannot be opened, else None."""
        if not self._is_closed:
            # Use an empty context, so that the connection does not keep the caller's context
            # variables in memory.
            task = asyncio.get_running_loop().create_task(
                self._connect_protocol(connection), context=Context()
            )
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await task
            except TimeoutError:
                return _no_connection(_CONNECT_TIMEOUT_S)
            except (OSError, UnicodeError) as fault:
                return connect_error(fault)
            except ModelsLabError as error:
                return error
        return TransportError(_CLIENT_CLOSED, may_have_been_sent=False) if self._is_closed else None

    def _forget(self, connection: Connection) -> None:
        self._open_connections.discard(connection)
        self._idle.pop(connection, None)
        if self._is_closed and not self._open_connections:
            self._all_closed.set()

    def _arm_expiry_timer(self) -> None:
        if self._expiry_timer is None and self._idle:
            due = next(iter(self._idle.values())) + KEEPALIVE_S
            loop = asyncio.get_running_loop()
            self._expiry_timer = loop.call_at(due, self._close_expired, context=Context())

    def _close_expired(self) -> None:
        self._expiry_timer = None
        cutoff = asyncio.get_running_loop().time() - KEEPALIVE_S
        expired = [
            connection for connection, idle_since in self._idle.items() if idle_since <= cutoff
        ]
        for connection in expired:
            del self._idle[connection]
            connection.abort()
        self._arm_expiry_timer()


def _no_connection(seconds: float) -> TransportError:
    return TransportError(f"no connection within {seconds:.3g} s", may_have_been_sent=False)
