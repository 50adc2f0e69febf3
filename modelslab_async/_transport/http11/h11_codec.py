"""HTTP/1.1 over h11, which httpx brings: written in Python, strict, and enough for most."""

import h11

from ..base import TOO_LONG, Body, Request, Response, is_too_long
from ..urls import target_of
from .codec import (
    CUT,
    ENDLESS_INTERIM,
    LONGEST_HEAD,
    MOST_INTERIM,
    NO_RESPONSE,
    UnreadableError,
    UnsendableError,
)

_CODING = b"transfer-encoding"


class H11Messages:
    """See `Messages`. h11's own words may quote the server or the request, so they stay here."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LONGEST_HEAD)
        self._status_code = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = Body()
        self._interim = 0
        self.in_one_piece = False

    def written(self, request: Request, host: str) -> bytes:
        """See `Messages.written`."""
        headers = [("Host", host), *request.headers]
        if request.body or request.method != "GET":
            headers.append(("Content-Length", str(len(request.body))))
        try:
            events: tuple[h11.Event, ...] = (
                h11.Request(method=request.method, target=target_of(request.url), headers=headers),
                h11.Data(data=request.body),
                h11.EndOfMessage(),
            )
            return b"".join(self._http.send(event) or b"" for event in events)
        except h11.LocalProtocolError:
            raise UnsendableError from None

    def read(self, data: bytes) -> Response | None:
        """See `Messages.read`."""
        self._http.receive_data(data)
        try:
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if (response := self._hear(event)) is not None:
                    return response
        except h11.RemoteProtocolError:
            raise UnreadableError(NO_RESPONSE if data else CUT) from None
        return None

    def renew(self) -> bool:
        """See `Messages.renew`."""
        done = self._http.our_state is self._http.their_state is h11.DONE
        if not done or self._http.trailing_data[0]:
            return False
        self._http.start_next_cycle()
        return True

    def _hear(self, event: object) -> Response | None:
        match event:
            case h11.InformationalResponse():
                self._interim += 1
                if self._interim > MOST_INTERIM:
                    raise UnreadableError(ENDLESS_INTERIM)
            case h11.Response():
                self._status_code = event.status_code
                self._headers = event.headers.raw_items()
                self.in_one_piece = all(name.lower() != _CODING for name, _ in self._headers)
                if is_too_long(self._headers):
                    raise UnreadableError(TOO_LONG)
            case h11.Data():
                if trouble := self._body.add(event.data):
                    raise UnreadableError(trouble)
            case h11.EndOfMessage():
                return self._whole()
        return None

    def _whole(self) -> Response:
        headers, self._headers = self._headers, []
        body, self._body = self._body, Body()
        self._interim = 0
        self.in_one_piece = False
        return Response(status_code=self._status_code, headers=headers, body=body.whole())
