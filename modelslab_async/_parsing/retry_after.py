"""Finds how long a server asks to wait, in its body, headers or message."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

from .json_body import first_text, searchable_part, to_number

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]

MAX_RETRY_AFTER_S = 300.0
_MIN_EPOCH_S = 1e9
_WAIT_PHRASE = re.compile(r"(?:wait|retry|again)\D{0,30}(\d{1,6})\s*(s\b|sec|min)", re.IGNORECASE)


def header(headers: Headers, name: str) -> str | None:
    """Return the value of the header with this lower-case name; None if it is missing."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    for key, value in pairs:
        key_text = key.decode("latin-1") if isinstance(key, bytes) else key
        if key_text.lower() == name:
            return value.decode("latin-1") if isinstance(value, bytes) else value
    return None


def retry_after(
    body: Mapping[str, Any], headers: Headers, received_at: float | None
) -> float | None:
    """
    Return how many seconds the server asks to wait, at most `MAX_RETRY_AFTER_S`, or None.

    The sources are tried in this order: `retry_after` in the body, the header `Retry-After`, the
    header `X-RateLimit-Reset`, the words of the message. If a header contains a date, the wait is
    counted from the header `Date`, because the local clock may be wrong.

    Args:
        body: The fields of the body.
        headers: The HTTP headers.
        received_at: When the response arrived, in seconds since 1970. This time replaces a missing
            header `Date`.
    """
    sent_at = _parse_date(header(headers, "date"))
    now = received_at if sent_at is None else sent_at
    found = (
        to_number(body.get("retry_after")),
        _parse_retry_after(header(headers, "retry-after"), now),
        _parse_reset(to_number(header(headers, "x-ratelimit-reset")), now),
        _delay_in_text(first_text(body, "message", "messege")),
        _delay_in_text(first_text(body, "tips")),
    )
    return next((min(seconds, MAX_RETRY_AFTER_S) for seconds in found if seconds is not None), None)


def _parse_retry_after(value: str | None, now: float | None) -> float | None:
    seconds = to_number(value)
    return _seconds_until(_parse_date(value), now) if seconds is None else seconds


def _parse_reset(value: float | None, now: float | None) -> float | None:
    # `X-RateLimit-Reset` is documented as seconds since 1970. A value below `_MIN_EPOCH_S` cannot
    # be a current time, so read it as the number of seconds to wait.
    return value if value is not None and value < _MIN_EPOCH_S else _seconds_until(value, now)


def _seconds_until(moment: float | None, now: float | None) -> float | None:
    return None if moment is None or now is None else max(0.0, moment - now)


def _parse_date(value: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (TypeError, ValueError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _delay_in_text(text: str) -> float | None:
    found = _WAIT_PHRASE.search(searchable_part(text))
    if not found:
        return None
    return float(found[1]) * (60.0 if found[2].lower() == "min" else 1.0)
