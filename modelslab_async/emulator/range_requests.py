"""Answers requests for a whole file or for one range of its bytes."""

import re

from starlette.datastructures import Headers
from starlette.responses import Response

from .media.files import MediaFile
from .request_fields import read_count

_SINGLE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def file_response(file: MediaFile, headers: Headers, *, method: str = "GET") -> Response:
    """Answer a GET or HEAD for a file. Obey `If-None-Match`, `Range` and `If-Range`."""
    common = {"etag": file.etag, "accept-ranges": "bytes", "cache-control": "max-age=86400"}
    if headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=common)
    size = len(file.content)
    if method == "HEAD":
        return _response(file, 200, b"", {**common, "content-length": str(size)})
    byte_range = _requested_range(file, headers)
    if byte_range is None:
        return _response(file, 200, file.content, common)
    first, last = byte_range
    if first > last:
        return Response(status_code=416, headers={**common, "content-range": f"bytes */{size}"})
    part = {**common, "content-range": f"bytes {first}-{last}/{size}"}
    return _response(file, 206, file.content[first : last + 1], part)


def _requested_range(file: MediaFile, headers: Headers) -> tuple[int, int] | None:
    """
    Return the positions of the first and the last requested byte, or None for the whole file.

    If the range lies outside the file, the first position is greater than the last.
    """
    requested = _SINGLE_RANGE.fullmatch(headers.get("range", "").strip())
    if requested is None or headers.get("if-range", file.etag) != file.etag:
        return None
    first, last = (read_count(digits) if digits else None for digits in requested.groups())
    end = len(file.content) - 1
    if first is not None:
        # RFC 9110: a range that ends before it starts is invalid, and a server ignores it.
        if last is not None and last < first:
            return None
        return first, min(end if last is None else last, end) if first <= end else -1
    if last is None:
        return None
    return (max(0, end + 1 - last), end) if last else (1, 0)


def _response(
    file: MediaFile, status_code: int, content: bytes, headers: dict[str, str]
) -> Response:
    return Response(content, status_code, {**headers, "content-type": file.content_type})
