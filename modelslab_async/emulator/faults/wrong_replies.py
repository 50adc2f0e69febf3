"""Makes the wrong replies that a faulty server sends in place of correct ones."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Protocol

from .. import shared_replies
from .raw_http import RawReply

_NESTING_DEPTH = 1_000_000
_ENCODINGS = ("gzip", "deflate", "gzip", "deflate", "gzip", "deflate")
# The time in the `Date` header of a wrong reply: 20 November 2026, 10:00 UTC. If `Retry-After` is a
# date too, the client waits for the difference between the two dates.
_REPLY_TIME_UNIX_S = 1_795_168_800


class FaultSettings(Protocol):
    """Settings that only some faults use, such as the delay of a slow reply."""

    @property
    def delay(self) -> float: ...
    @property
    def hint(self) -> float: ...
    @property
    def foreign_url(self) -> str: ...


def json_reply(value: object, status_code: int = 200, *headers: tuple[str, str]) -> RawReply:
    """
    Make a reply whose body is this value as JSON.

    A value of type `bytes` becomes the body unchanged, so that the body can be invalid JSON.
    """
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return RawReply(
        status_code=status_code,
        headers=(("content-type", "application/json"), *headers),
        body=body,
    )


def _error_reply(
    status_code: int, message: str, *headers: tuple[str, str], **extra: object
) -> RawReply:
    return json_reply({"status": "error", "message": message, **extra}, status_code, *headers)


def _html_reply(status_code: int, title: str) -> RawReply:
    headers = (("content-type", "text/html; charset=UTF-8"),)
    return RawReply(status_code=status_code, headers=headers, body=shared_replies.html_page(title))


def _rate_limit_reply(*headers: tuple[str, str], **extra: object) -> RawReply:
    return _error_reply(429, "Too many requests.", *headers, **extra)


def _http_date(seconds: float) -> str:
    return formatdate(_REPLY_TIME_UNIX_S + seconds, usegmt=True)


def _redirect(status_code: int, location: str) -> RawReply:
    return RawReply(status_code=status_code, headers=(("location", location),))


def _encode_six_times(body: bytes) -> bytes:
    for encoding in _ENCODINGS:
        body = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    return body


def _gzip_bomb(mebibytes: int = 1024) -> bytes:
    """Compress this many MiB of blanks with gzip, and leave out the end of the stream."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = compressor.compress(b" " * 2**20) + compressor.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + block * mebibytes


WRONG_SUCCESS = {"status": "success", "id": 1, "output": ["https://elsewhere.invalid/wrong.png"]}
"""A success reply that belongs to no job."""

WRONG_REPLIES: Mapping[str, tuple[str, Callable[[FaultSettings], RawReply]]] = MappingProxyType(
    {
        "html": (
            "an HTML page with status 200",
            lambda _: _html_reply(200, "Just a moment..."),
        ),
        "html_502": ("an HTML page with status 502", lambda _: _html_reply(502, "Bad gateway")),
        "html_404": ("an HTML page with status 404", lambda _: _html_reply(404, "Not Found")),
        "empty_body": ("an empty body", lambda _: json_reply(b"")),
        "no_content": ("status 204", lambda _: RawReply(status_code=204)),
        "half_json": ("half a JSON object", lambda _: json_reply(b'{"status": "success", "outp')),
        "json_list": ("a JSON list", lambda _: json_reply([WRONG_SUCCESS])),
        "json_null": ("a JSON null", lambda _: json_reply(None)),
        "nan": ("a status that is NaN", lambda _: json_reply(b'{"status": NaN, "eta": Infinity}')),
        "huge_number": (
            "a number of 10,000 digits",
            lambda _: json_reply(b'{"status": ' + b"9" * 10_000 + b"}"),
        ),
        "nested_lists": (
            "a million nested brackets",
            lambda _: json_reply(b"[" * _NESTING_DEPTH + b"]" * _NESTING_DEPTH),
        ),
        "nested_objects": (
            "a hundred thousand nested objects",
            lambda _: json_reply(b'{"status":' * 100_000 + b"1" + b"}" * 100_000),
        ),
        "no_status": ("JSON without a status", lambda _: json_reply({"message": "Server Error"})),
        "not_utf8": (
            "bytes that are not UTF-8",
            lambda _: json_reply(b'{"status": "\xff\xfe\x80"'),
        ),
        "gzip_bomb": (
            "a gigabyte compressed into a megabyte, though no encoding was requested",
            lambda _: json_reply(_gzip_bomb(), 200, ("content-encoding", "gzip")),
        ),
        "unrequested_gzip": (
            "a reply compressed with gzip, though no encoding was requested",
            lambda _: json_reply(
                gzip.compress(json.dumps(WRONG_SUCCESS).encode()), 200, ("content-encoding", "gzip")
            ),
        ),
        "six_encodings": (
            "a reply compressed six times over",
            lambda _: json_reply(
                _encode_six_times(json.dumps(WRONG_SUCCESS).encode()),
                200,
                ("content-encoding", ", ".join(_ENCODINGS)),
            ),
        ),
        "redirect_301": (
            "a 301 to another host",
            lambda settings: _redirect(301, settings.foreign_url),
        ),
        "redirect_302": (
            "a 302 to another host",
            lambda settings: _redirect(302, settings.foreign_url),
        ),
        "redirect_303": (
            "a 303 to another host",
            lambda settings: _redirect(303, settings.foreign_url),
        ),
        "redirect_307": (
            "a 307 to another host",
            lambda settings: _redirect(307, settings.foreign_url),
        ),
        "redirect_308": (
            "a 308 to another host",
            lambda settings: _redirect(308, settings.foreign_url),
        ),
        "redirect_to_http": (
            "a 307 from https to http",
            lambda settings: _redirect(307, settings.foreign_url.replace("https://", "http://", 1)),
        ),
        "redirect_loop": ("a 307 to the same URL", lambda _: _redirect(307, "")),
        "foreign_links": (
            "a valid reply whose links lead to another host",
            lambda settings: json_reply(
                {
                    "status": "processing",
                    "eta": 1,
                    "fetch_result": settings.foreign_url,
                    "future_links": [settings.foreign_url],
                }
            ),
        ),
        "status_400": ("status 400", lambda _: _error_reply(400, "The request is wrong.")),
        "status_401": ("status 401", lambda _: _error_reply(401, "Invalid API key")),
        "status_402": ("status 402", lambda _: _error_reply(402, "Payment required.")),
        "status_403": ("status 403", lambda _: _error_reply(403, "Not for this plan.")),
        "status_404": ("status 404 for the id", lambda _: _error_reply(404, "Request not found")),
        "status_408": ("status 408", lambda _: _error_reply(408, "Request timeout.")),
        "status_422": ("status 422", lambda _: _error_reply(422, "The id is wrong.")),
        "status_425": ("status 425", lambda _: _error_reply(425, "Too early.")),
        "status_500": ("status 500", lambda _: json_reply({"message": "Server Error"}, 500)),
        "status_502": ("status 502", lambda _: _error_reply(502, "Bad gateway.")),
        "status_503": ("status 503", lambda _: _error_reply(503, "Busy.")),
        "status_504": ("status 504", lambda _: _error_reply(504, "Gateway timeout.")),
        "message_401": (
            "a 200 with the message of a refused key",
            lambda _: _error_reply(200, "Invalid API key"),
        ),
        "message_402": (
            "a 200 with the message of an empty account",
            lambda _: _error_reply(200, "Insufficient credits."),
        ),
        "message_403": (
            "a 200 with the message of a plan that does not cover the request",
            lambda _: _error_reply(200, "This feature requires a premium subscription"),
        ),
        "message_422": (
            "a 200 with the message of a wrong request",
            lambda _: _error_reply(200, "Invalid API Request"),
        ),
        "status_503_retry_after": (
            "status 503 with `Retry-After` in seconds",
            lambda settings: _error_reply(503, "Busy.", ("retry-after", f"{settings.hint:g}")),
        ),
        "rate_limit": ("status 429 without a hint", lambda _: _rate_limit_reply()),
        "rate_limit_seconds": (
            "status 429 with `Retry-After` in seconds",
            lambda settings: _rate_limit_reply(("retry-after", f"{settings.hint:g}")),
        ),
        "rate_limit_date": (
            "status 429 with `Retry-After` as an HTTP date",
            lambda settings: _rate_limit_reply(
                ("date", _http_date(0.0)), ("retry-after", _http_date(settings.hint))
            ),
        ),
        "rate_limit_past": (
            "status 429 with `Retry-After` as a date in the past",
            lambda _: _rate_limit_reply(
                ("date", _http_date(0.0)), ("retry-after", _http_date(-86_400.0))
            ),
        ),
        "rate_limit_reset": (
            "status 429 with `X-RateLimit-Reset` in seconds since 1970",
            lambda settings: _rate_limit_reply(
                ("date", _http_date(0.0)),
                ("x-ratelimit-reset", f"{_REPLY_TIME_UNIX_S + settings.hint:.0f}"),
            ),
        ),
        "rate_limit_huge": (
            "status 429 that asks for 10^12 seconds",
            lambda _: _rate_limit_reply(("retry-after", "1000000000000")),
        ),
        "rate_limit_garbage": (
            "status 429 with a `Retry-After` that is neither a number nor a date",
            lambda _: _rate_limit_reply(("retry-after", "in a while")),
        ),
        "rate_limit_negative": (
            "status 429 with a negative `Retry-After`",
            lambda _: _rate_limit_reply(("retry-after", "-30")),
        ),
        "rate_limit_nan": (
            "status 429 with a `Retry-After` of NaN",
            lambda _: _rate_limit_reply(("retry-after", "nan")),
        ),
        "rate_limit_body": (
            "status 429 with the hint in its body only",
            lambda settings: _rate_limit_reply(retry_after=settings.hint),
        ),
        "rate_limit_message": (
            "a 200 with the message of a rate limit",
            lambda settings: _error_reply(
                200,
                "Rate limit exceeded",
                tips=(
                    f"spam filter is enabled, please wait for {settings.hint:.0f} seconds and "
                    "try again"
                ),
            ),
        ),
    }
)
"""For each wrong reply: its description, and the function that makes it."""
