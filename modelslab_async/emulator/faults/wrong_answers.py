"""Answers: whole replies that a server in trouble gives in place of the truth. Sends nothing."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType

from attrs import field, frozen

_DEEP = 1_000_000
_ENCODINGS = ("gzip", "deflate", "gzip", "deflate", "gzip", "deflate")
_NOW = 1_795_168_800  # Friday, 20 November 2026, 10:00 UTC: hints count from the reply's own date.
_PAGE = b"<!doctype html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"


@frozen(kw_only=True)
class Means:
    """
    What some faults need to know.

    Args:
        every: Seconds between two bytes that drip, until a slow answer, or that a port is closed.
        hint: Seconds that the hints ask to wait.
        elsewhere: The URL of another server, where redirects and links lead.
    """

    every: float = 1.0
    hint: float = 30.0
    elsewhere: str = "http://elsewhere.invalid/"


@frozen(kw_only=True)
class Answer:
    """One whole reply."""

    status_code: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


def _json(value: object, status_code: int = 200, *headers: tuple[str, str]) -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(
        status_code=status_code,
        headers=(("content-type", "application/json"), *headers),
        body=body,
    )


def _said(status_code: int, message: str, *headers: tuple[str, str], **more: object) -> Answer:
    return _json({"status": "error", "message": message, **more}, status_code, *headers)


def _html(status_code: int, title: bytes) -> Answer:
    headers = (("content-type", "text/html; charset=UTF-8"),)
    return Answer(status_code=status_code, headers=headers, body=_PAGE % (title, title))


def _limited(*headers: tuple[str, str], **more: object) -> Answer:
    return _said(429, "Too many requests.", *headers, **more)


def _date(seconds: float) -> str:
    return formatdate(_NOW + seconds, usegmt=True)


def _moved(status_code: int, place: str) -> Answer:
    return Answer(status_code=status_code, headers=(("location", place),))


def _squeezed(body: bytes) -> bytes:
    for encoding in _ENCODINGS:
        body = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
    return body


def _bomb(mebibytes: int = 1024) -> bytes:
    """A gzip stream of so many MiB of blanks; its end is missing, which is noticed too late."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + block * mebibytes


_FINISHED = {"status": "success", "id": 1, "output": ["https://elsewhere.invalid/wrong.png"]}

# What each answer is, and how it is made.
ANSWERS: Mapping[str, tuple[str, Callable[[Means], Answer]]] = MappingProxyType(
    {
        "html": (
            "a page of HTML with status 200",
            lambda _: _html(200, b"Just a moment..."),
        ),
        "html_502": ("a page of HTML with status 502", lambda _: _html(502, b"Bad gateway")),
        "html_404": ("a page of HTML with status 404", lambda _: _html(404, b"Not Found")),
        "empty": ("no body at all", lambda _: _json(b"")),
        "no_content": ("status 204", lambda _: Answer(status_code=204)),
        "half_json": ("half a JSON object", lambda _: _json(b'{"status": "success", "outp')),
        "json_list": ("a JSON list", lambda _: _json([_FINISHED])),
        "json_null": ("a JSON null", lambda _: _json(None)),
        "nan": ("a status that is NaN", lambda _: _json(b'{"status": NaN, "eta": Infinity}')),
        "digits": (
            "a number of 10,000 digits",
            lambda _: _json(b'{"status": ' + b"9" * 10_000 + b"}"),
        ),
        "nested": ("a million nested brackets", lambda _: _json(b"[" * _DEEP + b"]" * _DEEP)),
        "nested_objects": (
            "a hundred thousand nested objects",
            lambda _: _json(b'{"status":' * 100_000 + b"1" + b"}" * 100_000),
        ),
        "no_status": ("JSON without a status", lambda _: _json({"message": "Server Error"})),
        "not_utf8": ("bytes that are no text", lambda _: _json(b'{"status": "\xff\xfe\x80"')),
        "gzip_bomb": (
            "a gigabyte packed into a megabyte, though no packing was asked for",
            lambda _: _json(_bomb(), 200, ("content-encoding", "gzip")),
        ),
        "packed": (
            "a reply packed with gzip, though no packing was asked for",
            lambda _: _json(
                gzip.compress(json.dumps(_FINISHED).encode()), 200, ("content-encoding", "gzip")
            ),
        ),
        "packed_six_times": (
            "a reply packed six times over",
            lambda _: _json(
                _squeezed(json.dumps(_FINISHED).encode()),
                200,
                ("content-encoding", ", ".join(_ENCODINGS)),
            ),
        ),
        "redirect_301": ("a 301 to another host", lambda by: _moved(301, by.elsewhere)),
        "redirect_302": ("a 302 to another host", lambda by: _moved(302, by.elsewhere)),
        "redirect_303": ("a 303 to another host", lambda by: _moved(303, by.elsewhere)),
        "redirect_307": ("a 307 to another host", lambda by: _moved(307, by.elsewhere)),
        "redirect_308": ("a 308 to another host", lambda by: _moved(308, by.elsewhere)),
        "redirect_plain": (
            "a 307 from https to http",
            lambda by: _moved(307, by.elsewhere.replace("https://", "http://", 1)),
        ),
        "redirect_loop": ("a 307 to the same place again", lambda _: _moved(307, "")),
        "misdirect": (
            "an honest-looking reply whose links lead to another host",
            lambda by: _json(
                {
                    "status": "processing",
                    "eta": 1,
                    "fetch_result": by.elsewhere,
                    "future_links": [by.elsewhere],
                }
            ),
        ),
        "status_400": ("status 400", lambda _: _said(400, "The request is wrong.")),
        "status_401": ("status 401", lambda _: _said(401, "Invalid API key")),
        "status_402": ("status 402", lambda _: _said(402, "Payment required.")),
        "status_403": ("status 403", lambda _: _said(403, "Not for this plan.")),
        "status_404": ("status 404 for the id", lambda _: _said(404, "Request not found")),
        "status_408": ("status 408", lambda _: _said(408, "Request timeout.")),
        "status_422": ("status 422", lambda _: _said(422, "The id is wrong.")),
        "status_425": ("status 425", lambda _: _said(425, "Too early.")),
        "status_500": ("status 500", lambda _: _json({"message": "Server Error"}, 500)),
        "status_502": ("status 502", lambda _: _said(502, "Bad gateway.")),
        "status_503": ("status 503", lambda _: _said(503, "Busy.")),
        "status_504": ("status 504", lambda _: _said(504, "Gateway timeout.")),
        "words_401": (
            "the words of a refused key in a 200",
            lambda _: _said(200, "Invalid API key"),
        ),
        "words_402": (
            "the words of an empty account in a 200",
            lambda _: _said(200, "Insufficient credits."),
        ),
        "words_403": (
            "the words of a plan that does not cover it in a 200",
            lambda _: _said(200, "This feature requires a premium subscription"),
        ),
        "words_422": (
            "the words of a wrong request in a 200",
            lambda _: _said(200, "Invalid API Request"),
        ),
        "busy": (
            "status 503 with `Retry-After` in seconds",
            lambda by: _said(503, "Busy.", ("retry-after", f"{by.hint:g}")),
        ),
        "limit": ("status 429 without a hint", lambda _: _limited()),
        "limit_seconds": (
            "status 429 with `Retry-After` in seconds",
            lambda by: _limited(("retry-after", f"{by.hint:g}")),
        ),
        "limit_date": (
            "status 429 with `Retry-After` as an HTTP date",
            lambda by: _limited(("date", _date(0.0)), ("retry-after", _date(by.hint))),
        ),
        "limit_past": (
            "status 429 with `Retry-After` as a date long past",
            lambda _: _limited(("date", _date(0.0)), ("retry-after", _date(-86_400.0))),
        ),
        "limit_reset": (
            "status 429 with `X-RateLimit-Reset` in seconds since 1970",
            lambda by: _limited(
                ("date", _date(0.0)), ("x-ratelimit-reset", f"{_NOW + by.hint:.0f}")
            ),
        ),
        "limit_huge": (
            "status 429 that asks for 10^12 seconds",
            lambda _: _limited(("retry-after", "1000000000000")),
        ),
        "limit_garbage": (
            "status 429 with a `Retry-After` that is neither number nor date",
            lambda _: _limited(("retry-after", "in a while")),
        ),
        "limit_negative": (
            "status 429 with a negative `Retry-After`",
            lambda _: _limited(("retry-after", "-30")),
        ),
        "limit_nan": (
            "status 429 with a `Retry-After` of NaN",
            lambda _: _limited(("retry-after", "nan")),
        ),
        "limit_body": (
            "status 429 with the hint in its body alone",
            lambda by: _limited(retry_after=by.hint),
        ),
        "limit_words": (
            "a 200 whose words are those of a rate limit",
            lambda by: _said(
                200,
                "Rate limit exceeded",
                tips=f"spam filter is enabled, please wait for {by.hint:.0f} seconds and try again",
            ),
        ),
    }
)
