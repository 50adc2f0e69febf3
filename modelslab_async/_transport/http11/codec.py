"""Codec: turns requests into HTTP/1.1 bytes, and bytes into responses. It does no I/O."""

from collections.abc import Callable
from typing import Protocol

from ..transport_protocol import Request, Response, request_target

MAX_HEAD_BYTES = 64 * 1024
NOT_HTTP = "the received bytes are not an HTTP response"
CONNECTION_CLOSED = "the connection was closed before the response was complete"


class UnsendableError(ValueError):
    """A request cannot be encoded as HTTP. No byte of the request was written."""


class UnreadableError(ValueError):
    """
    The received bytes exceed a limit, are not a valid response, or end too early.

    The message says what is wrong.
    """


class Codec(Protocol):
    """
    Encodes requests and parses responses on one HTTP/1.1 connection, one exchange at a time.

    For each exchange, call `encode` once, `feed` until it returns a response, then `prepare_next`.
    """

    @property
    def is_unchunked(self) -> bool:
        """
        Whether a body is being received without the chunked transfer encoding.

        The connection passes all received bytes of such a body to one call of `feed`, because
        parsing them is fast. It passes the bytes of a chunked body in small slices.
        """
        ...

    def encode(self, request: Request, host: str) -> bytes:
        """
        Return the bytes of a request.

        Raises:
            UnsendableError: The request cannot be encoded as HTTP.
        """
        ...

    def feed(self, data: bytes) -> Response | None:
        """
        Parse received bytes. Pass b"" when the server has closed the connection.

        Returns:
            The response if it is complete, else None.

        Raises:
            UnreadableError: The bytes exceed a limit, are not a valid response, or end too early.
        """
        ...

    def prepare_next(self) -> bool:
        """
        Get ready for the next exchange. Return whether the connection can be used again.

        A connection cannot be used again if the server will close it, or if bytes followed the
        response.
        """
        ...


class CodecFactory(Protocol):
    """Makes a codec for one connection."""

    def __call__(self, *, target_of: Callable[[str], str] = request_target) -> Codec:
        """Return a codec. `target_of` turns a URL into the target of a request line."""
        ...
