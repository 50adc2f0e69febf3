"""OutputSaver: fetches and checks an output, and saves it as a file. It never replaces a file."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
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
from .download_error_translation import as_download_error
from .download_notifier import DownloadNotifier, OnEvent
from .error_pages import is_json_error
from .file_stems import stem_of
from .http_get import without_query
from .inline_data import find_encoded, inline_bytes, is_link
from .link_renewal import LinkRenewal
from .link_retries import LinkRetries, first_dead_link, links_of
from .part_file import PublishedFile
from .part_protocol import Part, PartFolder
from .transfer import ErrorPage, Transfer

OnSaved: TypeAlias = Callable[[SavedFile], Awaitable[None]]

_MAX_SUFFIX_CHARS = 8


@frozen(kw_only=True)
class OutputSaver:
    """
    Saves outputs in one folder.

    Args:
        transfer: Fetches the bytes behind a link into a part. It also limits the size of an output.
        transfer_limit: Limits how many transfers run at a time.
        folder: The folder for parts and complete files.
        link_timeout: For how many seconds to retry a dead link, from the first attempt.
        on_event: Called with each event of a download. None means no listener.
    """

    transfer: Transfer
    transfer_limit: asyncio.Semaphore
    folder: PartFolder
    link_timeout: float
    on_event: OnEvent | None = None

    async def save(
        self,
        success: Success,
        n: int,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
        on_saved: OnSaved | None = None,
    ) -> SavedFile:
        """
        Save one output. Delete its part only after `on_saved` has recorded the file.

        Raises:
            DownloadError: The output could not be saved. Exceptions of `on_saved` are raised
                unchanged.
        """
        notifier = DownloadNotifier(self.on_event, success.ticket, n)
        try:
            file = await self._save(success, notifier, media, renewal, on_saved)
        except DownloadError as error:
            notifier.failed(error)
            raise
        notifier.saved(file)
        return file

    async def _save(
        self,
        success: Success,
        notifier: DownloadNotifier,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
        on_saved: OnSaved | None,
    ) -> SavedFile:
        with as_download_error():
            stem = stem_of(success.ticket, notifier.n)
            part = await run_in_thread(self.folder.open, stem, undo=lambda part: part.close())
        try:
            with as_download_error():
                file = await self._save_to(part, success, notifier, media, renewal)
            if on_saved is not None:
                await on_saved(file)
            with as_download_error():
                await run_in_thread(part.delete)
            return file
        finally:
            # The result is certain by now, so ignore an error in closing the part.
            with suppress(Exception):
                await run_in_thread(part.close)

    async def _save_to(
        self,
        part: Part,
        success: Success,
        notifier: DownloadNotifier,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
    ) -> SavedFile:
        try:
            return await _OutputSave(self, part, notifier, media, renewal).save(success)
        except (WrongContent, FileTooLarge):
            await run_in_thread(part.restart, None)
            raise


class _OutputSave:
    """Saves one output. Its bytes are collected in one part until the file is complete."""

    def __init__(
        self,
        saver: OutputSaver,
        part: Part,
        notifier: DownloadNotifier,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
    ) -> None:
        self._saver = saver
        self._part = part
        self._notifier = notifier
        self._n = notifier.n
        self._media = media
        self._renewal = renewal

    async def save(self, success: Success) -> SavedFile:
        output, url = success.output[self._n], ""
        if is_link(output):
            links = links_of(success, self._n)
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
            is_length_verified=result.is_length_known,
        )

    async def _write_inline(self, output: str) -> None:
        """Decode an output that is the file itself and not a link. Store its bytes in the part."""
        data = await run_in_thread(inline_bytes, output, self._media)
        if data is None:
            raise WrongContent(
                f"the output is neither a link nor {_describe_media(self._media)} in base64: "
                f"{output!r:.60}"
            )
        size_limit = self._saver.transfer.size_limit
        if not size_limit.allows(len(data)):
            raise size_limit.error(f"the output has {len(data)} bytes")
        await run_in_thread(self._part.restart, None)
        await run_in_thread(self._part.append, data)

    async def _download(self, links: Sequence[str]) -> str:
        """Try the links in turn until one of them delivers the whole file. Return that link."""
        now = asyncio.get_running_loop().time
        retries = LinkRetries(self._saver.link_timeout, self._part.size)
        while True:
            faults: list[DownloadError] = []
            for link in links:
                fault = await self._try_link(link, retries)
                if fault is None:
                    return link
                faults.append(fault)
            gone = first_dead_link(faults)
            if gone and self._renewal and retries.should_renew(gone, now()):
                links = await self._renew_links(gone, self._renewal)
                continue
            if not retries.allows_another(faults, self._part.size, now()):
                raise _with_advice(faults[0])
            await asyncio.sleep(retries.next_delay())

    async def _try_link(self, link: str, retries: LinkRetries) -> DownloadError | None:
        """Fill the part from one link. Return an error if another link or attempt may succeed."""
        try:
            async with self._saver.transfer_limit:
                retries.begin_attempt(asyncio.get_running_loop().time())
                await self._saver.transfer.fill(self._part, link, self._notifier)
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
        """Return new links for this output. One poll serves all outputs of the ticket."""
        self._renewal = None
        try:
            success = await renewal.success()
        except ModelsLabError as fault:
            why = f"{gone.message}, and there is no new link: {_printable(fault.message)}"
            raise _with_message(gone, why) from fault
        if len(success.output) <= self._n or not is_link(success.output[self._n]):
            raise _with_advice(gone)
        return links_of(success, self._n)

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
                argument="output",
            )

    def _publish(self, url: str) -> PublishedFile:
        """Give the file its final name. Decode base64 or a data URI first. Blocking I/O."""
        head = self._part.head(SNIFF_BYTES)
        encoded = find_encoded(head, self._media) if url else None
        if encoded is None:
            # The suffix if no known type fits. Text that came in the reply itself gets `txt`.
            fallback = "bin" if url or not is_text(head) else "txt"
            return self._part.publish(
                self._suffix(head, url) or fallback,
                url,
                is_length_known=self._part.is_length_known,
            )
        decoded_part = self._saver.folder.open(self._part.stem)
        try:
            decoded_part.restart(None)
            for data in encoded.decode(self._part.chunks(encoded.start)):
                decoded_part.append(data)
            published = decoded_part.publish(
                self._suffix(decoded_part.head(SNIFF_BYTES), url) or "bin",
                url,
                is_length_known=self._part.is_length_known,
            )
            decoded_part.delete()
        except ValueError:
            raise WrongContent("the file is base64 that is cut off", url=url) from None
        finally:
            decoded_part.close()
        return published

    def _suffix(self, head: bytes, url: str) -> str | None:
        url_suffix = without_query(url).rpartition("/")[2].rpartition(".")[2].lower()
        return suffix_of(
            head, self._media, url_suffix if len(url_suffix) <= _MAX_SUFFIX_CHARS else ""
        )


def _describe_media(media: Collection[Medium]) -> str:
    return " or ".join(media) or "any known kind of file"


def _with_advice(fault: DownloadError) -> DownloadError:
    """Add advice to an error's message, if there is advice for its class."""
    advice = {
        LinkGone: "the result may have expired: results are kept for a limited time",
        TransferFailed: "save again to continue where it stopped",
        ErrorPage: "save again later; if it happens again, open the link in a browser",
    }.get(type(fault))
    return fault if advice is None else _with_message(fault, f"{fault.message}; {advice}")


def _with_message(fault: DownloadError, message: str) -> DownloadError:
    kind = WrongContent if isinstance(fault, ErrorPage) else type(fault)
    return kind(message, url=fault.url, status_code=fault.status_code, argument=fault.argument)


def _printable(message: str) -> str:
    """Escape lone surrogates in a server's message. A journal cannot store such characters."""
    return message.encode("utf-8", "backslashreplace").decode()
