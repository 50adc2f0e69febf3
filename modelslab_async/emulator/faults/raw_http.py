"""Parses HTTP/1.1 requests from bytes, and encodes replies as bytes."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus

from attrs import field, frozen

_MAX_BODY_BYTES = 1 << 20


@frozen(kw_only=True)
class ReceivedRequest:
    """
    One request that was read completely.

    Attributes:
        method: The HTTP method.
        target: The request target, exactly as the client sent it.
        headers: The headers, with names in lower case.
        body: The bytes of the body.
        received_at: The time at which the whole request had been read, on the event loop's clock.
        connection: The number of the connection that carried the request, counted from 1.
    """

    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: float
    connection: int


@frozen(kw_only=True)
class RawReply:
    """One complete HTTP reply: status code, headers and body."""

    status_code: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


async def read_request(
    reader: asyncio.StreamReader, *, clock: Callable[[], float], connection: int
) -> ReceivedRequest:
    """
    Read one HTTP/1.1 request that has a `Content-Length` or no body.

    Raises:
        EOFError: The connection ended before the request did.
        ValueError: The request is not valid HTTP, is too long, or has a chunked body.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the headers are too long") from None
    request_line, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, _version = request_line.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _MAX_BODY_BYTES or "transfer-encoding" in headers:
        raise ValueError("the body is too long, or of unknown length")
    return ReceivedRequest(
        method=method,
        target=target,
        headers=headers,
        body=await reader.readexactly(length),
        received_at=clock(),
        connection=connection,
    )


def encode_reply(reply: RawReply, *, length: int | None = None) -> bytes:
    """Encode a reply. If `length` is given, it replaces the true `Content-Length`."""
    head = [status_line(reply.status_code)]
    head += [f"{name}: {value}" for name, value in reply.headers]
    head.append(f"content-length: {len(reply.body) if length is None else length}")
    return "\r\n".join((*head, "", "")).encode("latin-1") + reply.body


def status_line(status_code: int) -> str:
    """Return the status line of a reply, such as `HTTP/1.1 200 OK`, without a line ending."""
    known = status_code in HTTPStatus.__members__.values()
    return f"HTTP/1.1 {status_code} {HTTPStatus(status_code).phrase if known else 'Unknown'}"
