"""Connection: one HTTP/1.1 connection, one exchange at a time. It repeats and follows nothing."""

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import TypeAlias, cast

from ..._models.errors import ModelsLabError, TransportError
from ..base import Request, Response
from ..tls_errors import final_fault
from .codec import CUT, MakeMessages, UnreadableError, UnsendableError

# So many bytes are read before others get their turn: some 8 ms, if they are chunks of one byte.
_SLICE = 8 * 1024
_End: TypeAlias = Response | ModelsLabError


class Connection(asyncio.Protocol):
    """
    Stands between a socket and the `Messages` that its bytes are.

    It has no task and no stream: the loop hands it bytes, it answers one future. Once anything
    about it is doubtful it closes at once, so that only a connection at rest is used again.

    Args:
        messages: Who writes and reads the bytes.
        made: Called when it is connected.
        lost: Called when it is closed, whoever closed it.
    """

    _transport: asyncio.Transport
    _has_news: Callable[[], bool]

    def __init__(
        self,
        messages: MakeMessages,
        *,
        made: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._made = made
        self._lost = lost
        self._messages = messages()
        self._connected = False
        self._aborted = False
        self._answer: asyncio.Future[_End] | None = None
        self._unread = bytearray()
        self._ended = False
        self._gone: ModelsLabError | None = None

    async def exchange(self, request: Request, host: str) -> Response:
        """
        Send one request and read its response. Whoever is cancelled in here must `abort`.

        Raises:
            TransportError: There is no response.
            ConnectionImpossible: The other side wants another kind of TLS.
        """
        answer = self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            # It was lost since it came about, and has told so by now.
            self._settle(TransportError(CUT, may_have_left=False))
        try:
            self._transport.write(self._messages.written(request, host))
        except UnsendableError:
            end: _End = TransportError(
                "the request has a URL or a header that HTTP cannot carry", may_have_left=False
            )
        else:
            end = await answer
        # Raised out here, in a frame without the bytes of the request: they hold the key.
        if isinstance(end, ModelsLabError):
            raise end
        return end

    @property
    def is_closing(self) -> bool:
        """Whether the last exchange left nothing that another one could use."""
        return self._transport.is_closing()

    def is_at_rest(self) -> bool:
        """Whether it is open for another exchange, and has been silent since the last one."""
        return not (self._transport.is_closing() or self._has_news())

    def abort(self, why: str = CUT) -> None:
        """Close at once. An exchange on its way ends with a `TransportError` that says why."""
        self._aborted = True
        self._unread.clear()
        self._settle(TransportError(why))
        if self._connected:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are none of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._has_news = _watched(transport.get_extra_info("socket"))
        self._connected = True
        if self._aborted:
            self._transport.abort()
        else:
            self._made(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Bytes that nobody asked for would be read as the answer to the next request.
            self.abort()
            return
        if not self._unread and (len(data) <= _SLICE or self._messages.in_one_piece):
            self._read(data)
            return
        begun = bool(self._unread)
        self._unread += data
        if not begun:
            self._transport.pause_reading()
            self._read_some()

    def eof_received(self) -> None:
        self._ended = True
        if self._answer is not None and not self._unread:
            self._read(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        final = final_fault(exc, shaking=False, may_have_left=True)
        self._gone = final or TransportError(f"{CUT} ({type(exc).__name__})" if exc else CUT)
        if not self._unread:
            self._settle(self._gone)
        self._lost(self)

    def _read_some(self) -> None:
        """Read some of what has come, and the next of it after everybody else's turn."""
        size = len(self._unread) if self._messages.in_one_piece else _SLICE
        some = bytes(self._unread[:size])
        del self._unread[:size]
        if some:
            self._read(some)
        if self._unread and self._answer is None:
            # Bytes behind the answer, as in `data_received`.
            self.abort()
        elif self._unread:
            asyncio.get_running_loop().call_soon(self._read_some)
        else:
            self._read_all()

    def _read_all(self) -> None:
        """Go on after the last slice: with what came meanwhile, be it the end."""
        if self._ended and self._answer is not None:
            self._read(b"")
        if self._gone is not None:
            self._settle(self._gone)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _read(self, data: bytes) -> None:
        try:
            response = self._messages.read(data)
        except UnreadableError as unreadable:
            self.abort(str(unreadable))
            return
        if response is not None:
            self._settle(response)
            # A response that overtook its request leaves half a request behind.
            if not self._messages.renew() or self._transport.get_write_buffer_size():
                self.abort()

    def _settle(self, end: _End) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            # An error goes in as a result, since nobody may be left to retrieve an exception.
            answer.set_result(end)


def _watched(sock: socket.socket) -> Callable[[], bool]:
    """Tells whether bytes or the end wait at a socket, though the loop may not have seen them."""
    if sys.platform == "win32":  # pragma: no cover -- the only one without poll.
        return lambda: bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return lambda: bool(poll.poll(0))
