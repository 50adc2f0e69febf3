"""CutProxy: a connection to a server that a test can cut and restore, without namespaces."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from attrs import Factory, define

Opener: TypeAlias = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_CHUNK = 1 << 16


@define
class CutProxy:
    """
    Forwards connections of one host to one server.

    Args:
        open_server: Opens a connection to the server.

    Attributes:
        port: The port on this machine that hosts connect to.
    """

    open_server: Opener
    port: int = 0
    _is_whole: asyncio.Event = Factory(asyncio.Event)
    _refuses: bool = False
    _writers: set[asyncio.StreamWriter] = Factory(set)
    _tasks: set[asyncio.Task[None]] = Factory(set)

    @classmethod
    @asynccontextmanager
    async def running(cls, open_server: Opener) -> AsyncGenerator["CutProxy", None]:
        """Forward while the block runs."""
        proxy = cls(open_server)
        proxy._is_whole.set()
        server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
        try:
            proxy.port = server.sockets[0].getsockname()[1]
            yield proxy
        finally:
            server.close()
            proxy._reset_all()
            for task in proxy._tasks:
                task.cancel()
            await asyncio.gather(*proxy._tasks, return_exceptions=True)

    def hold(self) -> None:
        """Stop all bytes. They come later, and so do those of new connections."""
        self._is_whole.clear()

    def reset(self) -> None:
        """Reset all connections, and each new one."""
        self._refuses = True
        self.silence()

    def silence(self) -> None:
        """Reset all connections, and accept new ones without a byte in either direction."""
        self._is_whole.clear()
        self._reset_all()

    def mend(self) -> None:
        """Forward again, and deliver what was held back."""
        self._refuses = False
        self._is_whole.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._refuses:
                return
            # Both ends may end the connection in any way.
            with suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            self._reset(writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._is_whole.wait()
        from_server, to_server = await self.open_server()
        self._writers.add(to_server)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, to_server))
                group.create_task(self._pump(from_server, writer))
        except* OSError:
            pass
        finally:
            self._reset(to_server)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._is_whole.wait()
            if (error := reader.exception()) is not None:
                # A kernel discards what it has not sent on a connection that it resets.
                raise error
            writer.write(chunk)
            await writer.drain()
        await self._is_whole.wait()
        # One end is done, so the other one may be as well.
        raise ConnectionResetError

    def _reset_all(self) -> None:
        for writer in [*self._writers]:
            self._reset(writer)

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        if not writer.transport.is_closing():
            end = writer.get_extra_info("socket")
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
