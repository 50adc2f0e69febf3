"""Serves an emulator with faults. Writes raw bytes, since HTTP libraries send only valid HTTP."""

import asyncio
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial

from attrs import Factory, define

from ..application import Emulator
from ..background_tasks import BackgroundTasks
from ..setting_validators import check_port
from .connection_faults import fault_action
from .fault_plan import Faults, FaultSequence
from .faulty_connection import FaultyConnection
from .raw_http import ReceivedRequest, encode_reply, read_request
from .upstream import Upstream

# The socket option that allows two sockets on one port. One socket only reserves the port. The
# other socket listens, and is closed during an outage. macOS needs SO_REUSEPORT.
_REUSE_OPTION = socket.SO_REUSEPORT if sys.platform == "darwin" else socket.SO_REUSEADDR


@define(eq=False)
class Traffic:
    """
    A record of the requests, connections and faults of a faulty server.

    Attributes:
        requests: The requests that were read completely.
        connection_count: How many connections were accepted.
        open_connection_count: How many connections are open now.
        injected: How often each fault happened, keyed by the name of the fault.
    """

    requests: list[ReceivedRequest] = Factory(list[ReceivedRequest])
    connection_count: int = 0
    open_connection_count: int = 0
    injected: Counter[str] = Factory(Counter[str])


@asynccontextmanager
async def run_faulty_server(
    upstream: Emulator | str,
    faults: Faults | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    traffic: Traffic | None = None,
    max_connections: int = 1000,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[str, None]:
    """
    Serve an emulator with faults while the block runs, and yield the base URL of its API.

    Args:
        upstream: The emulator, or the base URL of an emulator that is already served.
        faults: The faults to cause. With None, there are no faults.
        host: The address to listen on.
        port: The port, or 0 for any free port.
        traffic: Receives a record of all requests, connections and faults.
        max_connections: The maximum number of open connections. Any further connection is reset.
        ssl_context: The TLS context, with the certificate. With None, the server speaks plain HTTP.

    Raises:
        OSError: The address is in use, or does not belong to this machine.
        TypeError: The port is not a whole number.
        ValueError: The port is out of its range.

    Example:
        async with run_faulty_server(Emulator(), Faults(shares={"reset_after": 0.1})) as base_url:
            ...
    """
    check_port(port)
    server = _FaultyServer(
        upstream, faults or Faults(), traffic or Traffic(), max_connections, ssl_context
    )
    async with upstream.deliver_webhooks() if isinstance(upstream, Emulator) else nullcontext():
        try:
            await server.start(host, port)
            yield server.base_url
        finally:
            await server.aclose()


class _FaultyServer:
    """Listens on one port, and serves each connection in its own task."""

    def __init__(
        self,
        upstream: Emulator | str,
        faults: Faults,
        traffic: Traffic,
        max_connections: int,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self.base_url = ""
        self._upstream = Upstream(upstream)
        self._faults = faults
        self._fault_sequence = FaultSequence(faults)
        self._traffic = traffic
        self._max_connections = max_connections
        self._ssl_context = ssl_context
        self._tasks = BackgroundTasks()
        self._reserved_socket: socket.socket | None = None
        self._address: tuple[str, int] = ("", 0)
        self._listener: asyncio.Server | None = None
        self._is_closed = False
        self._reopen_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self, host: str, port: int) -> None:
        """
        Reserve the port, and open it unless the server starts with an outage.

        Raises:
            OSError: The address is in use, or does not belong to this machine.
        """
        self._reserved_socket = self._bind(host, port)
        host, port = self._address = self._reserved_socket.getsockname()[:2]
        scheme = "https" if self._ssl_context else "http"
        name = f"[{host}]" if ":" in host else host
        self.base_url = f"{scheme}://{name}:{port}{self._upstream.path}"
        if self._faults.outage:
            self._close_port_for(self._faults.outage)
        else:
            await self._open_port()

    async def aclose(self) -> None:
        """Close the port and end all connections."""
        self._is_closed = True
        self._close_port()
        await self._tasks.cancel()
        # A task may have opened the port again before it was cancelled, so close the port again.
        self._close_port()
        if self._reopen_timer is not None:
            self._reopen_timer.cancel()
        if self._reserved_socket is not None:
            self._reserved_socket.close()
        await self._upstream.aclose()
        # The event loop needs a few more iterations to close connections that it just accepted.
        for _ in range(4):
            await asyncio.sleep(0)

    def _bind(self, host: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _REUSE_OPTION, 1)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        return sock

    async def _open_port(self) -> None:
        listener_socket = self._bind(*self._address)
        # Store the listener before it starts to accept, so that `aclose` can close it even if this
        # task is cancelled.
        self._listener = await asyncio.start_server(
            self._accept,
            sock=listener_socket,
            backlog=2048,
            ssl=self._ssl_context,
            start_serving=False,
        )
        await self._listener.start_serving()

    def _close_port(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # asyncio leaks a connection that it accepts in the loop iteration in which the listener
        # closes. So stop accepting now, and close the listener in the next iteration.
        with suppress(NotImplementedError):
            for listener_socket in listener.sockets:
                self._loop.remove_reader(listener_socket)
        self._loop.call_soon(listener.close)

    def _close_port_for(self, seconds: float) -> None:
        """Close the port for some seconds. No other process can take the port meanwhile."""
        if self._reopen_timer is None:
            self._close_port()
            self._reopen_timer = self._loop.call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._reopen_timer = None
        self._tasks.start(self._open_port(), name="faulty emulator")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed:
            writer.transport.abort()
            return
        self._traffic.connection_count += 1
        serving = self._tasks.start(
            self._serve_connection(reader, writer, self._traffic.connection_count),
            name="faulty emulator",
        )
        # Close the connection in a callback. A task that is cancelled before it starts does not run
        # its `finally` block.
        serving.add_done_callback(lambda _: writer.transport.abort())

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._traffic.open_connection_count += 1
        try:
            # Send no reply after these errors: the client has disconnected, or has sent bytes that
            # are not HTTP.
            with suppress(OSError, EOFError, ValueError):
                await self._answer_requests(reader, writer, number)
            writer.transport.abort()
            # Without `wait_closed`, asyncio would log an error of the connection later.
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            self._traffic.open_connection_count -= 1

    async def _answer_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        connection = FaultyConnection(reader, writer, self._faults, close_port=self._close_port_for)
        if self._traffic.open_connection_count > self._max_connections:
            connection.reset()
            return
        await self._inject(self._fault_sequence.next_connection_fault(), connection)
        while not writer.is_closing():
            request = await read_request(reader, clock=self._loop.time, connection=number)
            self._traffic.requests.append(request)
            connection.get_true_reply = partial(self._upstream.forward, request)
            name = self._fault_sequence.next_request_fault()
            if name is None:
                await connection.send(encode_reply(await connection.get_true_reply()))
            await self._inject(name, connection)
        # Wait until all written bytes are sent, because the caller then aborts the connection.
        await writer.wait_closed()

    async def _inject(self, name: str | None, connection: FaultyConnection) -> None:
        if name is not None:
            self._traffic.injected[name] += 1
            await fault_action(name)(connection)
