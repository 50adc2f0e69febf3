"""
Limits the interim (1xx) responses that httpcore accepts before a response. It sends nothing.

httpcore skips any number of interim responses without yielding to the event loop: 64 KiB of them
block the loop for some 100 ms. Many TLS records of one byte block it too, because each of them is
read separately. The documented `trace` extension of httpcore passes on the network stream of each
new connection. This module wraps the stream. It counts interim responses before httpcore parses
them, and yields to the event loop after some reads.

There is no limit for HTTP/2, nor on a connection that the caller's client had opened already.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from .base import MAX_INTERIM_RESPONSES, TOO_MANY_INTERIM

_Trace: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]
_Read: TypeAlias = Callable[..., Awaitable[bytes]]

_find_interim = re.compile(rb"\nHTTP/\d\.\d 1\d\d").findall
# One byte less than the length of a match of `_find_interim`, because a match may begin in one read
# and end in the next.
_OVERLAP_BYTES = 12
# The number of reads of a connection after which other tasks may run.
_READS_PER_YIELD = 100


def limit_interim(extensions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extensions of a request with a `trace` that limits its interim responses."""
    return {**extensions, "trace": InterimLimit(extensions.get("trace")).trace}


class InterimLimit:
    """
    Counts the interim responses to each request of one connection.

    Attributes:
        next_trace: The `trace` extension that the request already had, which is called as well.
    """

    def __init__(self, next_trace: _Trace | None = None) -> None:
        self.next_trace = next_trace
        self._is_reading_head = False
        self._interim_count = 0
        self._read_count = 0
        self._last_bytes = b"\n"

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """See the `trace` extension of httpcore."""
        if event.startswith("http11.receive_response_headers."):
            self._is_reading_head = event.endswith(".started")
            self._interim_count = 0
            self._last_bytes = b"\n"
        # Imported late, as in httpx, so that programs without httpx transports start faster.
        import httpcore  # noqa: PLC0415

        stream = info.get("return_value")
        if isinstance(stream, httpcore.AsyncNetworkStream):
            stream.read = partial(self._read, stream.read)  # type: ignore[method-assign]
        if self.next_trace is not None:
            await self.next_trace(event, info)

    async def _read(self, read: _Read, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await read(max_bytes, timeout)
        self._read_count += 1
        if not self._read_count % _READS_PER_YIELD:
            await asyncio.sleep(0)
        if self._is_reading_head:
            unseen = self._last_bytes + data
            self._interim_count += len(_find_interim(unseen))
            self._last_bytes = unseen[-_OVERLAP_BYTES:]
            if self._interim_count > MAX_INTERIM_RESPONSES:
                import httpcore  # noqa: PLC0415 -- see above.

                raise httpcore.RemoteProtocolError(TOO_MANY_INTERIM)
        return data
