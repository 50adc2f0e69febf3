"""Sealed: a body that tells whether anybody has had it. It is what proves that nothing left."""

from collections.abc import AsyncIterator, Iterator

import httpx


class TrackedBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """
    The body of one request.

    Whoever sends it takes it from here, be it a transport, a wrapper that tries twice or a proxy
    over plain http, and so does a hook that reads it. While nobody has taken it, no server can
    have had it: a submit without its body starts no work.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._was_read = False
        self._is_withdrawn = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._read()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._read()

    def withdraw(self) -> bool:
        """
        Give it to nobody from now on.

        Returns whether it never left, nor ever will. Of an empty one nobody can tell.
        """
        self._is_withdrawn = True
        return bool(self._data) and not self._was_read

    def _read(self) -> bytes:
        if self._is_withdrawn:
            raise httpx.StreamClosed
        self._was_read = True
        return self._data


class TrackedRequest(httpx.Request):
    """A request as httpx made it, but for its body, which it has from a `TrackedBody` alone."""

    def __init__(self, request: httpx.Request, body: TrackedBody) -> None:
        super().__init__(
            request.method,
            request.url,
            headers=request.headers,
            stream=body,
            extensions=request.extensions,
        )
        # As it is: it may be of a kind that shows less of itself.
        self.url = request.url

    @property
    def content(self) -> bytes:
        """The body. Who reads it has taken it."""
        return self.read()
