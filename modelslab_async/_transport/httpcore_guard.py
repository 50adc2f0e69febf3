"""
Watches httpcore's connections for unexpected bytes, so that they can safely be used again.

If a server sends bytes after a response, httpcore reads them as the response to the next request.
One ticket would then get another ticket's result. httpcore also skips any number of interim (1xx)
responses without yielding to the event loop: 64 KiB of such responses block the loop for about 100
ms. TLS records of one byte each block the loop too, because httpcore reads each record separately.

To watch a connection, this module wraps its network stream. It gets the stream of each new
connection from httpcore's documented `trace` extension. The module parses each response a second
time, to learn whether bytes follow the response. If bytes follow, the wrapped stream reports that
it is readable, and httpcore closes the connection. After too many interim responses, the wrapped
stream raises an error. After every 100 reads, the stream yields to the event loop.

HTTP/2 connections are not watched. Each HTTP/2 frame names its request, so stray bytes cannot
become another request's response.
"""

import asyncio
import re
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import h11

from .abortive_close import discard_unsent_on_close
from .transport_protocol import MAX_INTERIM_RESPONSES, TOO_MANY_INTERIM

_T = TypeVar("_T")
_Trace: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[None]]

_match_request_line = re.compile(rb"([A-Z]+) \S+ HTTP/1\.1\r\n").match
# On a watched stream, `get_extra_info` returns the `ConnectionWatch` for this name.
_WATCH = "modelslab_async.watch"
# The number of reads from a connection between two yields to the event loop.
_READS_PER_YIELD = 100
# Each read asks for at least this many bytes, because asyncio receives up to 256 KiB at once. A
# smaller read could leave bytes in asyncio's buffer, where the check of an idle connection does not
# see them.
_MIN_READ_BYTES = 256 * 1024
# This many chunks of a response may be parsed, and one more for each read. If a response has more,
# its connection is not used again. Parsing a chunk takes about 30 us.
_MAX_PARSED_CHUNKS = 100


def watch_connections(
    extensions: Mapping[str, Any], *, core: str = "httpcore", needs_new_connection: bool = False
) -> dict[str, Any]:
    """
    Return a request's extensions, with a `trace` that watches each connection of the request.

    Args:
        extensions: The extensions that the request has already.
        core: The package that sends the request: "httpcore" or "httpcore2".
        needs_new_connection: Whether the request must not be sent over a used connection.
    """
    watch = RequestWatch(extensions.get("trace"), core, needs_new_connection=needs_new_connection)
    return {**extensions, "trace": watch.trace}


def keep_only_if_watched(extensions: Mapping[str, Any], *, core: str) -> None:
    """
    Make httpcore close a response's connection if this module has not watched it from the start.

    The caller may have opened the connection by sending a request with the same httpx client. Bytes
    may have followed the response to that request, and this module did not see them. They could be
    mistaken for the start of a later response.

    Args:
        extensions: The extensions of the response.
        core: The package that received the response: "httpcore" or "httpcore2".
    """
    stream, version = extensions.get("network_stream"), extensions.get("http_version", b"")
    if stream is not None and version.startswith(b"HTTP/1") and not stream.get_extra_info(_WATCH):
        ConnectionWatch(stream, core).discard()


class RequestWatch:
    """
    Watches the connections that one request opens.

    Args:
        next_trace: The request's own `trace` extension, which is called too; None if there is none.
        core: The package that sends the request: "httpcore" or "httpcore2".
        needs_new_connection: Whether the request must not be sent over a used connection.
    """

    def __init__(self, next_trace: _Trace | None, core: str, *, needs_new_connection: bool) -> None:
        self._next_trace = next_trace
        self._core = core
        self._needs_new_connection = needs_new_connection
        self._has_new_connection = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Handle an event that httpcore reports through its `trace` extension."""
        core = sys.modules[self._core]
        stream = info.get("return_value")
        if isinstance(stream, core.AsyncNetworkStream):
            ConnectionWatch(stream, self._core)
            self._has_new_connection = True
        elif event == "http11.send_request_headers.started":
            if self._needs_new_connection and not self._has_new_connection:
                # `ConnectionNotAvailable` makes httpcore close the used connection and take another
                # one.
                raise core.ConnectionNotAvailable
            # An auth flow of httpx may send the request a second time. The second attempt needs a
            # new connection too.
            self._has_new_connection = False
        if self._next_trace is not None:
            await self._next_trace(event, info)


class ConnectionWatch:
    """
    Watches one connection, by replacing methods of its network stream.

    Args:
        stream: The stream of an httpcore connection.
        core: The package that opened the stream: "httpcore" or "httpcore2".
    """

    def __init__(self, stream: Any, core: str) -> None:
        self._core = core
        self._read: Callable[..., Awaitable[bytes]] = stream.read
        self._write: Callable[..., Awaitable[None]] = stream.write
        self._get_extra_info: Callable[[str], Any] = stream.get_extra_info
        stream.read, stream.write = self._watched_read, self._watched_write
        stream.get_extra_info = self._watched_extra_info
        self._response: _ResponseEnd | None = None
        self._is_discarded = False
        self._read_count = 0

    def discard(self) -> None:
        """Make httpcore close the connection instead of using it again."""
        self._is_discarded = True

    def _has_unread_bytes(self) -> bool:
        """Return whether an idle connection received bytes, was closed or was discarded."""
        return (
            self._is_discarded
            or (self._response is not None and not self._response.is_end)
            or bool(self._get_extra_info("is_readable"))
            or _has_tls_record(self._get_extra_info("ssl_object"))
        )

    def _watched_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable" if self._response is not None or self._is_discarded:
                # httpcore asks for "is_readable" before it uses an idle connection again.
                return self._has_unread_bytes()
            case _ if info == _WATCH:
                return self
            case _:
                return self._get_extra_info(info)

    async def _watched_write(self, buffer: bytes, timeout: float | None = None) -> None:
        is_idle = self._response is None or self._response.is_end
        if is_idle and (match := _match_request_line(buffer)) is not None:
            if self._is_discarded or (self._response is not None and self._has_unread_bytes()):
                # Bytes came after httpcore had taken the connection out of its pool. Do not send
                # the request, because httpcore would read these bytes as the response.
                self._is_discarded = True
                raise sys.modules[self._core].ConnectionNotAvailable
            self._response = _ResponseEnd(match[1])
        await self._discard_if_given_up(self._write(buffer, timeout))

    async def _watched_read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._discard_if_given_up(self._read(max(max_bytes, _MIN_READ_BYTES), timeout))
        self._read_count += 1
        if not self._read_count % _READS_PER_YIELD:
            await asyncio.sleep(0)
        if self._response is not None and self._response.has_too_many_interim(data):
            raise sys.modules[self._core].RemoteProtocolError(TOO_MANY_INTERIM)
        return data

    async def _discard_if_given_up(self, operation: Awaitable[_T]) -> _T:
        """
        Await a read or a write. If this fails, make the kernel discard unsent bytes.

        A cancellation counts as a failure. The kernel discards the bytes when httpcore closes the
        connection, so the server cannot get the request later.
        """
        try:
            return await operation
        except BaseException:
            # On an HTTP/2 connection, `_response` is None. Do not reset such a connection, because
            # other requests share it.
            if self._response is not None:
                discard_unsent_on_close(self._get_extra_info("socket"))
            raise


class _ResponseEnd:
    """
    Finds the end of one response. It parses with h11, as httpcore does.

    Attributes:
        is_end: Whether the response is complete, and no byte has followed it.
    """

    def __init__(self, method: bytes) -> None:
        self.is_end = False
        self._h11: h11.Connection | None = h11.Connection(h11.CLIENT)
        # h11 needs the method of the request, because a response to HEAD has no body.
        self._h11.send(h11.Request(method=method, target=b"/", headers=[(b"Host", b"")]))
        self._h11.send(h11.EndOfMessage())
        self._interim_count = 0
        self._chunks_left = _MAX_PARSED_CHUNKS

    def has_too_many_interim(self, data: bytes) -> bool:
        """Parse received bytes, and return whether too many interim responses have come."""
        self.is_end = False
        self._chunks_left += 1
        try:
            if self._h11 is not None:
                self._h11.receive_data(data)
                self._parse(self._h11)
        except h11.RemoteProtocolError:
            # Raise nothing here: httpcore parses the same bytes, and raises the same error itself.
            self._h11 = None
        return self._interim_count > MAX_INTERIM_RESPONSES

    def _parse(self, parser: h11.Connection) -> None:
        while self._chunks_left and self._interim_count <= MAX_INTERIM_RESPONSES:
            match parser.next_event():
                case h11.InformationalResponse():
                    self._interim_count += 1
                case h11.Response():
                    pass
                case h11.Data():
                    self._chunks_left -= 1
                case h11.EndOfMessage():
                    self.is_end = not parser.trailing_data[0]
                    self._h11 = None
                    return
                case h11.NEED_DATA:
                    return
                case _:
                    # h11 reports that the connection was closed or switched to another protocol.
                    break
        self._h11 = None


def _has_tls_record(ssl_object: Any) -> bool:
    """
    Return whether an idle TLS connection has received data, or was closed.

    A check of the socket would miss data in the buffer of the TLS object. A TLS record without
    application data, such as a session ticket, does not count.
    """
    if ssl_object is None:
        return False
    try:
        ssl_object.read(1)
    except ssl.SSLWantReadError:
        return False
    except (OSError, ValueError):
        return True
    return True
