"""Serving faults: a raw socket before the emulator, where HTTP servers are too polite."""

import asyncio
import socket
import ssl
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from attrs import Factory, define

from ..app import Emulator
from .connection_faults import FaultyConnection, ReceivedRequest, encode_reply, fault_action
from .fault_plan import Faults, FaultSequence
from .upstream import Upstream, read_request

# On macOS a port can be held by one socket and served by another only with this option.
_REUSE_OPTION = socket.SO_REUSEPORT if sys.platform == "darwin" else socket.SO_REUSEADDR


@define(eq=False)
class Traffic:
    """
    What a faulty server has seen and done.

    Attributes:
        requests: The requests that were read to their end.
        connections: How many connections were taken.
        open: How many of them are open.
        committed: How often each fault was committed.
    """

    requests: list[ReceivedRequest] = Factory(list[ReceivedRequest])
    connections: int = 0
    open_connections: int = 0
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
    Serve an emulator badly while the block runs, and give the base URL of its API.

    Args:
        upstream: The emulator, or the base URL of a served one.
        faults: The faults to commit; None commits none.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        traffic: Where to write down what is received and done.
        most: How many connections are held at once; further ones are reset.
        tls: The certificate to serve with; None serves plain http.

    Raises:
        OSError: The address is taken or not ours.

    Example:
        async with faulty(Emulator(), Faults(shares={"reset_after": 0.1})) as base_url:
            ...
    """
    server = _Server(
        upstream, faults or Faults(), traffic or Traffic(), max_connections, ssl_context
    )
    async with upstream.deliver_webhooks() if isinstance(upstream, Emulator) else nullcontext():
        try:
            await server.start(host, port)
            yield server.base_url
        finally:
            await server.aclose()


class _Server:
    """One listening port and all its connections, each a task that ends with the server."""

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
        self._tasks: set[asyncio.Task[None]] = set()
        self._reserved_socket: socket.socket | None = None
        self._address: tuple[str, int] = ("", 0)
        self._listener: asyncio.Server | None = None
        self._closed = False
        self._reopen_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self, host: str, port: int) -> None:
        """
        Take the port, and open it unless there is an outage first.

        Raises:
            OSError: The address is taken or not ours.
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
        self._closed = True
        self._close_port()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        self._close_port()
        if self._reopen_timer is not None:
            self._reopen_timer.cancel()
        if self._reserved_socket is not None:
            self._reserved_socket.close()
        await self._upstream.aclose()
        # The event loop hands over what it accepted, and closes it, in turns of its own.
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
        listening = self._bind(*self._address)
        # In two steps, so that whoever is cancelled in between leaves no socket behind.
        self._listener = await asyncio.start_server(
            self._accept, sock=listening, backlog=2048, ssl=self._ssl_context, start_serving=False
        )
        await self._listener.start_serving()

    def _close_port(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # asyncio drops a connection, unclosed, that it accepted in the turn that ends a listener:
        # so this turn ends the accepting, and the next one the listener.
        with suppress(NotImplementedError):
            for listening in listener.sockets:
                self._loop.remove_reader(listening)
        self._loop.call_soon(listener.close)

    def _close_port_for(self, seconds: float) -> None:
        """Close the port for some seconds; the socket that holds it never listens."""
        if self._reopen_timer is None:
            self._close_port()
            self._reopen_timer = self._loop.call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._reopen_timer = None
        self._start_task(self._open_port())

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        self._traffic.connections += 1
        serving = self._start_task(
            self._serve_connection(reader, writer, self._traffic.connections)
        )
        # Not in the task itself, which may be cancelled before its first step.
        serving.add_done_callback(lambda _: writer.transport.abort())

    def _start_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine, name="faulty emulator")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._traffic.open_connections += 1
        try:
            # The other side goes away, or speaks no HTTP: nobody is left to be told.
            with suppress(OSError, EOFError, ValueError):
                await self._answer_requests(reader, writer, number)
            writer.transport.abort()
            # How a broken connection ended is asked for here, or asyncio complains, at any time
            # later, that nobody did.
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            self._traffic.open_connections -= 1

    async def _answer_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        connection = FaultyConnection(
            reader, writer, self._faults.settings, close_port=self._close_port_for
        )
        if self._traffic.open_connections > self._max_connections:
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
        # What was sent before a polite end is to arrive.
        await writer.wait_closed()

    async def _inject(self, name: str | None, connection: FaultyConnection) -> None:
        if name is not None:
            self._traffic.injected[name] += 1
            await fault_action(name)(connection)
