"""Defines the interface of a transport, its requests and responses, and its size limits."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import Protocol
from urllib.parse import urlsplit

import httpx
from attrs import asdict, evolve, field, frozen

from .._models.errors import TransportError

# The maximum length of a response body, in bytes. Parsing such a body takes up to 16 MiB of memory.
MAX_BODY_BYTES = 14_000_000
BODY_TOO_LONG = f"the response is longer than {MAX_BODY_BYTES} bytes"
# A body may have `MAX_SMALL_CHUNKS` chunks, plus one for each `SMALL_CHUNK_BYTES` of its length.
# The limit is needed because even a short chunk takes a few microseconds to handle. Most servers
# send a thousand bytes or more in a chunk.
MAX_SMALL_CHUNKS = 10_000
SMALL_CHUNK_BYTES = 64
BODY_TOO_FRAGMENTED = (
    f"the response comes in more than {MAX_SMALL_CHUNKS} chunks of less than {SMALL_CHUNK_BYTES} "
    "bytes on average"
)
# The maximum number of interim (1xx) responses before a final response.
MAX_INTERIM_RESPONSES = 100
TOO_MANY_INTERIM = f"more than {MAX_INTERIM_RESPONSES} interim responses came before the response"
_CONTENT_LENGTH = b"content-length"
_PORTS = {"http": 80, "https": 443}
# Matches a URL whose path and query can be used as the request target without any change.
_match_simple_url = re.compile(r"https?://[^/?#\s]+(/[!-\"$-~]*)", re.ASCII).fullmatch


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _show_length(body: bytes) -> str:
    return f"<{len(body)} bytes>"


def _allow() -> None:
    """Allow every request to be sent."""


@frozen(kw_only=True)
class Request:
    """
    One HTTP request, ready to send.

    Its `repr` leaves out the query, the headers and the body, because one of them holds the key.
    A pickle or a copy made by `copy` leaves out `check_sendable`, which belongs to one process.

    Attributes:
        method: The HTTP method.
        url: The whole URL.
        headers: Names and values.
        body: The bytes to send; empty for no body.
        needs_new_connection: Whether the request must be sent over a new connection. If the server
            is closing a used connection, the client cannot tell whether the server has read the
            request.
        connect_timeout: The maximum number of seconds to get a connection; None for the transport's
            own limit. After that time, the transport raises a `TransportError`, and the request is
            not sent.
        check_sendable: Raises an error if the request must no longer be sent, for example because
            its caller left while the transport connected. The transport calls it directly before
            it writes the first byte, with no await in between. If it raises, the transport writes
            nothing and does not catch the error. It may be called from any task or thread.
    """

    method: str
    url: str = field(repr=_without_query)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    needs_new_connection: bool = False
    connect_timeout: float | None = None
    check_sendable: Callable[[], None] = field(default=_allow, eq=False, repr=False)

    def __reduce__(self) -> tuple[Callable[[], "Request"], tuple[()]]:
        fields = asdict(evolve(self, check_sendable=_allow), recurse=False)
        return partial(type(self), **fields), ()


@frozen(kw_only=True)
class Response:
    """
    One complete HTTP response. Its body is not decoded.

    Its `repr` leaves out the headers and the bytes of the body, because a server may repeat the
    key in them.

    Attributes:
        status_code: The HTTP status.
        headers: Names and values, as received.
        body: The bytes of the body, as received.
    """

    status_code: int
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=_show_length)


def origin_of(url: str) -> tuple[str, str]:
    """Return the scheme of a URL, and its host with the port, as they are written in the URL."""
    scheme, _, rest = url.partition("://")
    # If the path is missing, "?" or "#" may follow the host. Three calls of `partition` take half
    # the time of a regular expression.
    return scheme, rest.partition("/")[0].partition("?")[0].partition("#")[0]


def request_target(url: str) -> str:
    """Return the path and the query of a URL, in ASCII and without the fragment."""
    if simple := _match_simple_url(url):
        return simple[1]
    parts = urlsplit(_to_ascii(url))
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def split_origin(url: str) -> tuple[str, str, int]:
    """
    Return the scheme, the host without brackets, and the port of a URL.

    Raises:
        TransportError: The URL does not begin with http or https, or has no host.
    """
    try:
        parts = urlsplit(_to_ascii(url))
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except (ValueError, httpx.InvalidURL):
        scheme, host, port = "", None, None
    if scheme not in _PORTS or not host:
        raise TransportError(
            "a URL must start with http:// or https:// and a host", may_have_been_sent=False
        )
    return scheme, host, port or _PORTS[scheme]


def host_header(scheme: str, host: str, port: int) -> str:
    """Return a `Host` header. An IPv6 address gets brackets, and the default port is left out."""
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS[scheme] else f"{name}:{port}"


def _to_ascii(url: str) -> str:
    return url if url.isascii() else str(httpx.URL(url))


class BodyBuffer:
    """Collects a response body in a `BytesIO`, whose `getvalue` does not copy the bytes."""

    def __init__(self) -> None:
        self._bytes = BytesIO()
        self.chunk_count = 0

    def add(self, data: bytes) -> str:
        """Append a chunk. Return an error message if the body exceeds a limit, else ""."""
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
        """The number of bytes received."""
        return self._bytes.tell()

    def getvalue(self) -> bytes:
        """Return all bytes received."""
        return self._bytes.getvalue()


def is_too_long(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether the Content-Length exceeds `MAX_BODY_BYTES`. Such a body is not read."""
    for name, value in headers:
        # Compare the lengths first, because this avoids converting most names to lower case.
        is_length = len(name) == len(_CONTENT_LENGTH) and name.lower() == _CONTENT_LENGTH
        if is_length and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            return True
    return False


class Transport(Protocol):
    """
    An object that sends requests and returns their responses.

    A transport follows no redirects, decodes no content and never retries. It reads at most
    14,000,000 bytes of a body. Closing the client calls the `aclose` method of the transport, if
    there is one.
    """

    async def exchange(self, request: Request, /) -> Response:
        """
        Send one request and read its response.

        Raises:
            TransportError: There is no response. `may_have_been_sent` is False only if the request
                provably never left this machine.
            ConnectionImpossible: No later attempt can succeed. For example, the certificate is
                invalid, or the proxy is unusable. `may_have_been_sent` is True if the request may
                have left this machine.
        """
        ...
