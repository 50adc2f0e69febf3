"""Origin: the connections to one host and port. It keeps few, reuses them, and retries nothing."""

import asyncio
from contextvars import Context

import anyio

from ..._models.errors import ModelsLabError, TransportError
from ..base import Request, Response
from ..network_errors import connect_error
from ..send_proof import mark_unsent
from ..urls import host_header
from .codec import CodecFactory
from .connect import SSLContextLoader, open_connection
from .connection import Connection

# Longer than most steps between two looks, so that they share a connection and its handshake;
# shorter than the 60 s and more after which proxies and load balancers close or forget one.
KEEPALIVE_S = 30.0
_CLIENT_CLOSED = "the client was closed"
_CLOSE_TIMEOUT_S = 0.5
# Shorter than the deadline of a call, so that a silent host is told apart from a lost request.
_CONNECT_TIMEOUT_S = 10.0


class OriginPool:
    """
    At most `connections` of them, each with one exchange at a time; who comes later waits in turn.

    The one used last is used next, so that those a quieter time does not need grow old and close.
    """

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int,
        *,
        ssl_loader: SSLContextLoader,
        connections: int,
        make_codec: CodecFactory,
    ) -> None:
        self._host = host
        self._port = port
        self._host_header = host_header(scheme, host, port)
        self._make_codec = make_codec
        self._ssl_loader = ssl_loader if scheme == "https" else None
        # A place is held from before an exchange until after it. Nobody connects while one is
        # idle, so that the places bound the connections too.
        self._connection_limit = asyncio.Semaphore(connections)
        self._idle: dict[Connection, float] = {}
        self._open_connections: set[Connection] = set()
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._all_closed = asyncio.Event()

    async def exchange(self, request: Request) -> Response:
        """See `Transport.exchange`."""
        may_have_left = False
        try:
            async with self._connection_limit:
                connection = (
                    None if request.needs_new_connection else self._take_idle()
                ) or await self._connect()
                may_have_left = True
                try:
                    response = await connection.exchange(request, self._host_header)
                except BaseException:
                    connection.abort()
                    raise
                self._release(connection)
                return response
        except asyncio.CancelledError as cancelled:
            if not may_have_left:
                mark_unsent(cancelled)
            raise

    async def aclose(self) -> None:
        """Close all connections, also those in use, and see them closed."""
        self._closed = True
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        for connection in list(self._open_connections):
            connection.abort(_CLIENT_CLOSED)
        # Not for ever: whether an end is reported is up to the event loop.
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
            # uvloop never reports the end of a connection whose making was cancelled.
            asyncio.get_running_loop().call_soon(self._forget, connection)
            raise
        if error is None:
            return connection
        connection.abort()
        raise error

    async def _try_connect(self, connection: Connection) -> ModelsLabError | None:
        """Connect, or say why not."""
        if not self._closed:
            connecting = open_connection(
                self._host, self._port, self._ssl_loader, lambda: connection
            )
            # In a context of its own: a connection outlives the call that happened to need it.
            task = asyncio.get_running_loop().create_task(connecting, context=Context())
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                    await task
            except TimeoutError:
                return TransportError(
                    f"no connection within {_CONNECT_TIMEOUT_S:g} s", may_have_been_sent=False
                )
            except (OSError, UnicodeError) as fault:
                return connect_error(fault)
        return TransportError(_CLIENT_CLOSED, may_have_been_sent=False) if self._closed else None

    def _forget(self, connection: Connection) -> None:
        self._open_connections.discard(connection)
        self._idle.pop(connection, None)
        if self._closed and not self._open_connections:
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
