"""Connection: one HTTP/1.1 connection, one exchange at a time. It repeats and follows nothing."""

import asyncio
import select
import socket
import sys
from collections.abc import Callable
from typing import TypeAlias, cast

# httpx brings h11: its own HTTP/1.1 stands on it.
import h11

from .._core.errors import TransportError
from .urls import target_of
from .wire import TOO_LONG, Body, Request, Response, is_too_long

_LONGEST_HEAD = 64 * 1024
_MOST_INTERIM = 100
_CUT = "the connection was closed before the whole answer had come"

_End: TypeAlias = Response | TransportError


class Connection(asyncio.Protocol):
    """
    Stands between a socket and h11, which writes and reads the bytes.

    It has no task and no stream: the loop hands it bytes, it answers one future. Once anything
    about it is doubtful it closes at once, so that only a connection at rest is used again.

    Args:
        made: Called when it is connected.
        lost: Called when it is closed, whoever closed it.
    """

    _transport: asyncio.Transport

    def __init__(
        self, *, made: Callable[["Connection"], None], lost: Callable[["Connection"], None]
    ) -> None:
        self._made = made
        self._lost = lost
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._connected = False
        self._aborted = False
        self._interim = 0
        self._answer: asyncio.Future[_End] | None = None
        self._status_code = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = Body()

    async def exchange(self, request: Request, host: str) -> Response:
        """
        Send one request and read its response. Whoever is cancelled in here must `abort`.

        Raises:
            TransportError: There is no response.
        """
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._write(request, host)
        except h11.LocalProtocolError:
            end: _End = TransportError(
                "the request has a URL or a header that HTTP cannot carry", may_have_left=False
            )
        else:
            end = await self._answer
        # Raised out here, in a frame without the bytes of the request: they hold the key.
        if isinstance(end, TransportError):
            raise end
        return end

    def is_at_rest(self) -> bool:
        """Whether the last exchange left it open for another one, and it has been silent since."""
        transport = self._transport
        return not (transport.is_closing() or _has_news(transport.get_extra_info("socket")))

    def abort(self, why: str = _CUT) -> None:
        """Close at once. An exchange on its way ends with a `TransportError` that says why."""
        self._aborted = True
        self._settle(TransportError(why))
        if self._connected:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No isinstance: uvloop's transports are none of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
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
        self._http.receive_data(data)
        self._advance("what came is not an HTTP response")

    def eof_received(self) -> None:
        if self._answer is not None:
            self._http.receive_data(b"")
            self._advance(_CUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(TransportError(f"{_CUT} ({type(exc).__name__})" if exc else _CUT))
        self._lost(self)

    def _write(self, request: Request, host: str) -> None:
        headers = [("Host", host), *request.headers]
        if request.body or request.method != "GET":
            headers.append(("Content-Length", str(len(request.body))))
        events: tuple[h11.Event, ...] = (
            h11.Request(method=request.method, target=target_of(request.url), headers=headers),
            h11.Data(data=request.body),
            h11.EndOfMessage(),
        )
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))

    def _advance(self, fault: str) -> None:
        """Read what has come so far. h11's own words may quote the server, so they stay here."""
        try:
            while self._answer is not None:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return
                self._hear(event)
        except h11.RemoteProtocolError:
            self.abort(fault)

    def _hear(self, event: object) -> None:
        match event:
            case h11.InformationalResponse():
                self._interim += 1
                if self._interim > _MOST_INTERIM:
                    self.abort("interim replies came without an end")
            case h11.Response():
                self._status_code = event.status_code
                self._headers = event.headers.raw_items()
                if is_too_long(self._headers):
                    self.abort(TOO_LONG)
            case h11.Data():
                if not self._body.add(event.data):
                    self.abort(TOO_LONG)
            case h11.EndOfMessage():
                self._finish()

    def _finish(self) -> None:
        self._settle(
            Response(status_code=self._status_code, headers=self._headers, body=self._body.whole())
        )
        # After a response that overtook its request, or that has bytes behind it, nobody could
        # tell what belongs to the next one.
        if (
            self._http.our_state is self._http.their_state is h11.DONE
            and not self._http.trailing_data[0]
            and not self._transport.get_write_buffer_size()
        ):
            self._http.start_next_cycle()
        else:
            self.abort()

    def _settle(self, end: _End) -> None:
        answer, self._answer = self._answer, None
        self._interim = 0
        self._headers, self._body = [], Body()
        if answer is not None and not answer.done():
            # An error goes in as a result, since nobody may be left to retrieve an exception.
            answer.set_result(end)


def _has_news(sock: socket.socket) -> bool:
    """Whether bytes or the end wait at a socket, though the loop may not have seen them yet."""
    if sys.platform == "win32":  # pragma: no cover -- the only one without poll.
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
