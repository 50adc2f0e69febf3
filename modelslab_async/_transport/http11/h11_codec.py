"""A codec that uses h11, a strict parser in pure Python. It does no I/O."""

from collections.abc import Callable

import h11

from ..transport_protocol import (
    BODY_TOO_LONG,
    MAX_INTERIM_RESPONSES,
    TOO_MANY_INTERIM,
    BodyBuffer,
    Request,
    Response,
    is_too_long,
    request_target,
)
from .codec import CONNECTION_CLOSED, MAX_HEAD_BYTES, NOT_HTTP, UnreadableError, UnsendableError

_TRANSFER_ENCODING = b"transfer-encoding"


class H11Codec:
    """A `Codec` over h11. Its errors omit the messages of h11, which may quote the request."""

    def __init__(self, *, target_of: Callable[[str], str] = request_target) -> None:
        self._target_of = target_of
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._status_code = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = BodyBuffer()
        self._interim_count = 0
        self.is_unchunked = False

    def encode(self, request: Request, host: str) -> bytes:
        """Return the bytes of a request."""
        headers = [("Host", host), *request.headers]
        if request.body or request.method != "GET":
            headers.append(("Content-Length", str(len(request.body))))
        try:
            events: tuple[h11.Event, ...] = (
                h11.Request(
                    method=request.method, target=self._target_of(request.url), headers=headers
                ),
                h11.Data(data=request.body),
                h11.EndOfMessage(),
            )
            return b"".join(self._h11.send(event) or b"" for event in events)
        except h11.LocalProtocolError:
            raise UnsendableError from None

    def feed(self, data: bytes) -> Response | None:
        """Parse received bytes. Return the response once it is complete."""
        self._h11.receive_data(data)
        try:
            while (event := self._h11.next_event()) is not h11.NEED_DATA:
                if (response := self._on_event(event)) is not None:
                    return response
        except h11.RemoteProtocolError:
            raise UnreadableError(NOT_HTTP if data else CONNECTION_CLOSED) from None
        return None

    def prepare_next(self) -> bool:
        """Get ready for the next exchange. Return whether the connection can be used again."""
        done = self._h11.our_state is self._h11.their_state is h11.DONE
        if not done or self._h11.trailing_data[0]:
            return False
        self._h11.start_next_cycle()
        return True

    def _on_event(self, event: object) -> Response | None:
        match event:
            case h11.InformationalResponse():
                self._interim_count += 1
                if self._interim_count > MAX_INTERIM_RESPONSES:
                    raise UnreadableError(TOO_MANY_INTERIM)
            case h11.Response():
                self._status_code = event.status_code
                self._headers = event.headers.raw_items()
                self.is_unchunked = all(
                    name.lower() != _TRANSFER_ENCODING for name, _ in self._headers
                )
                if is_too_long(self._headers):
                    raise UnreadableError(BODY_TOO_LONG)
            case h11.Data():
                if problem := self._body.add(event.data):
                    raise UnreadableError(problem)
            case h11.EndOfMessage():
                return self._take_response()
        return None

    def _take_response(self) -> Response:
        headers, self._headers = self._headers, []
        body, self._body = self._body, BodyBuffer()
        self._interim_count = 0
        self.is_unchunked = False
        return Response(status_code=self._status_code, headers=headers, body=body.getvalue())
