"""Deeds: what a server in trouble does to a connection. Each is one small function in a table."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeAlias

from attrs import define, field, frozen

from .wrong_replies import WRONG_REPLIES, FaultSettings, RawReply

# What never ends does end, so that a forgotten test fills no machine.
_MAX_BYTES = 1 << 30
_BLANK_CHUNK = b" " * 65_536
_EXTRA_REPLY = RawReply(
    headers=(("content-type", "application/json"),),
    body=json.dumps(
        {"status": "success", "id": 1, "output": ["https://elsewhere.invalid/wrong.png"]}
    ).encode(),
)


@frozen(kw_only=True)
class ReceivedRequest:
    """
    One request that was read to its end.

    Attributes:
        method: Its method.
        target: Its target, byte by byte as it came.
        headers: Its headers; names in lower case.
        body: Its body.
        at: When, by the event loop's clock.
        connection: On which connection, counted from 1.
    """

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: float
    connection: int


def encode_reply(reply: RawReply, *, length: int | None = None) -> bytes:
    """An answer as HTTP/1.1 writes it."""
    head = [_status_line(reply.status_code)]
    head += [f"{name}: {value}" for name, value in reply.headers]
    head.append(f"content-length: {len(reply.body) if length is None else length}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + reply.body


def _status_line(status_code: int) -> str:
    known = status_code in HTTPStatus.__members__.values()
    return f"HTTP/1.1 {status_code} {HTTPStatus(status_code).phrase if known else 'Unknown'}"


async def _no_request() -> RawReply:
    raise EOFError("no request was read")


@define(eq=False)
class FaultyConnection:
    """
    One turn of a connection: the means to answer, and to misbehave.

    Attributes:
        means: What some faults need to know.
        shut: Closes the port for some seconds.
        truth: Asks the emulator, once a request was read.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    settings: FaultSettings
    close_port: Callable[[float], None]
    get_true_reply: Callable[[], Awaitable[RawReply]] = _no_request

    async def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_endlessly(self, data: bytes) -> None:
        """Send the same bytes again and again, until the other side has had enough."""
        for _ in range(_MAX_BYTES // len(data)):
            await self.send(data)
        self.close()

    def close(self) -> None:
        """Say goodbye after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off, as a crashed server does."""
        raw_socket: socket.socket | None = self.writer.get_extra_info("socket")
        if raw_socket is not None:
            raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def wait_for_disconnect(self) -> None:
        """Do nothing until the other side goes away."""
        while await self.reader.read(65_536):
            pass
        self.close()


FaultAction: TypeAlias = Callable[[FaultyConnection], Awaitable[None]]


async def _refuse(connection: FaultyConnection) -> None:
    connection.close_port(connection.settings.delay)
    connection.reset()


async def _hang_up(connection: FaultyConnection) -> None:
    connection.close()


async def _reset(connection: FaultyConnection) -> None:
    connection.reset()


async def _hang(connection: FaultyConnection) -> None:
    await connection.wait_for_disconnect()


async def _slow(connection: FaultyConnection) -> None:
    await asyncio.sleep(connection.settings.delay)
    await connection.send(encode_reply(await connection.get_true_reply()))


async def _cut(connection: FaultyConnection) -> None:
    data = encode_reply(await connection.get_true_reply())
    await connection.send(data[:-5])
    connection.close()


async def _cut_reset(connection: FaultyConnection) -> None:
    data = encode_reply(await connection.get_true_reply())
    await connection.send(data[:-5])
    await asyncio.sleep(0)
    connection.reset()


async def _cut_head(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    connection.close()


async def _cut_chunk(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n{")
    connection.close()


async def _drip(connection: FaultyConnection) -> None:
    for byte in encode_reply(await connection.get_true_reply()):
        await connection.send(bytes((byte,)))
        await asyncio.sleep(connection.settings.delay)


async def _endless(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await connection.send_endlessly(b"%x\r\n%s\r\n" % (len(_BLANK_CHUNK), _BLANK_CHUNK))


async def _endless_drip(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not connection.writer.is_closing():
        await connection.send(b"1\r\n \r\n")
        await asyncio.sleep(connection.settings.delay)


async def _endless_head(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    await connection.send_endlessly(b"x-more: %s\r\n" % (b"y" * 1000))


async def _endless_line(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nx-more: ")
    await connection.send_endlessly(b"y" * 65_536)


async def _endless_interim(connection: FaultyConnection) -> None:
    await connection.send_endlessly(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000)


async def _blanks(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % _MAX_BYTES)
    await connection.send_endlessly(_BLANK_CHUNK)


async def _no_http(connection: FaultyConnection) -> None:
    await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    connection.close()


async def _bad_length(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}")
    connection.close()


async def _bad_chunk(connection: FaultyConnection) -> None:
    await connection.send(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    )
    connection.close()


async def _short_length(connection: FaultyConnection) -> None:
    reply = await connection.get_true_reply()
    await connection.send(encode_reply(reply, length=len(reply.body) // 2))


async def _no_length(connection: FaultyConnection) -> None:
    reply = await connection.get_true_reply()
    await connection.send(_status_line(reply.status_code).encode() + b"\r\n\r\n" + reply.body)
    connection.close()


async def _interim(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await connection.send(encode_reply(await connection.get_true_reply()))


async def _twice(connection: FaultyConnection) -> None:
    await connection.send(
        encode_reply(await connection.get_true_reply()) + encode_reply(_EXTRA_REPLY)
    )


async def _unasked(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    await asyncio.sleep(connection.settings.delay / 10)
    await connection.send(encode_reply(_EXTRA_REPLY))


async def _close_idle(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    connection.close()


async def _reset_idle(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    # The next request is on its way when the connection breaks.
    await connection.reader.read(1)
    connection.reset()


# What befalls a connection before a request was read.
CONNECTION_FAULTS: Mapping[str, tuple[str, FaultAction]] = MappingProxyType(
    {
        "refuse_connection": ("the port is closed for a while", _refuse),
        "close_before": ("a connection is closed before a request is read", _hang_up),
        "reset_before": ("a connection is reset before a request is read", _reset),
        "hang_before": ("a connection is taken, and nothing is ever read", _hang),
    }
)

# What befalls a request that was read.
REQUEST_FAULTS: Mapping[str, tuple[str, FaultAction]] = MappingProxyType(
    {
        "close_after": ("the connection is closed in place of an answer", _hang_up),
        "reset_after": ("the connection is reset in place of an answer", _reset),
        "hang": ("no answer ever comes", _hang),
        "slow": ("the answer comes late", _slow),
        "close_in_body": ("the connection is closed before the body has ended", _cut),
        "reset_in_body": ("the connection is reset before the body has ended", _cut_reset),
        "close_in_headers": ("the connection is closed within the headers", _cut_head),
        "close_in_chunk": ("the connection is closed within a chunk", _cut_chunk),
        "drip": ("the answer comes byte by byte", _drip),
        "endless": ("a body that never ends", _endless),
        "endless_drip": ("a body that never ends, byte by byte", _endless_drip),
        "endless_headers": ("headers that never end", _endless_head),
        "endless_header_value": ("one header that never ends", _endless_line),
        "endless_interim": ("interim replies that never end", _endless_interim),
        "huge_body": ("a gigabyte of blanks", _blanks),
        "not_http": ("an answer that is not HTTP", _no_http),
        "bad_content_length": ("a `Content-Length` that is no number", _bad_length),
        "bad_chunk_size": ("a chunk whose length is no number", _bad_chunk),
        "short_content_length": ("a `Content-Length` that is too small", _short_length),
        "no_content_length": ("an answer that ends with its connection", _no_length),
        "interim": ("an interim reply before the answer", _interim),
        "extra_reply": ("the answer, and at once another one that is wrong", _twice),
        "late_extra_reply": ("the answer, and later another one that is wrong", _unasked),
        "close_idle": ("a kept connection is closed after an answer", _close_idle),
        "reset_idle": ("a kept connection breaks when it is used again", _reset_idle),
    }
)


def fault_action(name: str) -> FaultAction:
    """The function that commits a fault."""
    for table in (CONNECTION_FAULTS, REQUEST_FAULTS):
        if name in table:
            return table[name][1]
    _, make = WRONG_REPLIES[name]

    async def reply(connection: FaultyConnection) -> None:
        await connection.send(encode_reply(make(connection.settings)))

    return reply
