"""Saving: one output becomes one file. It decides what to try next; others do it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from .._aio.threads import run_in_thread
from .._models.download_errors import (
    DownloadError,
    FileNotWritten,
    FileTooLarge,
    LinkGone,
    TransferFailed,
    WrongContent,
)
from .._models.errors import ModelsLabError
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._registry.family import Medium
from .content_sniffing import SNIFF_BYTES, is_text, suffix_of
from .error_pages import is_json_error
from .filenames import stem_of
from .http_get import without_query
from .inline_data import find_encoded, inline_bytes, is_link
from .link_renewal import LinkRenewal
from .part_file import PartFile, PublishedFile
from .transfer import ErrorPage, Transfer, write_error

OnSaved: TypeAlias = Callable[[SavedFile], Awaitable[None]]

# Steps between two rounds of tries, and how many rounds without a new byte are enough.
_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0)
_MAX_ROUNDS_WITHOUT_PROGRESS = 5
# These say that the link is no good any more; a 404 may mean that it is no good yet.
_EXPIRED_STATUSES = (403, 410)
_MAX_SUFFIX_CHARS = 8


@frozen(kw_only=True)
class OutputSaver:
    """
    How outputs are saved.

    Args:
        transfer: What fills parts.
        transfer_limit: A place for each transfer that may be on its way at once.
        folder: Where files go.
        max_bytes: The most bytes of one file.
        patience: How many seconds a file may need to appear behind its link.
    """

    transfer: Transfer
    transfer_limit: asyncio.Semaphore
    folder: Path
    max_bytes: int
    link_timeout: float

    async def save(
        self,
        success: Success,
        n: int,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
        on_saved: OnSaved | None = None,
    ) -> SavedFile:
        """
        Save one output, and have it kept on record before what is left of the way there is removed.

        Raises:
            DownloadError: It is not saved; what to do stands in it.
        """
        try:
            stem = stem_of(success.ticket, n)
            part = await run_in_thread(PartFile.open, self.folder, stem, undo=PartFile.close)
            try:
                file = await _OutputSave(self, part, n, media, renewal).save(success)
                if on_saved is not None:
                    await on_saved(file)
                await run_in_thread(part.delete)
            except (WrongContent, FileTooLarge):
                await run_in_thread(part.restart, None)
                raise
            else:
                return file
            finally:
                await run_in_thread(part.close)
        except OSError as fault:
            raise write_error(fault) from fault


class _OutputSave:
    """One output on its way."""

    def __init__(
        self,
        saver: OutputSaver,
        part: PartFile,
        n: int,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
    ) -> None:
        self._saver = saver
        self._part = part
        self._n = n
        self._media = media
        self._renewal = renewal

    async def save(self, success: Success) -> SavedFile:
        output, url = success.output[self._n], ""
        if is_link(output):
            links = _links(success, self._n)
            if (result := self._part.published) and result.url in map(without_query, links):
                return self._saved_file(success, result)
            url = without_query(await self._download(links))
        else:
            await self._write_inline(output)
        return self._saved_file(success, await run_in_thread(self._publish, url))

    def _saved_file(self, success: Success, result: PublishedFile) -> SavedFile:
        return SavedFile(
            ticket=success.ticket,
            n=self._n,
            path=result.path,
            sha256=result.sha256,
            size=result.size,
            url=result.url,
        )

    async def _write_inline(self, output: str) -> None:
        """Write an output that is the data itself."""
        data = await run_in_thread(inline_bytes, output, self._media)
        if data is None:
            raise WrongContent(
                f"the output is neither a link nor {_describe_media(self._media)} in base64: {output!r:.60}"
            )
        if len(data) > self._saver.max_bytes:
            raise FileTooLarge(
                f"the output has {len(data)} bytes, and {self._saver.max_bytes} are allowed; allow "
                "more with max_bytes=..."
            )
        await run_in_thread(self._part.restart, None)
        await run_in_thread(self._part.append, data)

    async def _download(self, links: Sequence[str]) -> str:
        """Try all links in rounds until one of them has given the whole file."""
        now = asyncio.get_running_loop().time
        deadline, largest_size, rounds = now() + self._saver.link_timeout, self._part.size, 0
        delays = _retry_delays()
        while True:
            faults: list[DownloadError] = []
            for link in links:
                fault = await self._try_link(link)
                if fault is None:
                    return link
                faults.append(fault)
            gone = next(
                (fault for fault in faults if isinstance(fault, LinkGone | ErrorPage)), None
            )
            interrupted = next(
                (fault for fault in faults if isinstance(fault, TransferFailed)), None
            )
            is_late = now() >= deadline
            if gone and self._renewal and (is_late or gone.status_code in _EXPIRED_STATUSES):
                links = await self._renew_links(gone, self._renewal)
                continue
            rounds = (0 if self._part.size > largest_size else rounds) + (interrupted is not None)
            largest_size = max(largest_size, self._part.size)
            if not (gone and not is_late) and not (
                interrupted and rounds < _MAX_ROUNDS_WITHOUT_PROGRESS
            ):
                raise _with_advice(faults[0])
            await asyncio.sleep(next(delays))

    async def _try_link(self, link: str) -> DownloadError | None:
        """Fill the part from one link, or say why not where another try may help."""
        try:
            async with self._saver.transfer_limit:
                await self._saver.transfer.fill(self._part, link)
            await run_in_thread(self._check_content, link)
        except (FileTooLarge, FileNotWritten):
            raise
        except WrongContent as fault:
            await run_in_thread(self._part.restart, None)
            return fault
        except DownloadError as fault:
            return fault
        return None

    async def _renew_links(self, gone: LinkGone | ErrorPage, renewal: LinkRenewal) -> Sequence[str]:
        """The links that the service names now. It is asked once."""
        self._renewal = None
        try:
            success = await renewal.success()
        except ModelsLabError as fault:
            why = f"{gone.message}, and no new link is to be had: {fault.message}"
            raise _with_message(gone, why) from fault
        if len(success.output) <= self._n or not is_link(success.output[self._n]):
            raise _with_advice(gone)
        return _links(success, self._n)

    def _check_content(self, link: str) -> None:
        head = self._part.head(SNIFF_BYTES)
        if is_json_error(head):
            raise ErrorPage(
                f"an error message came in place of the file: {head[:80]!r}",
                url=without_query(link),
            )
        if self._suffix(head, link) is None and find_encoded(head, self._media) is None:
            raise WrongContent(
                f"what came is not {_describe_media(self._media)} but begins with {head[:24]!r}",
                url=without_query(link),
            )

    def _publish(self, url: str) -> PublishedFile:
        """Name the file. Blocks."""
        head = self._part.head(SNIFF_BYTES)
        encoded = find_encoded(head, self._media) if url else None
        if encoded is None:
            # A text that the reply itself holds may look like anything.
            fallback = "bin" if url or not is_text(head) else "txt"
            return self._part.publish(self._suffix(head, url) or fallback, url)
        decoded_part = PartFile.open(self._saver.folder, self._part.stem)
        try:
            decoded_part.restart(None)
            for data in encoded.decode(self._part.chunks(encoded.start)):
                decoded_part.append(data)
            published = decoded_part.publish(
                self._suffix(decoded_part.head(SNIFF_BYTES), url) or "bin", url
            )
            decoded_part.delete()
        except ValueError:
            raise WrongContent("the file is base64 that breaks off", url=url) from None
        finally:
            decoded_part.close()
        return published

    def _suffix(self, head: bytes, url: str) -> str | None:
        url_suffix = without_query(url).rpartition("/")[2].rpartition(".")[2].lower()
        return suffix_of(
            head, self._media, url_suffix if len(url_suffix) <= _MAX_SUFFIX_CHARS else ""
        )


def _links(success: Success, n: int) -> tuple[str, ...]:
    """The link of an output, and its mirror where outputs and mirrors can be told to match."""
    links = [success.output[n]]
    if len(success.proxy_links) == len(success.output):
        links.append(success.proxy_links[n])
    return tuple(dict.fromkeys(link for link in links if is_link(link)))


def _retry_delays() -> Iterator[float]:
    yield from _RETRY_DELAYS_S
    while True:
        yield _RETRY_DELAYS_S[-1]


def _describe_media(media: Collection[Medium]) -> str:
    return " or ".join(media) or "any known kind of file"


def _with_advice(fault: DownloadError) -> DownloadError:
    """The same fault with what to do about it, where that is the same for all of its kind."""
    advice = {
        LinkGone: "the result may have expired: results are kept for a limited time",
        TransferFailed: "save again to go on where it ended",
        WrongContent: "if the family makes such files, say so in its Family(output=...)",
        ErrorPage: "save again later, and if it stays see in a browser what the link says",
    }.get(type(fault))
    return fault if advice is None else _with_message(fault, f"{fault.message}; {advice}")


def _with_message(fault: DownloadError, message: str) -> DownloadError:
    kind = WrongContent if isinstance(fault, ErrorPage) else type(fault)
    return kind(message, url=fault.url, status_code=fault.status_code)
