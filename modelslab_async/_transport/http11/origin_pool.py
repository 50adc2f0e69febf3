"""Origin: the connections to one host and port. It keeps few, reuses them, and retries nothing."""

import asyncio
from contextvars import Context

import anyio

from ..._models.errors import ModelsLabError, TransportError
from ..base import Request, Response
from ..httpx_adapter import unreachable
from ..unsent import held_back
from ..urls import host_header
from .codec import MakeMessages
from .connect import Trust, dial
from .connection import Connection

# Longer than most steps between two looks, so that they share a connection and its handshake;
# shorter than the 60 s and more after which proxies and load balancers close or forget one.
KEPT = 30.0
_CLOSED = "the client was closed"
_LONGEST_CLOSE = 0.5
# Shorter than the deadline of a call, so that a silent host is told apart from a lost request.
_LONGEST_DIAL = 10.0


class Origin:
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
        trust: Trust,
        connections: int,
        messages: MakeMessages,
    ) -> None:
        self._host = host
        self._port = port
        self._host_header = host_header(scheme, host, port)
        self._messages = messages
        self._trust = trust if scheme == "https" else None
        # A place is held from before an exchange until after it. Nobody connects while one is
        # idle, so that the places bound the connections too.
        self._places = asyncio.Semaphore(connections)
        self._idle: dict[Connection, float] = {}
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied = asyncio.Event()

    async def exchange(self, request: Request) -> Response:
        """See `HTTP.exchange`."""
        leaves = False
        try:
            async with self._places:
                connection = (None if request.fresh else self._rested()) or await self._connected()
                leaves = True
                try:
                    response = await connection.exchange(request, self._host_header)
                except BaseException:
                    connection.abort()
                    raise
                self._rest(connection)
                return response
        except asyncio.CancelledError as cancelled:
            if not leaves:
                held_back(cancelled)
            raise

    async def aclose(self) -> None:
        """Close all connections, also those in use, and see them closed."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
            connection.abort(_CLOSED)
        # Not for ever: whether an end is reported is up to the event loop.
        with anyio.move_on_after(_LONGEST_CLOSE):
            while self._open:
                await self._emptied.wait()

    def _rested(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - KEPT
        while self._idle:
            connection, since = self._idle.popitem()
            if since > oldest and connection.is_at_rest():
                return connection
            connection.abort()
        return None

    def _rest(self, connection: Connection) -> None:
        if not connection.is_closing:
            self._idle[connection] = asyncio.get_running_loop().time()
            self._arm()
        else:
            connection.abort()

    async def _connected(self) -> Connection:
        connection = Connection(self._messages, made=self._open.add, lost=self._forget)
        try:
            error = await self._dialed(connection)
        except BaseException:
            connection.abort()
            # uvloop never reports the end of a connection whose making was cancelled.
            asyncio.get_running_loop().call_soon(self._forget, connection)
            raise
        if error is None:
            return connection
        connection.abort()
        raise error

    async def _dialed(self, connection: Connection) -> ModelsLabError | None:
        """Connect, or say why not."""
        if not self._closed:
            dialing = dial(self._host, self._port, self._trust, lambda: connection)
            # In a context of its own: a connection outlives the call that happened to need it.
            task = asyncio.get_running_loop().create_task(dialing, context=Context())
            try:
                async with asyncio.timeout(_LONGEST_DIAL):
                    await task
            except TimeoutError:
                return TransportError(
                    f"no connection within {_LONGEST_DIAL:g} s", may_have_left=False
                )
            except (OSError, UnicodeError) as fault:
                return unreachable(fault)
        return TransportError(_CLOSED, may_have_left=False) if self._closed else None

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._idle.pop(connection, None)
        if self._closed and not self._open:
            self._emptied.set()

    def _arm(self) -> None:
        if self._sweep is None and self._idle:
            due = next(iter(self._idle.values())) + KEPT
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_at(due, self._close_old, context=Context())

    def _close_old(self) -> None:
        self._sweep = None
        oldest = asyncio.get_running_loop().time() - KEPT
        old = [connection for connection, since in self._idle.items() if since <= oldest]
        for connection in old:
            del self._idle[connection]
            connection.abort()
        self._arm()
