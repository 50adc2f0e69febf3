"""Opens HTTP/1.1 connections, each for one exchange at a time."""

import asyncio
import select
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import aiohappyeyeballs
from attrs import field, frozen

from ..._models.errors import ModelsLabError, TransportError
from ..abortive_close import discard_unsent_on_close
from ..permanent_tls_errors import permanent_tls_error
from ..tls_context import SSLContextLoader
from ..transport_protocol import Request, Response
from .codec import CONNECTION_CLOSED, Codec, UnreadableError, UnsendableError

# The maximum number of bytes of a chunked body to parse before other tasks run. In the worst case
# (chunks of one byte), parsing them takes about 8 ms. A body that is not chunked has no such limit.
_SLICE_BYTES = 8 * 1024
# How long to wait for one address of a host before the next address is tried in parallel (RFC 8305,
# section 5).
_NEXT_ADDRESS_DELAY_S = 0.25
_Result: TypeAlias = Response | ModelsLabError
Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


class Connection(asyncio.Protocol):
    """
    Passes bytes between a socket and a `Codec`.

    A connection needs no task of its own: the event loop passes received bytes to it. If bytes
    arrive that belong to no response, the connection closes. Otherwise, they would be mistaken for
    the response to the next request.

    Args:
        make_codec: Makes the codec of this connection.
        on_connected: Called when the connection is open.
        on_closed: Called when either side has closed the connection.

    Attributes:
        may_have_sent: Whether bytes of the most recent request may have left this machine.
    """

    _transport: asyncio.Transport
    _has_unread_data: Callable[[], bool]

    def __init__(
        self,
        make_codec: Callable[[], Codec],
        *,
        on_connected: Callable[["Connection"], None],
        on_closed: Callable[["Connection"], None],
    ) -> None:
        self._on_connected = on_connected
        self._on_closed = on_closed
        self._codec = make_codec()
        self._is_connected = False
        self._is_aborted = False
        self._pending: asyncio.Future[_Result] | None = None
        self.may_have_sent = False
        self._unread = bytearray()
        self._has_seen_eof = False
        self._close_error: ModelsLabError | None = None

    async def exchange(self, request: Request, host: str) -> Response:
        """
        Send one request and read its response. After a cancellation, the caller must call `abort`.

        Raises:
            TransportError: There is no response.
            ConnectionImpossible: The server sent a TLS alert that a new connection would get too.
        """
        future = self._pending = asyncio.get_running_loop().create_future()
        self.may_have_sent = not self._transport.is_closing()
        try:
            if self.may_have_sent:
                # Do not store the encoded request in a local variable. Crash reporters print local
                # variables, and the encoded request contains the key.
                self._transport.write(self._codec.encode(request, host))
            else:
                self._abort_unsent()
        except UnsendableError:
            result: _Result = TransportError(
                "the request has a URL or a header that HTTP cannot carry", may_have_been_sent=False
            )
        else:
            result = await future
        if isinstance(result, ModelsLabError):
            raise result
        return result

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closing or closed, and so cannot be used again."""
        return self._transport.is_closing()

    def is_reusable(self) -> bool:
        """Return whether the connection is open and has no unread data."""
        return not (self._transport.is_closing() or self._has_unread_data())

    def abort(self, reason: str = CONNECTION_CLOSED) -> None:
        """
        Close the connection at once. An exchange in flight fails with `reason` as the message.

        The kernel discards unsent bytes, so that the server cannot receive them after the exchange
        has failed.
        """
        self._is_aborted = True
        if self._pending is not None:
            discard_unsent_on_close(self._transport.get_extra_info("socket"))
        self._unread.clear()
        self._set_result(TransportError(reason, may_have_been_sent=self.may_have_sent))
        if self._is_connected:
            self._transport.abort()

    def _abort_unsent(self) -> None:
        """
        Abort a connection that began to close before the request was written.

        The exchange fails with the error that `connection_lost` reports. If the event loop has not
        called `connection_lost` yet, the exchange waits for this call.
        """
        self._transport.abort()
        if self._close_error is not None:
            self._set_result(self._close_error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Cast without an `isinstance` check, because uvloop's transports do not inherit from
        # asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._has_unread_data = _readable_check(transport.get_extra_info("socket"))
        self._is_connected = True
        if self._is_aborted:
            self._transport.abort()
        else:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        if self._pending is None:
            # These bytes came while no request was in flight. They would be mistaken for the
            # response to the next request.
            self.abort()
            return
        if not self._unread and (len(data) <= _SLICE_BYTES or self._codec.is_unchunked):
            self._feed(data)
            return
        had_unread = bool(self._unread)
        self._unread += data
        if not had_unread:
            self._transport.pause_reading()
            self._feed_slice()

    def eof_received(self) -> None:
        self._has_seen_eof = True
        if self._pending is not None and not self._unread:
            self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        may_have_been_sent = self._pending is not None and self.may_have_sent
        tls_error = permanent_tls_error(
            exc, in_handshake=False, may_have_been_sent=may_have_been_sent
        )
        self._close_error = tls_error or TransportError(
            f"{CONNECTION_CLOSED} ({type(exc).__name__})" if exc else CONNECTION_CLOSED,
            may_have_been_sent=may_have_been_sent,
        )
        if not self._unread:
            self._set_result(self._close_error)
        self._on_closed(self)

    def _feed_slice(self) -> None:
        """Parse one slice of the received bytes. Let other tasks run before the next slice."""
        size = len(self._unread) if self._codec.is_unchunked else _SLICE_BYTES
        chunk = bytes(self._unread[:size])
        del self._unread[:size]
        if chunk:
            self._feed(chunk)
        if self._unread and self._pending is None:
            # More bytes followed the complete response. They would be mistaken for the response to
            # the next request.
            self.abort()
        elif self._unread:
            asyncio.get_running_loop().call_soon(self._feed_slice)
        else:
            self._finish_feeding()

    def _finish_feeding(self) -> None:
        """
        Receive from the socket again, now that all bytes received so far are parsed.

        If the connection was closed during the parsing, end the exchange instead.
        """
        if self._has_seen_eof and self._pending is not None:
            self._feed(b"")
        if self._close_error is not None:
            self._set_result(self._close_error)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        try:
            response = self._codec.feed(data)
        except UnreadableError as unreadable:
            self.abort(str(unreadable))
            return
        if response is not None:
            self._set_result(response)
            # A server may respond before the whole request has been sent. The unsent rest would go
            # out in front of the next request, so close the connection.
            if not self._codec.prepare_next() or self._transport.get_write_buffer_size():
                self.abort()

    def _set_result(self, result: _Result) -> None:
        future, self._pending = self._pending, None
        if future is not None and not future.done():
            # Even if `result` is an error, do not use `set_exception`. asyncio logs an exception of
            # a future if no task retrieves it.
            future.set_result(result)


def _readable_check(sock: socket.socket) -> Callable[[], bool]:
    """Return a function that asks the kernel whether a socket has unread bytes or was closed."""
    if sys.platform == "win32":  # pragma: no cover -- the only platform without poll.
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda: bool(poll.poll(0))


@frozen(kw_only=True)
class Dialer:
    """
    Resolves host names, and opens connections with or without TLS.

    Attributes:
        ssl_loader: Loads the TLS context for https.
        local_addresses: The addresses of this machine to connect from; empty for any.
    """

    ssl_loader: SSLContextLoader = field(factory=SSLContextLoader)
    local_addresses: Sequence[Address] = ()

    async def open(
        self, protocol: asyncio.Protocol, *, scheme: str, host: str, port: int
    ) -> asyncio.BaseTransport:
        """
        Connect the asyncio protocol `protocol` to a host, over TLS if the scheme is https.

        Raises:
            OSError: The host has no address, no address answers, or the handshake fails.
            UnicodeError: The host is not a valid name.
        """
        context = await self.ssl_loader.context() if scheme == "https" else None
        sock = await connect_socket(await resolve_host(host, port), self.local_addresses)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol, sock=sock, ssl=context, server_hostname=host if context else None
        )
        return transport


async def connect_socket(
    addresses: Sequence[Address], local_addresses: Sequence[Address] = ()
) -> socket.socket:
    """
    Connect to the first address that answers. Try IPv6 and IPv4 addresses alternately.

    Raises:
        OSError: No address answers, or no local address has the IP version of the host's addresses.
    """
    return await aiohappyeyeballs.start_connection(
        addresses,
        local_addr_infos=local_addresses or None,
        happy_eyeballs_delay=_NEXT_ADDRESS_DELAY_S,
    )


def local_addresses(address: str) -> Sequence[Address]:
    """
    Convert an IP address of this machine to the form that `getaddrinfo` returns.

    Raises:
        OSError: `address` is not an IP address.
    """
    return socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """
    Return all TCP addresses of a host.

    Raises:
        OSError: The host has no address.
        UnicodeError: The host is not a valid name.
    """
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
