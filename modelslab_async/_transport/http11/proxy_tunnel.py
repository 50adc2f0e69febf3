"""Opens connections through an HTTP proxy with CONNECT."""

import asyncio
import re
import ssl
from http import HTTPStatus
from typing import cast

from attrs import frozen

from ..._models.errors import TransportError, UnusableProxy
from ..permanent_tls_errors import permanent_tls_error
from ..proxy import UNAUTHORIZED_STATUS, Proxy, wrong_password_error
from ..testing_guard import OUTBOUND_GUARD
from .codec import MAX_HEAD_BYTES
from .connection import Dialer

_find_head_end = re.compile(rb"\r?\n\r?\n").search
_match_status = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]").match
_SUCCESSES = range(200, 300)
# The statuses with which a proxy says that it will never open a tunnel to this host and port. With
# status 407, the proxy is unusable. After any other error status, a later attempt may succeed.
_REFUSALS = frozenset({*range(400, 500), 501}) - {UNAUTHORIZED_STATUS, 408, 429}
_STATUSES = frozenset(map(int, HTTPStatus))


class ProxyError(ConnectionError):
    """
    There is no usable connection through the proxy, so no request reached the server.

    Attributes:
        is_refusal: Whether the proxy refuses tunnels to this host and port.
    """

    is_refusal = False


class TunnelRefused(TransportError):
    """The proxy refuses tunnels to this host and port, but may forward requests to http URLs."""


@frozen(kw_only=True)
class ProxyDialer:
    """
    Opens connections to a proxy, and tunnels through it.

    Attributes:
        proxy: The proxy.
        dialer: Opens the connections to the proxy.
    """

    proxy: Proxy
    dialer: Dialer

    async def open(self, protocol: asyncio.Protocol) -> asyncio.BaseTransport:
        """
        Connect the asyncio protocol `protocol` to the proxy itself.

        Raises:
            ProxyError: The proxy cannot be reached.
            UnusableProxy: TLS with the proxy fails, and would fail again.
        """
        proxy = self.proxy
        OUTBOUND_GUARD.check(proxy.host)
        try:
            return await self.dialer.open(
                protocol, scheme=proxy.scheme, host=proxy.host, port=proxy.port
            )
        except (OSError, UnicodeError) as fault:
            tls_error = permanent_tls_error(fault, in_handshake=True)
            reason = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
        if tls_error is not None:
            what = tls_error.message.replace("the server", "the proxy")
            raise UnusableProxy(f"{proxy.origin} cannot be used: {what}")
        raise ProxyError(f"the proxy cannot be reached: {reason}")

    async def open_tunnel(
        self, protocol: asyncio.Protocol, *, host: str, port: int
    ) -> asyncio.BaseTransport:
        """
        Connect the asyncio protocol `protocol` to a server through a tunnel, with TLS.

        Raises:
            ProxyError: The proxy opens no tunnel.
            OSError: The handshake with the server fails.
            UnusableProxy: The proxy cannot be used, so no later attempt can succeed.
        """
        context = await self.dialer.ssl_loader.context()
        return await self._open_tunnel(protocol, host, port, context)

    async def open_plain_tunnel(
        self, protocol: asyncio.Protocol, *, host: str, port: int
    ) -> asyncio.BaseTransport:
        """
        Connect the asyncio protocol `protocol` to a server through a tunnel, without TLS.

        Raises:
            TunnelRefused: The proxy refuses tunnels to this host and port.
            ProxyError: The tunnel fails for another reason.
            UnusableProxy: The proxy cannot be used, so no later attempt can succeed.
        """
        try:
            return await self._open_tunnel(protocol, host, port, None)
        except ProxyError as fault:
            if not fault.is_refusal:
                raise
            message = str(fault)
        raise TunnelRefused(message, may_have_been_sent=False)

    async def _open_tunnel(
        self, protocol: asyncio.Protocol, host: str, port: int, context: ssl.SSLContext | None
    ) -> asyncio.BaseTransport:
        tunnel = _Tunnel(self.proxy.origin, self._connect_request(host, port))
        transport = cast(asyncio.Transport, await self.open(tunnel))
        try:
            await tunnel.until_open()
            if context is not None:
                transport = await _start_tls(transport, tunnel, context, host)
            tunnel.check_unspoilt()
        except BaseException:
            transport.abort()
            raise
        # Pass the connection to `protocol` without yielding to the event loop, because bytes that
        # arrive during a yield would be lost.
        tunnel.next_protocol = protocol
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport

    def _connect_request(self, host: str, port: int) -> bytes:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = (("Host", authority), *self.proxy.headers)
        lines = [f"CONNECT {authority} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


class _Tunnel(asyncio.Protocol):
    """
    The asyncio protocol that opens a tunnel: sends CONNECT and reads the proxy's answer.

    Args:
        origin: How messages name the proxy.
        request: The CONNECT request.

    Attributes:
        is_spoilt: Whether the connection was lost, or unexpected bytes came.
        next_protocol: The protocol that has taken over the connection; None until then.
    """

    def __init__(self, origin: str, request: bytes) -> None:
        self.is_spoilt = False
        self._origin = origin
        self.next_protocol: asyncio.Protocol | None = None
        self._request = request
        self._received = b""
        # The status of the proxy's answer to CONNECT, and an error message ("" if the tunnel is
        # open). The future never gets an exception, because asyncio logs an exception that no task
        # retrieves.
        self._answer: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def until_open(self) -> None:
        """
        Wait until the proxy has opened the tunnel.

        Raises:
            ProxyError: The proxy refused to open the tunnel, or gave no valid answer.
            UnusableProxy: The proxy rejects the user or the password, with status 407.
        """
        status, problem = await self._answer
        if status == UNAUTHORIZED_STATUS:
            raise wrong_password_error(self._origin)
        if problem:
            error = ProxyError(problem)
            error.is_refusal = status in _REFUSALS
            raise error

    def check_unspoilt(self) -> None:
        """
        Check that the connection is open, and that no bytes came after the proxy's answer.

        Raises:
            ProxyError: The connection was lost, or bytes came after the answer.
        """
        if self.is_spoilt:
            raise ProxyError("the connection through the proxy was lost, or sent bytes unasked")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._answer.done():
            self.is_spoilt = True
            return
        self._received += data
        if (end := _find_head_end(self._received)) is not None:
            self._set_answer(*_read_answer(self._received, end.end()))
        elif len(self._received) > MAX_HEAD_BYTES:
            self._set_answer(0, "the proxy answered CONNECT with a head that is too long")

    def eof_received(self) -> None:
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()
        # The event loop may have scheduled this call before `next_protocol` took over. In that
        # case, the event loop does not call `next_protocol.connection_lost`, so call it here.
        if self.next_protocol is not None:
            self.next_protocol.connection_lost(exc)

    def _lose(self) -> None:
        self.is_spoilt = True
        self._set_answer(0, "the proxy closed the connection before it answered CONNECT")

    def _set_answer(self, status: int, problem: str) -> None:
        if not self._answer.done():
            self._answer.set_result((status, problem))


async def _start_tls(
    transport: asyncio.Transport, tunnel: _Tunnel, context: ssl.SSLContext, host: str
) -> asyncio.Transport:
    try:
        tls = await asyncio.get_running_loop().start_tls(
            transport, tunnel, context, server_hostname=host
        )
    except TypeError as bug:
        # If the handshake of TLS within TLS fails, asyncio before Python 3.11.8 and 3.12.2 raises a
        # `TypeError` in place of the handshake's error:
        # https://github.com/python/cpython/issues/113214
        if isinstance(bug.__context__, OSError):
            raise bug.__context__ from None
        raise
    if tls is None:
        raise ProxyError("the connection through the proxy was lost")
    return tls


def _read_answer(received: bytes, head_length: int) -> tuple[int, str]:
    """
    Return the status of the proxy's answer to CONNECT, and an error message.

    The message is "" if the tunnel is open. The status is 0 if the answer breaks the protocol.
    """
    match = _match_status(received)
    if match is None:
        return 0, "the proxy answered CONNECT with bytes that are not HTTP"
    status = int(match[1])
    if status not in _SUCCESSES:
        # Leave out the text that the proxy sent, because it may quote the proxy's password.
        phrase = f" {HTTPStatus(status).phrase}" if status in _STATUSES else ""
        return status, f"the proxy answered CONNECT with status {status}{phrase}"
    if len(received) > head_length:
        return 0, "the proxy sent bytes after its answer to CONNECT"
    return status, ""
