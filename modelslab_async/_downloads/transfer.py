"""Transfer: fetches the file behind a link into a part, or continues a part. It never retries."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import TypeVar

import httpx

from .._aio.threads import run_in_thread
from .._aio.yield_and_wakeup import Yielder
from .._models.download_errors import DownloadError, LinkGone, TransferFailed, WrongContent
from .._models.version import __version__
from .._transport.httpx_adapter import raw_chunks
from .byte_ranges import BodyRange, KeptBytes, body_range, is_identity, validator_of
from .content_sniffing import SNIFF_BYTES, binary_suffix_of
from .download_error_translation import write_error
from .download_notifier import DownloadNotifier
from .error_pages import is_html_type, is_web_page
from .http_get import LinkOpener, without_query
from .part_metadata import PartMetadata
from .part_protocol import Part
from .size_limit import SizeLimit

T = TypeVar("T")
# How many bytes are collected in memory before a thread writes them to disk. Smaller chunks would
# cause more thread switches.
_CHUNK_BYTES = 1 << 20
# Ask for an uncompressed body (`identity`), because a download cannot resume within a compressed
# body.
_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"modelslab-async/{__version__}",
}
_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CLIENT_ERRORS = range(400, 500)
_RETRYABLE_STATUSES = (408, 425, 429)


class ErrorPage(WrongContent):
    """The server sent an error page in place of the file. A retry may get the file."""


class Transfer:
    """
    Downloads the files that links point to, and writes each into a part file.

    Args:
        opener: Opens links.
        size_limit: The maximum size of one output.
    """

    def __init__(self, opener: LinkOpener, size_limit: SizeLimit) -> None:
        self._opener = opener
        self.size_limit = size_limit

    async def fill(self, part: Part, link: str, notifier: DownloadNotifier) -> None:
        """
        Fetch the missing bytes of a part, or the whole file if its version has changed.

        Args:
            part: The part.
            link: The link to the file.
            notifier: Reports the start of the transfer, and counts the bytes received.

        Raises:
            DownloadError: The part is still incomplete. A later attempt may continue it.
        """
        url = without_query(link)
        metadata = part.metadata if part.metadata and part.metadata.url == url else None
        if metadata and part.is_complete:
            return
        kept, headers = None, _HEADERS
        if metadata and metadata.validator and part.size:
            kept = KeptBytes(part.size, metadata.validator, metadata.size)
            headers = _HEADERS | {"range": f"bytes={part.size}-", "if-range": metadata.validator}
        async with self._opener.get(link, headers) as response:
            body = await self._begin_body(part, url, response, kept, metadata)
            notifier.begun(url, body)
            size_before = part.size
            try:
                await self._write_body(part, link, response, body)
            finally:
                notifier.received += part.size - size_before
        await _check_complete(part, url, body)

    async def _begin_body(
        self,
        part: Part,
        url: str,
        response: httpx.Response,
        kept: KeptBytes | None,
        earlier: PartMetadata | None,
    ) -> BodyRange:
        """Check the status and the headers of a response, and prepare the part for its body."""
        status = response.status_code
        if kept is None or status != _UNSATISFIABLE:
            _check_status(status, url)
        body = body_range(status, response.headers, kept)
        if body is not None and body.start == 0:
            body = _as_announced(body, response, earlier)
        if body is None:
            await _write(part.restart, earlier, url=url)
            raise TransferFailed(
                f"the {status} response does not fit what earlier ones sent; begin again", url=url
            )
        if not is_identity(response.headers):
            raise TransferFailed("the server compressed the file, though asked not to", url=url)
        self._check_size(body.total, url)
        if body.start == 0:
            metadata = PartMetadata(url, validator_of(response.headers), body.total)
            await _write(part.restart, metadata, url=url)
        elif body.total is not None:
            await _write(part.set_total, body.total, url=url)
        return body

    async def _write_body(
        self, part: Part, link: str, response: httpx.Response, body: BodyRange
    ) -> None:
        url, content_type = without_query(link), response.headers.get("content-type", "")
        buffer, yielder = bytearray(), Yielder()
        async with aclosing(raw_chunks(response)) as chunks:
            try:
                while (chunk := await self._opener.chunk(chunks, link)) is not None:
                    buffer += chunk
                    self._check_size(part.size + len(buffer), url)
                    if body.end is not None and part.size + len(buffer) > body.end:
                        break
                    if len(buffer) >= _CHUNK_BYTES:
                        await self._flush(part, buffer, url, content_type)
                    # Let other tasks run, because one read of 64 KiB from the socket may contain
                    # ten thousand chunks.
                    await yielder.maybe_yield()
            except asyncio.CancelledError:
                # An error in writing these bytes must not replace the cancellation. Otherwise, the
                # download would be retried.
                with suppress(DownloadError):
                    await self._flush(part, buffer, url, content_type)
                raise
            finally:
                # Write the received bytes even after an error, so that no byte is fetched twice.
                await self._flush(part, buffer, url, content_type)

    async def _flush(self, part: Part, buffer: bytearray, url: str, content_type: str) -> None:
        data = bytes(buffer)
        buffer.clear()
        if data and not part.size and _is_web_page(data[:SNIFF_BYTES], content_type):
            raise ErrorPage("a web page came in place of the file", url=url)
        if data:
            await _write(part.append, data, url=url)

    def _check_size(self, size: int | None, url: str) -> None:
        if size is not None and not self.size_limit.allows(size):
            raise self.size_limit.error(f"the file has {size} bytes or more", url)


def _check_status(status: int, url: str) -> None:
    if status in _CLIENT_ERRORS and status not in _RETRYABLE_STATUSES:
        raise LinkGone(f"the server answers {status}", url=url, status_code=status)
    if status not in (_OK, _PARTIAL):
        raise TransferFailed(f"the server answers {status}", url=url, status_code=status)


def _as_announced(
    body: BodyRange, response: httpx.Response, earlier: PartMetadata | None
) -> BodyRange | None:
    """
    Return the range of a body that starts at byte 0; None if an earlier response contradicts it.

    The earlier response is compared only if it had the same validator (ETag or Last-Modified). If
    both responses announced a size, the sizes must be equal. If only the earlier one did, the range
    has that size.

    Two responses without a validator count as the same version of the file. Otherwise, a truncated
    body could be mistaken for a new, shorter version. If the file did change, the next save gets
    the new version.
    """
    if (
        earlier is None
        or earlier.size is None
        or earlier.validator != validator_of(response.headers)
    ):
        return body
    fits = body.total in (None, earlier.size)
    return BodyRange(0, earlier.size, earlier.size) if fits else None


async def _check_complete(part: Part, url: str, body: BodyRange) -> None:
    if body.end is not None and part.size > body.end:
        await _write(part.restart, part.metadata, url=url)
        raise TransferFailed("the server sent more bytes than it announced; begin again", url=url)
    if body.total is not None and part.size != body.total:
        raise TransferFailed(f"cut after {part.size} of {body.total} bytes", url=url)


def _is_web_page(head: bytes, content_type: str) -> bool:
    """
    Whether the first bytes of a body or its `Content-Type` header show a web page.

    The header is ignored if the first bytes show a known file type.
    """
    return is_web_page(head) or (is_html_type(content_type) and binary_suffix_of(head, ()) is None)


async def _write(write: Callable[[T], None], argument: T, *, url: str) -> None:
    try:
        await run_in_thread(write, argument)
    except OSError as fault:
        raise write_error(fault, url=url) from fault
