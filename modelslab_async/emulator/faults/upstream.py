"""Forwards requests from a faulty server to its emulator, and returns the emulator's replies."""

from urllib.parse import urlsplit

import httpx

from ..application import Emulator
from .raw_http import RawReply, ReceivedRequest

# The headers that describe one connection (hop-by-hop headers, RFC 9110). They are not forwarded.
_HOP_BY_HOP = frozenset((b"connection", b"content-length", b"keep-alive", b"transfer-encoding"))


class Upstream:
    """The emulator behind a faulty server. It runs in this process, or is served at a URL."""

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
        """Return the emulator's reply to a request."""
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
        """Close the connections to the emulator, if it is served at a URL."""
        await self._transport.aclose()
