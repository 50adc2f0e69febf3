"""Byte ranges: tells by its headers which bytes of a file a response holds. Reads no body."""

import re
from collections.abc import Mapping

from attrs import frozen

_OK, _PARTIAL = 200, 206
# 18 digits fit a 64-bit integer; longer ones are no size of a file.
_CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


@frozen
class KeptBytes:
    """
    The bytes that are already on disk. They begin at the first byte of the file.

    Args:
        size: How many bytes were kept.
        validator: The ETag or Last-Modified of the response that they came from.
        total: The size of the whole file, if that response announced it.
    """

    size: int
    validator: str
    total: int | None


@frozen
class BodyRange:
    """
    The part of a file that a response body holds. `end` is exclusive.

    Args:
        start: 0 for the whole file, else the size of the kept bytes.
        end: Where the body must end; None if the response does not say.
        total: The size of the whole file; None if no response said.
    """

    start: int
    end: int | None
    total: int | None


def body_range(
    status_code: int, headers: Mapping[str, str], kept: KeptBytes | None
) -> BodyRange | None:
    """
    The range that a body holds; None if it cannot be used.

    The body of a 206 continues the kept bytes only if everything known agrees: its start, its
    version, its length and the size of the whole file. It may end before the file does; then the
    caller asks for the rest. In any other case the caller fetches the whole file again.

    Args:
        status_code: The status of the response.
        headers: Its headers, by lower-case name.
        kept: The bytes that the request asked to continue; None if it asked for the whole file.
    """
    length = content_length(headers)
    content_range = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if status_code == _OK:
        # Some servers answer a range with 200 and send only the range.
        is_whole = "content-range" not in headers or _is_whole(content_range, length)
        return BodyRange(0, length, length) if is_whole else None
    if status_code != _PARTIAL or kept is None or content_range is None:
        return None
    start, end = int(content_range[1]), int(content_range[2]) + 1
    total = kept.total if content_range[3] == "*" else int(content_range[3])
    fits = (
        start == kept.size
        and start < end
        and length in (None, end - start)
        # Without a total, a short range would look like the end of the file.
        and total is not None
        and end <= total
        and kept.total in (None, total)
        and _validator_like(kept.validator, headers) == kept.validator
        and is_identity(headers)
    )
    return BodyRange(start, end, total) if fits else None


def is_identity(headers: Mapping[str, str]) -> bool:
    """Whether the body is not compressed."""
    return headers.get("content-encoding", "identity").lower() == "identity"


def content_length(headers: Mapping[str, str]) -> int | None:
    """The announced length of the body; None if there is none, or if it is no number."""
    value = headers.get("content-length", "")
    return int(value) if _CONTENT_LENGTH.fullmatch(value) else None


def validator_of(headers: Mapping[str, str]) -> str:
    """The header that names this version of the file: the ETag or the Last-Modified; "" if none."""
    tag = headers.get("etag", "")
    # A weak ETag may stay the same though the bytes change.
    return tag if tag.startswith('"') else headers.get("last-modified", "")


def _validator_like(validator: str, headers: Mapping[str, str]) -> str | None:
    return headers.get("etag" if validator.startswith('"') else "last-modified")


def _is_whole(content_range: re.Match[str] | None, length: int | None) -> bool:
    if content_range is None or int(content_range[1]) != 0:
        return False
    end = int(content_range[2]) + 1
    return content_range[3] == str(end) and length in (None, end)
