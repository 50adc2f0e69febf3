"""Defines a codec: requests to HTTP/1.1 bytes, and bytes to responses. It does no I/O."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..base import Request, Response

MAX_HEAD_BYTES = 64 * 1024
NOT_HTTP = "the received bytes are not an HTTP response"
CONNECTION_CLOSED = "the connection was closed before the response was complete"


class UnsendableError(ValueError):
    """HTTP cannot carry this request. No byte of it was written."""


class UnreadableError(ValueError):
    """The received bytes are no response, or exceed a cap. The message says why."""


class Codec(Protocol):
    """
    The client side of HTTP/1.1 on one connection, one exchange after the other.

    For each exchange: `encode` once, `feed` until there is a response, then `prepare_next`.
    """

    @property
    def is_unchunked(self) -> bool:
        """Whether the body is not chunked, so that parsing many bytes takes no longer than few."""
        ...

    def encode(self, request: Request, host: str) -> bytes:
        """
        Return the bytes of a request.

        Raises:
            UnsendableError: HTTP cannot carry it.
        """
        ...

    def feed(self, data: bytes) -> Response | None:
        """
        Parse received bytes, or b"" for the end of the connection. Return a complete response.

        Raises:
            UnreadableError: No response can follow.
        """
        ...

    def prepare_next(self) -> bool:
        """
        Get ready for the next exchange. Return whether the connection can be used for it.

        It cannot if the response came before the request was complete, ends the connection, or has
        surplus bytes after it.
        """
        ...


CodecFactory: TypeAlias = Callable[[], Codec]
