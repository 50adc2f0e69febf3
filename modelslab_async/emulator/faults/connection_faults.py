"""Breaks connections and replies, with one function for each fault. The caller picks the fault."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from .faulty_connection import FaultAction, FaultyConnection
from .raw_http import encode_reply, status_line
from .wrong_replies import WRONG_REPLIES, WRONG_SUCCESS, json_reply

_HUGE_BODY_BYTES = 1 << 30
_BLANK_CHUNK = b" " * 65_536
_EXTRA_REPLY = encode_reply(json_reply(WRONG_SUCCESS))


async def _refuse_connection(connection: FaultyConnection) -> None:
    connection.close_port(connection.settings.delay)
    connection.reset()


async def _close(connection: FaultyConnection) -> None:
    connection.close()


async def _reset(connection: FaultyConnection) -> None:
    connection.reset()


async def _hang(connection: FaultyConnection) -> None:
    await connection.wait_for_disconnect()


async def _slow(connection: FaultyConnection) -> None:
    await asyncio.sleep(connection.settings.delay)
    await connection.send(encode_reply(await connection.get_true_reply()))


async def _close_in_body(connection: FaultyConnection) -> None:
    data = encode_reply(await connection.get_true_reply())
    await connection.send(data[:-5])
    connection.close()


async def _reset_in_body(connection: FaultyConnection) -> None:
    data = encode_reply(await connection.get_true_reply())
    await connection.send(data[:-5])
    await asyncio.sleep(0)
    connection.reset()


async def _close_in_headers(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    connection.close()


async def _close_in_chunk(connection: FaultyConnection) -> None:
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


async def _endless_headers(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    await connection.send_endlessly(b"x-more: %s\r\n" % (b"y" * 1000))


async def _endless_header_value(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\nx-more: ")
    await connection.send_endlessly(b"y" * 65_536)


async def _endless_interim(connection: FaultyConnection) -> None:
    await connection.send_endlessly(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000)


async def _huge_body(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % _HUGE_BODY_BYTES)
    await connection.send_endlessly(_BLANK_CHUNK)


async def _not_http(connection: FaultyConnection) -> None:
    await connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    connection.close()


async def _bad_content_length(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n{}")
    connection.close()


async def _bad_chunk_size(connection: FaultyConnection) -> None:
    await connection.send(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    )
    connection.close()


async def _short_content_length(connection: FaultyConnection) -> None:
    reply = await connection.get_true_reply()
    await connection.send(encode_reply(reply, length=len(reply.body) // 2))


async def _no_content_length(connection: FaultyConnection) -> None:
    reply = await connection.get_true_reply()
    await connection.send(status_line(reply.status_code).encode() + b"\r\n\r\n" + reply.body)
    connection.close()


async def _interim(connection: FaultyConnection) -> None:
    await connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    await connection.send(encode_reply(await connection.get_true_reply()))


async def _extra_reply(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()) + _EXTRA_REPLY)


async def _late_extra_reply(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    await asyncio.sleep(connection.settings.delay / 10)
    await connection.send(_EXTRA_REPLY)


async def _close_idle(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    connection.close()


async def _reset_idle(connection: FaultyConnection) -> None:
    await connection.send(encode_reply(await connection.get_true_reply()))
    # Wait until the client reuses this connection for another request, and only then reset it.
    await connection.reader.read(1)
    connection.reset()


CONNECTION_FAULTS: Mapping[str, tuple[str, FaultAction]] = MappingProxyType(
    {
        "refuse_connection": ("the port is closed for a while", _refuse_connection),
        "close_before": ("a connection is closed before a request is read", _close),
        "reset_before": ("a connection is reset before a request is read", _reset),
        "hang_before": ("a connection is accepted, and nothing is ever read", _hang),
    }
)
"""For each fault that happens before a request is read: its description and its function."""

REQUEST_FAULTS: Mapping[str, tuple[str, FaultAction]] = MappingProxyType(
    {
        "close_after": ("the connection is closed in place of a reply", _close),
        "reset_after": ("the connection is reset in place of a reply", _reset),
        "hang": ("no reply ever comes", _hang),
        "slow": ("the reply comes late", _slow),
        "close_in_body": ("the connection is closed before the body has ended", _close_in_body),
        "reset_in_body": ("the connection is reset before the body has ended", _reset_in_body),
        "close_in_headers": ("the connection is closed within the headers", _close_in_headers),
        "close_in_chunk": ("the connection is closed within a chunk", _close_in_chunk),
        "drip": ("the reply comes byte by byte", _drip),
        "endless": ("a body that never ends", _endless),
        "endless_drip": ("a body that never ends, byte by byte", _endless_drip),
        "endless_headers": ("headers that never end", _endless_headers),
        "endless_header_value": ("one header that never ends", _endless_header_value),
        "endless_interim": ("interim replies that never end", _endless_interim),
        "huge_body": ("a gigabyte of blanks", _huge_body),
        "not_http": ("a reply that is not HTTP", _not_http),
        "bad_content_length": ("a `Content-Length` that is not a number", _bad_content_length),
        "bad_chunk_size": ("a chunk whose length is not a number", _bad_chunk_size),
        "short_content_length": ("a `Content-Length` that is too small", _short_content_length),
        "no_content_length": ("a reply that ends when its connection closes", _no_content_length),
        "interim": ("an interim reply before the final one", _interim),
        "extra_reply": ("the reply, and at once a second one that is wrong", _extra_reply),
        "late_extra_reply": ("the reply, and later a second one that is wrong", _late_extra_reply),
        "close_idle": ("a kept-alive connection is closed after a reply", _close_idle),
        "reset_idle": ("a kept-alive connection is reset when it is used again", _reset_idle),
    }
)
"""For each fault that happens after a request is read: its description and its function."""


def fault_action(name: str) -> FaultAction:
    """Return the function that causes the fault with this name on a connection."""
    for table in (CONNECTION_FAULTS, REQUEST_FAULTS):
        if name in table:
            _, action = table[name]
            return action
    _, make = WRONG_REPLIES[name]

    async def reply(connection: FaultyConnection) -> None:
        await connection.send(encode_reply(make(connection.settings)))

    return reply
