"""
Proves that a request never left: by a body that records its reading, and by a note on an error.

It sends nothing.
"""

from collections.abc import AsyncIterator, Iterator

import httpx

from .interim_limit import limit_interim

# A note stays with the exception wherever it goes, and changes nothing else about it.
_UNSENT_NOTE = "the request had not left this machine"


def mark_unsent(error: BaseException) -> None:
    """Note on a cancellation or a timeout that the request never left."""
    if not is_unsent(error):
        error.add_note(_UNSENT_NOTE)


def is_unsent(error: BaseException) -> bool:
    """Return whether `mark_unsent` was called with this error."""
    return _UNSENT_NOTE in getattr(error, "__notes__", ())


class TrackedBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """
    A request body that records whether it was read.

    Transports, retrying wrappers, plain HTTP proxies and logging hooks all read the body here
    before they can send it. A body that was never read has not reached a server, and a submit
    without its body starts no work.
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
        Refuse every later read. Return whether the body provably never left.

        An empty body proves nothing, because a transport may send the request without reading it.
        """
        self._is_withdrawn = True
        return bool(self._data) and not self._was_read

    def _read(self) -> bytes:
        if self._is_withdrawn:
            raise httpx.StreamClosed
        self._was_read = True
        return self._data


class TrackedRequest(httpx.Request):
    """A copy of an httpx request that has its body from a `TrackedBody` alone."""

    def __init__(self, request: httpx.Request, body: TrackedBody) -> None:
        super().__init__(
            request.method,
            request.url,
            headers=request.headers,
            stream=body,
            extensions=limit_interim(request.extensions),
        )
        # Keep the very object: it may be a URL that hides its query.
        self.url = request.url

    @property
    def content(self) -> bytes:
        """The body. To access it counts as reading it."""
        return self.read()
