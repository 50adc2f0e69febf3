"""Opens TLS connections through an HTTP proxy by CONNECT. It sends no request to the server."""

import asyncio
import re
import ssl
from http import HTTPStatus
from typing import cast

from attrs import frozen

from ..._models.errors import UnusableProxy
from ..proxy import Proxy
from ..testing_guard import OUTBOUND_GUARD
from ..tls_errors import permanent_tls_error
from .codec import MAX_HEAD_BYTES
from .connect import Dialer

_find_head_end = re.compile(rb"\r?\n\r?\n").search
_match_status = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]").match
_SUCCESSES = range(200, 300)
_UNAUTHORIZED = 407


class ProxyError(ConnectionError):
    """The proxy opened no tunnel, so nothing reached the server."""


@frozen(kw_only=True)
class ProxyDialer:
    """
    Opens connections to a proxy.

    Attributes:
        proxy: The proxy.
        dialer: Opens the connections.
    """

    proxy: Proxy
    dialer: Dialer

    async def open(self, protocol: asyncio.Protocol) -> asyncio.BaseTransport:
        """
        Connect a new protocol to the proxy itself.

        Raises:
            ProxyError: The proxy cannot be reached.
            UnusableProxy: No later attempt can succeed, because of the TLS of the proxy.
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
        Connect a new protocol to a server, over TLS through a tunnel.

        Raises:
            ProxyError: The proxy opens no tunnel.
            OSError: The handshake with the server fails.
            UnusableProxy: No later attempt can succeed.
        """
        context = await self.dialer.ssl_loader.context()
        handover = _Tunnel(self._connect_request(host, port))
        transport = cast(asyncio.Transport, await self.open(handover))
        try:
            await handover.until_open()
            return await self._start_tls(transport, handover, protocol, context, host)
        except BaseException:
            transport.abort()
            raise

    async def _start_tls(
        self,
        transport: asyncio.Transport,
        handover: "_Tunnel",
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        host: str,
    ) -> asyncio.BaseTransport:
        try:
            tls = await asyncio.get_running_loop().start_tls(
                transport, handover, context, server_hostname=host
            )
        except TypeError as bug:
            # For TLS within TLS, asyncio raises this in place of the error of the handshake, before
            # Python 3.11.8 and 3.12.2: https://github.com/python/cpython/issues/113214
            if isinstance(bug.__context__, OSError):
                raise bug.__context__ from None
            raise
        if tls is None or handover.is_spoilt:
            raise ProxyError("the connection through the proxy was lost, or sent bytes unasked")
        # The event loop calls nothing between these lines, so no event is lost.
        handover.next_protocol = protocol
        tls.set_protocol(protocol)
        protocol.connection_made(tls)
        return tls

    def _connect_request(self, host: str, port: int) -> bytes:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = (("Host", authority), *self.proxy.headers)
        lines = [f"CONNECT {authority} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


class _Tunnel(asyncio.Protocol):
    """
    Sends CONNECT, reads the answer of the proxy, and holds the connection during the handshake.

    Attributes:
        is_spoilt: Whether the connection was lost, or bytes came that nothing had asked for.
        next_protocol: The protocol that has taken the connection over.
    """

    def __init__(self, request: bytes) -> None:
        self.is_spoilt = False
        self.next_protocol: asyncio.Protocol | None = None
        self._request = request
        self._received = b""
        # The problem, or "" if the tunnel is open. It is a result and no exception, because asyncio
        # logs exceptions that are not retrieved.
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def until_open(self) -> None:
        """
        Wait for the answer of the proxy.

        Raises:
            ProxyError: The answer is no success, or none came.
        """
        if problem := await self._answer:
            raise ProxyError(problem)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._answer.done():
            self.is_spoilt = True
            return
        self._received += data
        if (end := _find_head_end(self._received)) is not None:
            self._set_answer(_problem_with(self._received, end.end()))
        elif len(self._received) > MAX_HEAD_BYTES:
            self._set_answer("the proxy answered CONNECT with a head that is too long")

    def eof_received(self) -> None:
        self._lose()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()
        # The event loop may have scheduled this call before the other protocol took over.
        if self.next_protocol is not None:
            self.next_protocol.connection_lost(exc)

    def _lose(self) -> None:
        self.is_spoilt = True
        self._set_answer("the proxy closed the connection before it answered CONNECT")

    def _set_answer(self, problem: str) -> None:
        if not self._answer.done():
            self._answer.set_result(problem)


def _problem_with(received: bytes, head_length: int) -> str:
    """Return why an answer to CONNECT opens no tunnel, or ""."""
    status = _match_status(received)
    if status is None:
        return "the proxy answered CONNECT with bytes that are not HTTP"
    code = int(status[1])
    if code == _UNAUTHORIZED:
        return "the proxy asks for another user and password (status 407)"
    if code not in _SUCCESSES:
        # The words of the proxy are left out, because they may quote the password.
        phrase = f" {HTTPStatus(code).phrase}" if code in _STATUSES else ""
        return f"the proxy answered CONNECT with status {code}{phrase}"
    if len(received) > head_length:
        return "the proxy sent bytes after its answer to CONNECT"
    return ""


_STATUSES = frozenset(map(int, HTTPStatus))
