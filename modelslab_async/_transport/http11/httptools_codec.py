"""A codec that uses httptools, whose C parser takes 2 us per response. It does no I/O."""

import re
from collections.abc import Callable
from typing import NoReturn

import httptools

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

# Patterns of the methods, targets, header names and header values that RFC 9110 and RFC 9112 allow,
# in ASCII only.
_NAME_PATTERN = r"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_match_request_line = re.compile(rf"{_NAME_PATTERN} [\x21-\x7e]+ ").fullmatch
_match_header_line = re.compile(
    rf"{_NAME_PATTERN}: (?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?"
).fullmatch
_HTTP_VERSIONS = ("1.1", "1.0")
_TRANSFER_ENCODING = b"transfer-encoding"
_LENGTH_HEADERS = (b"content-length", _TRANSFER_ENCODING)
_SWITCHING_PROTOCOLS = 101
_FIRST_FINAL_STATUS = 200
# The maximum number of received bytes for each byte of a body. A body in chunks of one byte needs
# 6, because chunked encoding adds 5 bytes to each chunk.
_MAX_WIRE_BYTES_PER_BODY_BYTE = 8


class HttptoolsCodec:
    """A `Codec` over httptools, whose parser calls the `on_...` methods."""

    def __init__(self, *, target_of: Callable[[str], str] = request_target) -> None:
        self._target_of = target_of
        self._parser = httptools.HttpResponseParser(self)
        # The host and headers of the previous request, and their encoded form. Most requests have
        # the same host and headers.
        self._cached_head: tuple[str, tuple[tuple[str, str], ...], str] = ("", (), "")
        self._interim_count = 0
        self._reset()

    @property
    def is_unchunked(self) -> bool:
        """Whether a body is being received without the chunked transfer encoding."""
        return self._in_body and all(
            name.lower() != _TRANSFER_ENCODING for name, _ in self._headers
        )

    def encode(self, request: Request, host: str) -> bytes:
        """Return the bytes of a request."""
        if request.method == "HEAD":
            # Refuse HEAD. A response to HEAD has no body, but httptools would wait for one.
            raise UnsendableError
        target = self._target_of(request.url)
        if not _match_request_line(f"{request.method} {target} "):
            raise UnsendableError
        if self._cached_head[:2] != (host, request.headers):
            self._cached_head = (host, request.headers, _encode_headers(host, request.headers))
        length = ""
        if request.body or request.method != "GET":
            length = f"Content-Length: {len(request.body)}\r\n"
        head = f"{request.method} {target} HTTP/1.1\r\n{self._cached_head[2]}{length}\r\n"
        return head.encode() + request.body

    def feed(self, data: bytes) -> Response | None:
        """Parse received bytes. Return the response once it is complete."""
        if not data:
            return self._finish_at_eof()
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._response is None:
                raise UnreadableError(self._problem) from None
            # The response is complete, but the parser failed at bytes that followed the response.
            self._is_reusable = False
        if self._response is None:
            if (
                self._received_bytes
                > MAX_HEAD_BYTES + _MAX_WIRE_BYTES_PER_BODY_BYTE * self._body.length
            ):
                raise UnreadableError(NOT_HTTP)
        elif data.endswith(b"\r\n") and self._has_extra_line(data):
            self._is_reusable = False
        return self._response

    def prepare_next(self) -> bool:
        """Get ready for the next exchange. Return whether the connection can be used again."""
        is_reusable = self._is_reusable
        self._reset()
        return is_reusable

    def on_message_begin(self) -> None:
        """
        Handle the start of a response.

        If the parser finds a second response, the connection must not be used again.
        """
        if self._response is not None:
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header. Ignore trailers, which come after a chunked body."""
        if not self._in_body:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head of the response after its last header."""
        if self._response is None:
            self._in_body = True
            if is_too_long(self._headers):
                self._fail(BODY_TOO_LONG)
            self._is_reusable = self._parser.should_keep_alive()
            if self._parser.get_http_version() not in _HTTP_VERSIONS:
                raise ValueError(self._problem)

    def on_chunk_header(self) -> None:
        """Record that the body is chunked."""
        self._is_chunked = True

    def on_body(self, data: bytes) -> None:
        """Store a part of the body."""
        if self._response is None and (problem := self._body.add(data)):
            self._fail(problem)

    def on_message_complete(self) -> None:
        """Store a final response. An interim (1xx) response is counted, and not stored."""
        if self._response is not None:
            return
        status_code = self._parser.get_status_code()
        if status_code >= _FIRST_FINAL_STATUS:
            self._complete(status_code)
        elif status_code != _SWITCHING_PROTOCOLS:
            self._reset()
            self._interim_count += 1
            if self._interim_count > MAX_INTERIM_RESPONSES:
                self._fail(TOO_MANY_INTERIM)

    def _fail(self, reason: str) -> NoReturn:
        """Stop the parser. Store the reason, because the parser's exception does not contain it."""
        self._problem = reason
        raise ValueError(reason)

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = BodyBuffer()
        self._received_bytes = 0
        self._in_body = self._is_chunked = self._is_reusable = False
        self._problem = NOT_HTTP
        self._response: Response | None = None

    def _complete(self, status_code: int) -> None:
        self._interim_count = 0
        self._response = Response(
            status_code=status_code, headers=self._headers, body=self._body.getvalue()
        )

    def _finish_at_eof(self) -> Response | None:
        """
        Return a response without a length, which ends when the server closes the connection.

        Raises:
            UnreadableError: The response is incomplete.
        """
        has_length = self._is_chunked or any(
            name.lower() in _LENGTH_HEADERS for name, _ in self._headers
        )
        if not self._in_body or has_length:
            raise UnreadableError(CONNECTION_CLOSED)
        self._complete(self._parser.get_status_code())
        return self._response

    def _has_extra_line(self, data: bytes) -> bool:
        """Return whether an empty line follows the response. httptools ignores such a line."""
        if self._response is not None and self._response.body and not self._is_chunked:
            return not self._response.body.endswith(b"\r\n")
        return data.endswith(b"\r\n\r\n\r\n")


def _encode_headers(host: str, headers: tuple[tuple[str, str], ...]) -> str:
    fields = [f"{name}: {value}" for name, value in (("Host", host), *headers)]
    # Match each header separately. In one match of all headers, a value with a line break would
    # look like two headers.
    if not all(map(_match_header_line, fields)):
        raise UnsendableError
    return "".join(f"{field}\r\n" for field in fields)
