"""FaultyConnection: sends bytes on a connection, and closes or resets it, to cause a fault."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import define

from .raw_http import RawReply
from .wrong_replies import FaultSettings

# The size of an "endless" reply. A longer reply could use up the memory of a client that does not
# limit the size of replies.
_MAX_ENDLESS_BYTES = 1 << 30


async def _no_request() -> RawReply:
    raise EOFError("no request was read")


@define(eq=False)
class FaultyConnection:
    """
    One open connection from a client, with the operations that faults need.

    Attributes:
        reader: Reads what the client sends.
        writer: Writes to the client.
        settings: The delays and URLs that some faults use.
        close_port: Closes the server's port for some seconds.
        get_true_reply: Asks the emulator for its reply to the most recent request.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    settings: FaultSettings
    close_port: Callable[[float], None]
    get_true_reply: Callable[[], Awaitable[RawReply]] = _no_request

    async def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_endlessly(self, data: bytes) -> None:
        """Send these bytes repeatedly, until a gigabyte is sent or the client disconnects."""
        for _ in range(_MAX_ENDLESS_BYTES // len(data)):
            await self.send(data)
        self.close()

    def close(self) -> None:
        """Close the connection once all written bytes are sent."""
        self.writer.close()

    def reset(self) -> None:
        """Reset the connection (TCP RST), as a crashed server does."""
        raw_socket: socket.socket | None = self.writer.get_extra_info("socket")
        if raw_socket is not None:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def wait_for_disconnect(self) -> None:
        """Discard all data from the client until it disconnects."""
        while await self.reader.read(65_536):
            pass
        self.close()


FaultAction: TypeAlias = Callable[[FaultyConnection], Awaitable[None]]
