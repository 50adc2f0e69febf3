"""HTTP/1.1 over httptools: llhttp, the parser of Node.js, reads a response in two microseconds."""

import re
from typing import NoReturn

import httptools

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

# The tokens, targets and values that RFC 9110 and 9112 let stand in a head.
_NAME = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_LINE = re.compile(rf"{_NAME} [\x21-\x7e]+ ").fullmatch
_FIELD = re.compile(rf"{_NAME}: (?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?").fullmatch
_VERSIONS = ("1.1", "1.0")
_CODING = b"transfer-encoding"
_LENGTHS = (b"content-length", _CODING)
_SWITCHING = 101
_FINAL = 200
# A byte in a chunk of its own takes six: wasteful but legal. What takes far more is no body.
_FRAME = 8


class HttptoolsMessages:
    """See `Messages`. The parser calls the methods whose names begin with `on_`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # What the request before said beside its target: most of the next say the same.
        self._prepared: tuple[str, tuple[tuple[str, str], ...], str] = ("", (), "")
        self._interim = 0
        self._begin()

    @property
    def in_one_piece(self) -> bool:
        """See `Messages.in_one_piece`."""
        return self._in_body and all(name.lower() != _CODING for name, _ in self._headers)

    def written(self, request: Request, host: str) -> bytes:
        """See `Messages.written`."""
        if request.method == "HEAD":
            # The parser cannot be told that the answer has no body, whatever length it tells.
            raise UnsendableError
        target = target_of(request.url)
        if not _LINE(f"{request.method} {target} "):
            raise UnsendableError
        if self._prepared[:2] != (host, request.headers):
            self._prepared = (host, request.headers, _fields(host, request.headers))
        length = ""
        if request.body or request.method != "GET":
            length = f"Content-Length: {len(request.body)}\r\n"
        head = f"{request.method} {target} HTTP/1.1\r\n{self._prepared[2]}{length}\r\n"
        return head.encode() + request.body

    def read(self, data: bytes) -> Response | None:
        """See `Messages.read`."""
        if not data:
            return self._ended()
        self._taken += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._response is None:
                raise UnreadableError(self._trouble) from None
            # Nobody has asked what it is that comes behind a whole response.
            self._renewable = False
        if self._response is None:
            if self._taken > LONGEST_HEAD + _FRAME * self._body.length:
                raise UnreadableError(NO_RESPONSE)
        elif data.endswith(b"\r\n") and self._has_a_line_too_much(data):
            self._renewable = False
        return self._response

    def renew(self) -> bool:
        """See `Messages.renew`."""
        renewable = self._renewable
        self._begin()
        return renewable

    def on_message_begin(self) -> None:
        """A response begins: the one that was asked for, or one too many."""
        if self._response is not None:
            self._renewable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come or, behind the chunks, a trailer."""
        if not self._in_body:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head has come."""
        if self._response is None:
            self._in_body = True
            if is_too_long(self._headers):
                self._give_up(TOO_LONG)
            self._renewable = self._parser.should_keep_alive()
            if self._parser.get_http_version() not in _VERSIONS:
                raise ValueError(self._trouble)

    def on_chunk_header(self) -> None:
        """Some of the body is announced by its length."""
        self._chunked = True

    def on_body(self, data: bytes) -> None:
        """Some of the body has come."""
        if self._response is None and (trouble := self._body.add(data)):
            self._give_up(trouble)

    def on_message_complete(self) -> None:
        """The response is whole, or it was one of those that may go before it."""
        if self._response is not None:
            return
        status_code = self._parser.get_status_code()
        if status_code >= _FINAL:
            self._complete(status_code)
        elif status_code != _SWITCHING:
            self._begin()
            self._interim += 1
            if self._interim > MOST_INTERIM:
                self._give_up(ENDLESS_INTERIM)

    def _give_up(self, why: str) -> NoReturn:
        """Leave the parser, which asks nobody why."""
        self._trouble = why
        raise ValueError(why)

    def _begin(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = Body()
        self._taken = 0
        self._in_body = self._chunked = self._renewable = False
        self._trouble = NO_RESPONSE
        self._response: Response | None = None

    def _complete(self, status_code: int) -> None:
        self._interim = 0
        self._response = Response(
            status_code=status_code, headers=self._headers, body=self._body.whole()
        )

    def _ended(self) -> Response | None:
        """What a connection that has ended leaves: a body may be as long as it lasted."""
        told = self._chunked or any(name.lower() in _LENGTHS for name, _ in self._headers)
        if not self._in_body or told:
            raise UnreadableError(CUT)
        self._complete(self._parser.get_status_code())
        return self._response

    def _has_a_line_too_much(self, data: bytes) -> bool:
        """Whether an empty line follows the response: the parser passes it over."""
        if self._response is not None and self._response.body and not self._chunked:
            return not self._response.body.endswith(b"\r\n")
        return data.endswith(b"\r\n\r\n\r\n")


def _fields(host: str, headers: tuple[tuple[str, str], ...]) -> str:
    fields = [f"{name}: {value}" for name, value in (("Host", host), *headers)]
    # Each for itself: a value with a line break in it would pass for two fields.
    if not all(map(_FIELD, fields)):
        raise UnsendableError
    return "".join(f"{field}\r\n" for field in fields)
