"""Transfer: the bytes behind one link, into one part. It resumes what it can, retries nothing."""

import errno
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import httpx

from .._aio.threads import in_thread
from .._models.errors import FileNotWritten, FileTooLarge, LinkGone, TransferFailed, WrongContent
from .._models.version import __version__
from .content_sniffing import HEAD, binary_suffix_of
from .error_pages import is_page, is_stated_page
from .http_get import Hops, bare
from .part_file import Mark, Part

T = TypeVar("T")
# One write a piece of this size, so that a thread is asked seldom and little is held in memory.
_PIECE = 1 << 20
# Identity, since packed bytes can neither be resumed nor bounded.
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"modelslab-async/{__version__}",
}
_SPAN = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CLIENT_ERRORS = range(400, 500)
_LATER = (408, 425, 429)
_MAKE_ROOM = "make room or choose another folder"
_GET_LEAVE = "choose a folder that this program may write to"
_REMEDIES = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: _MAKE_ROOM,
    errno.EACCES: _GET_LEAVE,
    errno.EPERM: _GET_LEAVE,
    errno.EROFS: _GET_LEAVE,
}


class ErrorPage(WrongContent):
    """What came is what a server says where there is no file, or none yet."""


class Transfer:
    """
    Fills parts.

    Args:
        hops: What opens links.
        longest: The most bytes of one file.
    """

    def __init__(self, hops: Hops, *, longest: int) -> None:
        self._hops = hops
        self._longest = longest

    async def fill(self, part: Part, link: str) -> None:
        """
        Get what is missing of a part, from where it ends if the server has the same version still.

        Raises:
            DownloadError: It is not whole. What came is kept where it can be gone on with.
        """
        mark = part.mark if part.mark and part.mark.url == bare(link) else None
        if mark and part.is_whole:
            return
        headers = _HEADERS
        if mark and part.size:
            headers = _HEADERS | {"range": f"bytes={part.size}-", "if-range": mark.validator}
        async with self._hops.get(link, headers) as response:
            await self._begin(part, link, response, resumes=headers is not _HEADERS)
            await self._pour(part, link, response)

    async def _begin(
        self, part: Part, link: str, response: httpx.Response, *, resumes: bool
    ) -> None:
        status, url = response.status_code, bare(link)
        if resumes and status == _PARTIAL and _goes_on(part, response):
            return
        if resumes and status in (_PARTIAL, _UNSATISFIABLE):
            await _written(part.restart, None, url=url)
            raise TransferFailed("the server has another version now; begin again", url=url)
        if status in _CLIENT_ERRORS and status not in _LATER:
            raise LinkGone(f"the server answers {status}", url=url, status_code=status)
        if status != _OK:
            raise TransferFailed(f"the server answers {status}", url=url, status_code=status)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise TransferFailed("the server packs the file, though asked not to", url=url)
        self._bound(_length(response), url)
        await _written(part.restart, _mark_of(url, response), url=url)

    async def _pour(self, part: Part, link: str, response: httpx.Response) -> None:
        url, length, begun = bare(link), _length(response), part.size
        stated = response.headers.get("content-type", "")
        held = bytearray()
        async with aclosing(_raw(response)) as pieces:
            try:
                while (piece := await self._hops.piece(pieces, link)) is not None:
                    held += piece
                    self._bound(part.size + len(held), url)
                    if len(held) >= _PIECE:
                        await self._flush(part, held, url, stated)
            finally:
                # Also where it was cut or cancelled: nothing that came is asked for again.
                await self._flush(part, held, url, stated)
        if length is not None and part.size != begun + length:
            raise TransferFailed(f"cut after {part.size} of {begun + length} bytes", url=url)

    async def _flush(self, part: Part, held: bytearray, url: str, stated: str) -> None:
        data = bytes(held)
        held.clear()
        if data and not part.size and _is_page(data[:HEAD], stated):
            raise ErrorPage("a web page came in place of the file", url=url)
        if data:
            await _written(part.append, data, url=url)

    def _bound(self, size: int | None, url: str) -> None:
        if size is not None and size > self._longest:
            raise FileTooLarge(
                f"the file has {size} bytes or more, and {self._longest} are allowed; allow more "
                "with longest=...",
                url=url,
            )


def _is_page(head: bytes, stated: str) -> bool:
    """What a server calls a page is one, unless its bytes are plainly something else."""
    return is_page(head) or (is_stated_page(stated) and binary_suffix_of(head, ()) is None)


async def _raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # A caller's own event hook may have read the response already.
    if response.is_stream_consumed:
        yield await response.aread()
        return
    async for piece in response.aiter_raw():
        yield piece


async def _written(work: Callable[[T], None], given: T, *, url: str) -> None:
    try:
        await in_thread(work, given)
    except OSError as fault:
        raise not_written(fault, url=url) from fault


def not_written(fault: OSError, *, url: str = "") -> FileNotWritten:
    """What it means that this machine's disk would not."""
    remedy = _REMEDIES.get(fault.errno or 0, "choose another folder")
    return FileNotWritten(
        f"the file cannot be written: {fault.strerror or fault}; {remedy}, then save again",
        url=url,
    )


def _length(response: httpx.Response) -> int | None:
    value = response.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdigit() else None


def _mark_of(url: str, response: httpx.Response) -> Mark | None:
    tag = response.headers.get("etag", "")
    # A weak tag says that two versions mean the same, not that they are the same bytes.
    validator = tag if tag.startswith('"') else response.headers.get("last-modified", "")
    return Mark(url, validator, _length(response)) if validator else None


def _goes_on(part: Part, response: httpx.Response) -> bool:
    """Whether these bytes are the next ones of the same version."""
    span = _SPAN.fullmatch(response.headers.get("content-range", ""))
    if span is None or int(span[1]) != part.size or part.mark is None:
        return False
    same = (None, part.mark.validator)
    fits = part.mark.size is None or span[2] in ("*", str(part.mark.size))
    by_tag = part.mark.validator.startswith('"')
    return fits and response.headers.get("etag" if by_tag else "last-modified") in same
