"""Codec: what a connection needs of HTTP/1.1: requests to bytes, bytes to responses. No I/O."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..base import Request, Response

MAX_HEAD_BYTES = 64 * 1024
NOT_HTTP = "what came is not an HTTP response"
CONNECTION_CLOSED = "the connection was closed before the whole answer had come"


class UnsendableError(ValueError):
    """HTTP cannot carry this request. Not a byte of it has been written."""


class UnreadableError(ValueError):
    """What came is no response, or none that may be read to its end; the message says why."""


class Codec(Protocol):
    """
    One connection's side of HTTP/1.1: one exchange after the other, each to its end.

    An exchange is `written` once, `read` until there is a response, and then `renew`ed.
    """

    @property
    def is_unchunked(self) -> bool:
        """Whether the body being read is not chunked: to read much of it is as little work."""
        ...

    def encode(self, request: Request, host: str) -> bytes:
        """
        The bytes of a request.

        Raises:
            UnsendableError: HTTP cannot carry it.
        """
        ...

    def feed(self, data: bytes) -> Response | None:
        """
        Take what came, b"" for the end of the connection; the response, once it is whole.

        Raises:
            UnreadableError: There will be none.
        """
        ...

    def prepare_next(self) -> bool:
        """
        Make ready for another exchange.

        Returns whether there may be one: after a response that overtook its request, that ends the
        connection, or that has bytes behind it, nobody could tell what belongs to the next.
        """
        ...


CodecFactory: TypeAlias = Callable[[], Codec]
