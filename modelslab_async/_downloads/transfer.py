"""Transfer: the bytes behind one link, into one part. It resumes what it can, retries nothing."""

import errno
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import httpx

from .._aio.threads import run_in_thread
from .._models.download_errors import (
    FileNotWritten,
    FileTooLarge,
    LinkGone,
    TransferFailed,
    WrongContent,
)
from .._models.version import __version__
from .content_sniffing import SNIFF_BYTES, binary_suffix_of
from .error_pages import is_html_type, is_web_page
from .http_get import LinkOpener, without_query
from .part_file import PartFile, PartMetadata

T = TypeVar("T")
# One write a piece of this size, so that a thread is asked seldom and little is held in memory.
_CHUNK_BYTES = 1 << 20
# Identity, since packed bytes can neither be resumed nor bounded.
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"modelslab-async/{__version__}",
}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CLIENT_ERRORS = range(400, 500)
_RETRYABLE_STATUSES = (408, 425, 429)
_FREE_SPACE_ADVICE = "make room or choose another folder"
_PERMISSION_ADVICE = "choose a folder that this program may write to"
_ADVICE_BY_ERRNO = {
    errno.ENOSPC: _FREE_SPACE_ADVICE,
    errno.EDQUOT: _FREE_SPACE_ADVICE,
    errno.EFBIG: _FREE_SPACE_ADVICE,
    errno.EACCES: _PERMISSION_ADVICE,
    errno.EPERM: _PERMISSION_ADVICE,
    errno.EROFS: _PERMISSION_ADVICE,
}


class ErrorPage(WrongContent):
    """What came is what a server says where there is no file, or none yet."""


class Transfer:
    """
    Fills parts.

    Args:
        opener: What opens links.
        max_bytes: The most bytes of one file.
    """

    def __init__(self, opener: LinkOpener, *, max_bytes: int) -> None:
        self._opener = opener
        self._max_bytes = max_bytes

    async def fill(self, part: PartFile, link: str) -> None:
        """
        Get what is missing of a part, from where it ends if the server has the same version still.

        Raises:
            DownloadError: It is not whole. What came is kept where it can be gone on with.
        """
        metadata = (
            part.metadata if part.metadata and part.metadata.url == without_query(link) else None
        )
        if metadata and part.is_complete:
            return
        headers = _HEADERS
        if metadata and part.size:
            headers = _HEADERS | {"range": f"bytes={part.size}-", "if-range": metadata.validator}
        async with self._opener.get(link, headers) as response:
            await self._check_response(part, link, response, is_resume=headers is not _HEADERS)
            await self._write_body(part, link, response)

    async def _check_response(
        self, part: PartFile, link: str, response: httpx.Response, *, is_resume: bool
    ) -> None:
        status, url = response.status_code, without_query(link)
        if is_resume and status == _PARTIAL and _continues(part, response):
            return
        if is_resume and status in (_PARTIAL, _UNSATISFIABLE):
            await _write(part.restart, None, url=url)
            raise TransferFailed("the server has another version now; begin again", url=url)
        if status in _CLIENT_ERRORS and status not in _RETRYABLE_STATUSES:
            raise LinkGone(f"the server answers {status}", url=url, status_code=status)
        if status != _OK:
            raise TransferFailed(f"the server answers {status}", url=url, status_code=status)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise TransferFailed("the server packs the file, though asked not to", url=url)
        self._check_size(_content_length(response), url)
        await _write(part.restart, _metadata_of(url, response), url=url)

    async def _write_body(self, part: PartFile, link: str, response: httpx.Response) -> None:
        url, length, start_size = without_query(link), _content_length(response), part.size
        content_type = response.headers.get("content-type", "")
        buffer = bytearray()
        async with aclosing(_raw_chunks(response)) as chunks:
            try:
                while (chunk := await self._opener.chunk(chunks, link)) is not None:
                    buffer += chunk
                    self._check_size(part.size + len(buffer), url)
                    if len(buffer) >= _CHUNK_BYTES:
                        await self._flush(part, buffer, url, content_type)
            finally:
                # Also where it was cut or cancelled: nothing that came is asked for again.
                await self._flush(part, buffer, url, content_type)
        if length is not None and part.size != start_size + length:
            raise TransferFailed(f"cut after {part.size} of {start_size + length} bytes", url=url)

    async def _flush(self, part: PartFile, buffer: bytearray, url: str, content_type: str) -> None:
        data = bytes(buffer)
        buffer.clear()
        if data and not part.size and _is_web_page(data[:SNIFF_BYTES], content_type):
            raise ErrorPage("a web page came in place of the file", url=url)
        if data:
            await _write(part.append, data, url=url)

    def _check_size(self, size: int | None, url: str) -> None:
        if size is not None and size > self._max_bytes:
            raise FileTooLarge(
                f"the file has {size} bytes or more, and {self._max_bytes} are allowed; allow more "
                "with max_bytes=...",
                url=url,
            )


def _is_web_page(head: bytes, content_type: str) -> bool:
    """What a server calls a page is one, unless its bytes are plainly something else."""
    return is_web_page(head) or (is_html_type(content_type) and binary_suffix_of(head, ()) is None)


async def _raw_chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # A caller's own event hook may have read the response already.
    if response.is_stream_consumed:
        yield await response.aread()
        return
    async for chunk in response.aiter_raw():
        yield chunk


async def _write(write: Callable[[T], None], argument: T, *, url: str) -> None:
    try:
        await run_in_thread(write, argument)
    except OSError as fault:
        raise write_error(fault, url=url) from fault


def write_error(fault: OSError, *, url: str = "") -> FileNotWritten:
    """What it means that this machine's disk would not."""
    advice = _ADVICE_BY_ERRNO.get(fault.errno or 0, "choose another folder")
    return FileNotWritten(
        f"the file cannot be written: {fault.strerror or fault}; {advice}, then save again",
        url=url,
    )


def _content_length(response: httpx.Response) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _metadata_of(url: str, response: httpx.Response) -> PartMetadata | None:
    tag = response.headers.get("etag", "")
    # A weak tag says that two versions mean the same, not that they are the same bytes.
    validator = tag if tag.startswith('"') else response.headers.get("last-modified", "")
    return PartMetadata(url, validator, _content_length(response)) if validator else None


def _continues(part: PartFile, response: httpx.Response) -> bool:
    """Whether these bytes are the next ones of the same version."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if content_range is None or int(content_range[1]) != part.size or part.metadata is None:
        return False
    accepted = (None, part.metadata.validator)
    size_matches = part.metadata.size is None or content_range[2] in ("*", str(part.metadata.size))
    by_tag = part.metadata.validator.startswith('"')
    return size_matches and response.headers.get("etag" if by_tag else "last-modified") in accepted
