"""Upstream: reads a request off a raw connection, and asks the emulator for the true answer."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from ..app import Emulator
from .connection_faults import ReceivedRequest
from .wrong_replies import RawReply

_MAX_BODY_BYTES = 1 << 20
# These speak of one connection, not of the request or the reply.
_HOP_BY_HOP = frozenset((b"connection", b"content-length", b"keep-alive", b"transfer-encoding"))


async def read_request(
    reader: asyncio.StreamReader, *, clock: Callable[[], float], connection: int
) -> ReceivedRequest:
    """
    Read one HTTP/1.1 request with a length, or without a body.

    Raises:
        EOFError: The connection ended first.
        ValueError: That is no request, or one that is too long.
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


class Upstream:
    """The emulator, in process or at its URL."""

    def __init__(self, upstream: Emulator | str) -> None:
        self._transport: httpx.AsyncBaseTransport
        if isinstance(upstream, str):
            parts = urlsplit(upstream)
            self._origin = f"{parts.scheme}://{parts.netloc}"
            self.path = parts.path.rstrip("/")
            self._transport = httpx.AsyncHTTPTransport()
        else:
            self._origin, self.path = "http://emulator", "/api"
            self._transport = httpx.ASGITransport(upstream, raise_app_exceptions=False)

    async def forward(self, request: ReceivedRequest) -> RawReply:
        """What the emulator answers."""
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in request.headers.items()
        ]
        response = await self._transport.handle_async_request(
            httpx.Request(
                request.method,
                self._origin + request.target,
                headers=[pair for pair in headers if pair[0] not in _HOP_BY_HOP],
                content=request.body or None,
            )
        )
        body = await response.aread()
        await response.aclose()
        return RawReply(
            status_code=response.status_code,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in response.headers.raw
                if name.lower() not in _HOP_BY_HOP
            ),
            body=body,
        )

    async def aclose(self) -> None:
        """Close the connections to a served emulator."""
        await self._transport.aclose()
