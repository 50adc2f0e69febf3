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

from .wrong_answers import ANSWERS, Answer, Means

# What never ends does end, so that a forgotten test fills no machine.
_MOST = 1 << 30
_CHUNK = b" " * 65_536
_WRONG = Answer(
    headers=(("content-type", "application/json"),),
    body=json.dumps(
        {"status": "success", "id": 1, "output": ["https://elsewhere.invalid/wrong.png"]}
    ).encode(),
)


@frozen(kw_only=True)
class Received:
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
    at: float
    connection: int


def encoded(answer: Answer, *, length: int | None = None) -> bytes:
    """An answer as HTTP/1.1 writes it."""
    head = [_status_line(answer.status_code)]
    head += [f"{name}: {value}" for name, value in answer.headers]
    head.append(f"content-length: {len(answer.body) if length is None else length}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + answer.body


def _status_line(status_code: int) -> str:
    known = status_code in HTTPStatus.__members__.values()
    return f"HTTP/1.1 {status_code} {HTTPStatus(status_code).phrase if known else 'Unknown'}"


async def _no_request() -> Answer:
    raise EOFError("no request was read")


@define(eq=False)
class Exchange:
    """
    One turn of a connection: the means to answer, and to misbehave.

    Attributes:
        means: What some faults need to know.
        shut: Closes the port for some seconds.
        truth: Asks the emulator, once a request was read.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    means: Means
    shut: Callable[[float], None]
    truth: Callable[[], Awaitable[Answer]] = _no_request

    async def send(self, data: bytes) -> None:
        """Send some bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def endless(self, data: bytes) -> None:
        """Send the same bytes again and again, until the other side has had enough."""
        for _ in range(_MOST // len(data)):
            await self.send(data)
        self.close()

    def close(self) -> None:
        """Say goodbye after what was sent."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off, as a crashed server does."""
        found: socket.socket | None = self.writer.get_extra_info("socket")
        if found is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hold(self) -> None:
        """Do nothing until the other side goes away."""
        while await self.reader.read(65_536):
            pass
        self.close()


Deed: TypeAlias = Callable[[Exchange], Awaitable[None]]


async def _refuse(turn: Exchange) -> None:
    turn.shut(turn.means.every)
    turn.reset()


async def _hang_up(turn: Exchange) -> None:
    turn.close()


async def _reset(turn: Exchange) -> None:
    turn.reset()


async def _hang(turn: Exchange) -> None:
    await turn.hold()


async def _slow(turn: Exchange) -> None:
    await asyncio.sleep(turn.means.every)
    await turn.send(encoded(await turn.truth()))


async def _cut(turn: Exchange) -> None:
    data = encoded(await turn.truth())
    await turn.send(data[:-5])
    turn.close()


async def _cut_reset(turn: Exchange) -> None:
    data = encoded(await turn.truth())
    await turn.send(data[:-5])
    await asyncio.sleep(0)
    turn.reset()


async def _cut_head(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    turn.close()


async def _cut_chunk(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n{")
    turn.close()


async def _drip(turn: Exchange) -> None:
    for byte in encoded(await turn.truth()):
        await turn.send(bytes((byte,)))
        await asyncio.sleep(turn.means.every)


async def _endless(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    await turn.endless(b"%x\r\n%s\r\n" % (len(_CHUNK), _CHUNK))


async def _endless_drip(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not turn.writer.is_closing():
        await turn.send(b"1\r\n \r\n")
        await asyncio.sleep(turn.means.every)


async def _endless_head(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\n")
    await turn.endless(b"x-more: %s\r\n" % (b"y" * 1000))


async def _endless_line(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\nx-more: ")
    await turn.endless(b"y" * 65_536)


async def _endless_interim(turn: Exchange) -> None:
    await turn.endless(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000)


async def _blanks(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % _MOST)
    await turn.endless(_CHUNK)


async def _no_http(turn: Exchange) -> None:
    await turn.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    turn.close()


async def _bad_length(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}")
    turn.close()


async def _bad_chunk(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n")
    turn.close()


async def _short_length(turn: Exchange) -> None:
    answer = await turn.truth()
    await turn.send(encoded(answer, length=len(answer.body) // 2))


async def _no_length(turn: Exchange) -> None:
    answer = await turn.truth()
    await turn.send(_status_line(answer.status_code).encode() + b"\r\n\r\n" + answer.body)
    turn.close()


async def _interim(turn: Exchange) -> None:
    await turn.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await turn.send(encoded(await turn.truth()))


async def _twice(turn: Exchange) -> None:
    await turn.send(encoded(await turn.truth()) + encoded(_WRONG))


async def _unasked(turn: Exchange) -> None:
    await turn.send(encoded(await turn.truth()))
    await asyncio.sleep(turn.means.every / 10)
    await turn.send(encoded(_WRONG))


async def _close_idle(turn: Exchange) -> None:
    await turn.send(encoded(await turn.truth()))
    turn.close()


async def _reset_idle(turn: Exchange) -> None:
    await turn.send(encoded(await turn.truth()))
    # The next request is on its way when the connection breaks.
    await turn.reader.read(1)
    turn.reset()


# What befalls a connection before a request was read.
GREETINGS: Mapping[str, tuple[str, Deed]] = MappingProxyType(
    {
        "refuse": ("the port is closed for a while", _refuse),
        "hang_up": ("a connection is closed before a request is read", _hang_up),
        "reset_before": ("a connection is reset before a request is read", _reset),
        "hang_before": ("a connection is taken, and nothing is ever read", _hang),
    }
)

# What befalls a request that was read.
DEEDS: Mapping[str, tuple[str, Deed]] = MappingProxyType(
    {
        "close_after": ("the connection is closed in place of an answer", _hang_up),
        "reset_after": ("the connection is reset in place of an answer", _reset),
        "hang": ("no answer ever comes", _hang),
        "slow": ("the answer comes late", _slow),
        "cut": ("the connection is closed before the body has ended", _cut),
        "cut_reset": ("the connection is reset before the body has ended", _cut_reset),
        "cut_head": ("the connection is closed within the headers", _cut_head),
        "cut_chunk": ("the connection is closed within a chunk", _cut_chunk),
        "drip": ("the answer comes byte by byte", _drip),
        "endless": ("a body that never ends", _endless),
        "endless_drip": ("a body that never ends, byte by byte", _endless_drip),
        "endless_head": ("headers that never end", _endless_head),
        "endless_line": ("one header that never ends", _endless_line),
        "endless_interim": ("interim replies that never end", _endless_interim),
        "blanks": ("a gigabyte of blanks", _blanks),
        "no_http": ("an answer that is not HTTP", _no_http),
        "bad_length": ("a `Content-Length` that is no number", _bad_length),
        "bad_chunk": ("a chunk whose length is no number", _bad_chunk),
        "short_length": ("a `Content-Length` that is too small", _short_length),
        "no_length": ("an answer that ends with its connection", _no_length),
        "interim": ("an interim reply before the answer", _interim),
        "twice": ("the answer, and at once another one that is wrong", _twice),
        "unasked": ("the answer, and later another one that is wrong", _unasked),
        "close_idle": ("a kept connection is closed after an answer", _close_idle),
        "reset_idle": ("a kept connection breaks when it is used again", _reset_idle),
    }
)


def deed_of(name: str) -> Deed:
    """The function that commits a fault."""
    for table in (GREETINGS, DEEDS):
        if name in table:
            return table[name][1]
    _, make = ANSWERS[name]

    async def answer(turn: Exchange) -> None:
        await turn.send(encoded(make(turn.means)))

    return answer
