"""Sealed: a body that tells whether anybody has had it. It is what proves that nothing left."""

from collections.abc import AsyncIterator, Iterator

import httpx


class SealedBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """
    The body of one request.

    Whoever sends it takes it from here, be it a transport, a wrapper that tries twice or a proxy
    over plain http, and so does a hook that reads it. While nobody has taken it, no server can
    have had it: a submit without its body starts no work.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_taken = False
        self._is_withdrawn = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._take()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._take()

    def withdraw(self) -> bool:
        """
        Give it to nobody from now on.

        Returns whether it never left, nor ever will. Of an empty one nobody can tell.
        """
        self._is_withdrawn = True
        return bool(self._data) and not self._is_taken

    def _take(self) -> bytes:
        if self._is_withdrawn:
            raise httpx.StreamClosed
        self._is_taken = True
        return self._data


class SealedRequest(httpx.Request):
    """A request as httpx made it, but for its body, which it has from a `SealedBody` alone."""

    def __init__(self, made: httpx.Request, body: SealedBody) -> None:
        super().__init__(
            made.method, made.url, headers=made.headers, stream=body, extensions=made.extensions
        )
        # As it is: it may be of a kind that shows less of itself.
        self.url = made.url

    @property
    def content(self) -> bytes:
        """The body. Who reads it has taken it."""
        return self.read()
