"""The seam to HTTP: a request goes in, a response comes out. Everything that sends stands on it."""

from collections.abc import Sequence
from io import BytesIO
from typing import Protocol

from attrs import field, frozen

# With what a process needs beside it to read it, 16 MiB of memory.
MAX_BODY_BYTES = 14_000_000
BODY_TOO_LONG = f"the reply is longer than {MAX_BODY_BYTES} bytes"
# Each piece of a body costs time, however short it is; what is larger than these has pieces of a
# thousand bytes and more.
MAX_SMALL_CHUNKS = 10_000
SMALL_CHUNK_BYTES = 64
BODY_TOO_FRAGMENTED = (
    f"the reply comes in more than {MAX_SMALL_CHUNKS} chunks of less than {SMALL_CHUNK_BYTES} bytes "
    "on average"
)
# The most interim (1xx) responses before the response itself.
MAX_INTERIM_RESPONSES = 100
TOO_MANY_INTERIM = f"more than {MAX_INTERIM_RESPONSES} interim responses came before the response"


def _without_query(url: str) -> str:
    return url.partition("?")[0]


@frozen(kw_only=True)
class Request:
    """
    One HTTP request, ready to be sent as it is.

    Its `repr` leaves out the query, the headers and the body, because one of them holds the key.

    Attributes:
        method: The HTTP method.
        url: The whole URL.
        headers: Names and values.
        body: The bytes to send; empty for none.
        needs_new_connection: Whether it must not go over a connection that was used before. The other side may be
            closing such a one, and then nobody can tell whether the request was read.
    """

    method: str
    url: str = field(repr=_without_query)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    needs_new_connection: bool = False


@frozen(kw_only=True)
class Response:
    """
    One HTTP response, read to its end and not decoded.

    Attributes:
        status_code: The HTTP status.
        headers: Names and values, as they came.
        body: The bytes of the body, as they came.
    """

    status_code: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


class BodyBuffer:
    """A body as it comes. It is kept once: BytesIO grows in place, and gives away what it holds."""

    def __init__(self) -> None:
        self._bytes = BytesIO()
        self.chunk_count = 0

    def add(self, data: bytes) -> str:
        """Take what has come; say why it may not go on like that, or "" where it may."""
        self.chunk_count += 1
        self._bytes.write(data)
        length = self._bytes.tell()
        if length > MAX_BODY_BYTES:
            return BODY_TOO_LONG
        if self.chunk_count > MAX_SMALL_CHUNKS + length // SMALL_CHUNK_BYTES:
            return BODY_TOO_FRAGMENTED
        return ""

    @property
    def length(self) -> int:
        """How many bytes have come."""
        return self._bytes.tell()

    def getvalue(self) -> bytes:
        """All that has come."""
        return self._bytes.getvalue()


def is_too_long(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a response says itself that nobody will read its body."""
    lengths = (value for name, value in headers if name.lower() == b"content-length")
    return any(value.isdigit() and int(value[:20]) > MAX_BODY_BYTES for value in lengths)


class Transport(Protocol):
    """
    Whatever can exchange a request for a response.

    It follows no redirect, decodes no content, retries nothing, and reads at most `MAX_BODY_BYTES`
    bytes. If it has an `aclose`, the client calls it at its own end.
    """

    async def exchange(self, request: Request, /) -> Response:
        """
        Send one request and read its response.

        Raises:
            TransportError: There is no response. `may_have_been_sent` is False only where the request
                provably never left.
            ConnectionImpossible: There will be none: an invalid certificate, no common TLS, a proxy
                that cannot be used. `may_have_been_sent` is True only where that is not certain.
        """
        ...
