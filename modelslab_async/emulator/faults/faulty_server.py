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
from .connection_faults import Exchange, Received, deed_of, encoded
from .fault_plan import Deck, Faults
from .upstream import Upstream, read_request

# On macOS a port can be held by one socket and served by another only with this option.
_SHARED = socket.SO_REUSEPORT if sys.platform == "darwin" else socket.SO_REUSEADDR


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

    requests: list[Received] = Factory(list[Received])
    connections: int = 0
    open: int = 0
    committed: Counter[str] = Factory(Counter[str])


@asynccontextmanager
async def faulty(
    upstream: Emulator | str,
    faults: Faults | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    traffic: Traffic | None = None,
    most: int = 1000,
    tls: ssl.SSLContext | None = None,
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
    server = _Server(upstream, faults or Faults(), traffic or Traffic(), most, tls)
    async with upstream.delivering() if isinstance(upstream, Emulator) else nullcontext():
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
        most: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.base_url = ""
        self._upstream = Upstream(upstream)
        self._faults = faults
        self._deck = Deck(faults)
        self._traffic = traffic
        self._most = most
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._holder: socket.socket | None = None
        self._place: tuple[str, int] = ("", 0)
        self._listener: asyncio.Server | None = None
        self._closed = False
        self._reopening: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self, host: str, port: int) -> None:
        """
        Take the port, and open it unless there is an outage first.

        Raises:
            OSError: The address is taken or not ours.
        """
        self._holder = self._bound(host, port)
        host, port = self._place = self._holder.getsockname()[:2]
        scheme = "https" if self._tls else "http"
        name = f"[{host}]" if ":" in host else host
        self.base_url = f"{scheme}://{name}:{port}{self._upstream.path}"
        if self._faults.outage:
            self._shut(self._faults.outage)
        else:
            await self._open()

    async def aclose(self) -> None:
        """Close the port and end all connections."""
        self._closed = True
        self._close()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        self._close()
        if self._reopening is not None:
            self._reopening.cancel()
        if self._holder is not None:
            self._holder.close()
        await self._upstream.aclose()
        # The event loop hands over what it accepted, and closes it, in turns of its own.
        for _ in range(4):
            await asyncio.sleep(0)

    def _bound(self, host: str, port: int) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            bound.setsockopt(socket.SOL_SOCKET, _SHARED, 1)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _open(self) -> None:
        listening = self._bound(*self._place)
        # In two steps, so that whoever is cancelled in between leaves no socket behind.
        self._listener = await asyncio.start_server(
            self._taken, sock=listening, backlog=2048, ssl=self._tls, start_serving=False
        )
        await self._listener.start_serving()

    def _close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # asyncio drops a connection, unclosed, that it accepted in the turn that ends a listener:
        # so this turn ends the accepting, and the next one the listener.
        with suppress(NotImplementedError):
            for listening in listener.sockets:
                self._loop.remove_reader(listening)
        self._loop.call_soon(listener.close)

    def _shut(self, seconds: float) -> None:
        """Close the port for some seconds; the socket that holds it never listens."""
        if self._reopening is None:
            self._close()
            self._reopening = self._loop.call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        self._start(self._open())

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.transport.abort()
            return
        self._traffic.connections += 1
        serving = self._start(self._serve(reader, writer, self._traffic.connections))
        # Not in the task itself, which may be cancelled before its first step.
        serving.add_done_callback(lambda _: writer.transport.abort())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="faulty emulator")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._traffic.open += 1
        try:
            # The other side goes away, or speaks no HTTP: nobody is left to be told.
            with suppress(OSError, EOFError, ValueError):
                await self._converse(reader, writer, number)
            writer.transport.abort()
            # How a broken connection ended is asked for here, or asyncio complains, at any time
            # later, that nobody did.
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            self._traffic.open -= 1

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        turn = Exchange(reader, writer, self._faults.means, shut=self._shut)
        if self._traffic.open > self._most:
            turn.reset()
            return
        await self._commit(self._deck.greeting(), turn)
        while not writer.is_closing():
            request = await read_request(reader, clock=self._loop.time, connection=number)
            self._traffic.requests.append(request)
            turn.truth = partial(self._upstream.ask, request)
            name = self._deck.deed()
            if name is None:
                await turn.send(encoded(await turn.truth()))
            await self._commit(name, turn)
        # What was sent before a polite end is to arrive.
        await writer.wait_closed()

    async def _commit(self, name: str | None, turn: Exchange) -> None:
        if name is not None:
            self._traffic.committed[name] += 1
            await deed_of(name)(turn)
