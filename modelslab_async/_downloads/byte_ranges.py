"""Reads the headers of a response, to determine which bytes of a file the response holds."""

import re
from collections.abc import Mapping

from attrs import frozen

_OK, _PARTIAL = 200, 206
# A length in a header may have at most 18 digits, so that it fits a 64-bit integer. Real files are
# far shorter.
_CONTENT_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


@frozen
class KeptBytes:
    """
    The first bytes of a file, which an interrupted transfer has left behind.

    Args:
        size: The number of these bytes.
        validator: The ETag or Last-Modified of the response that sent these bytes.
        total: The size of the whole file. None if no response announced that size.
    """

    size: int
    validator: str
    total: int | None


@frozen
class BodyRange:
    """
    Which bytes of a file the body of a response holds.

    Args:
        start: The offset of the first byte: either 0, or the number of bytes already received.
        end: The offset after the last byte. None if the response does not announce it.
        total: The size of the whole file. None if no response announced that size.
    """

    start: int
    end: int | None
    total: int | None


def body_range(
    status_code: int, headers: Mapping[str, str], kept: KeptBytes | None
) -> BodyRange | None:
    """
    Return which bytes of the file the body holds, or None if the body is unusable.

    The body of a 206 response must start where the kept bytes end, belong to the same version of
    the file, and have consistent lengths. The body may end before the file ends.

    Args:
        status_code: The status of the response.
        headers: The headers of the response, by lower-case name.
        kept: The bytes already received, if the request asked only for the rest of the file. None
            if the request asked for the whole file.
    """
    length = content_length(headers)
    content_range = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
    if status_code == _OK:
        # Some servers answer a range request with status 200, but send only the requested range.
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
        # A server may send fewer bytes than the client asked for. Only the size of the whole file
        # shows that bytes are missing.
        and total is not None
        and end <= total
        and kept.total in (None, total)
        and _validator_like(kept.validator, headers) == kept.validator
        and is_identity(headers)
    )
    return BodyRange(start, end, total) if fits else None


def is_identity(headers: Mapping[str, str]) -> bool:
    """Whether the headers of a response say that its body is not compressed."""
    return headers.get("content-encoding", "identity").lower() == "identity"


def content_length(headers: Mapping[str, str]) -> int | None:
    """Return the `Content-Length` of a response, or None if it is missing or not a number."""
    value = headers.get("content-length", "")
    return int(value) if _CONTENT_LENGTH.fullmatch(value) else None


def validator_of(headers: Mapping[str, str]) -> str:
    """Return a response's strong ETag, else its Last-Modified; "" if it has neither."""
    tag = headers.get("etag", "")
    # A weak ETag is not enough, because it may stay the same when the bytes change.
    validator = tag if tag.startswith('"') else headers.get("last-modified", "")
    return validator if is_sendable(validator) else ""


def is_sendable(validator: str) -> bool:
    """Whether an ETag or date can be sent in `If-Range`. httpx sends only ASCII headers."""
    return validator.isascii() and validator.isprintable()


def _validator_like(validator: str, headers: Mapping[str, str]) -> str | None:
    return headers.get("etag" if validator.startswith('"') else "last-modified")


def _is_whole(content_range: re.Match[str] | None, length: int | None) -> bool:
    if content_range is None or int(content_range[1]) != 0:
        return False
    end = int(content_range[2]) + 1
    return content_range[3] == str(end) and length in (None, end)
