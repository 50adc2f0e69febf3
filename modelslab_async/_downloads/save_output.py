"""OutputSaver: fetches and checks an output, and saves it as a file. It never replaces a file."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
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
from .download_error_translation import as_download_error
from .download_notifier import DownloadNotifier, OnEvent
from .file_stems import stem_of
from .http_get import without_query
from .inline_data import inline_bytes, is_link
from .link_renewal import LinkRenewal
from .link_retries import LinkRetries, first_dead_link, links_of
from .part_content import check_content, copy_saved_file, describe_media, publish_copy, publish_part
from .part_file import PublishedFile
from .part_protocol import Part, PartFolder
from .transfer import ErrorPage, Transfer

OnSaved: TypeAlias = Callable[[SavedFile], Awaitable[None]]

# How many parts may be open beyond those of running transfers. Without a maximum, a generation with
# many outputs would use up the file descriptors. A lower maximum would slow down the downloads,
# because a part stays open after its transfer, until the file is recorded. While base64 is decoded,
# an output has a second part, which is not counted.
_MAX_OTHER_OPEN_PARTS = 64


def new_part_limit(concurrency: int) -> asyncio.Semaphore:
    """Return a semaphore that limits the open parts of downloads with this `concurrency`."""
    return asyncio.Semaphore(concurrency + _MAX_OTHER_OPEN_PARTS)


@frozen(kw_only=True)
class OutputSaver:
    """
    Saves outputs in one folder.

    Args:
        transfer: Fetches the bytes behind a link into a part. It also limits the size of an output.
        transfer_limit: Limits how many transfers and copies run at a time.
        part_limit: Limits how many parts are open at a time. See `new_part_limit`.
        folder: The folder for parts and complete files.
        link_timeout: For how many seconds to retry a dead link, from the first attempt.
        on_event: Called with each event of a download. None means no listener.
    """

    transfer: Transfer
    transfer_limit: asyncio.Semaphore
    part_limit: asyncio.Semaphore
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
        *,
        unchanged: SavedFile | None = None,
    ) -> SavedFile:
        """
        Save one output. Delete its part only after `on_saved` has recorded the file.

        If `unchanged` is a file of this output in another folder, copy it. Download the output only
        if that file has changed or cannot be read.

        Raises:
            DownloadError: The output could not be saved. Exceptions of `on_saved` are raised
                unchanged.
        """
        notifier = DownloadNotifier(self.on_event, success.ticket, n)
        save = _OutputSave(self, success, notifier, media, renewal, unchanged=unchanged)
        try:
            file = await self._save(save, on_saved)
        except DownloadError as error:
            notifier.failed(error)
            raise
        notifier.saved(file)
        return file

    async def _save(self, save: "_OutputSave", on_saved: OnSaved | None) -> SavedFile:
        retries: LinkRetries | None = None
        while True:
            async with save.open_part() as part:
                retries = retries or LinkRetries(self.link_timeout, part.size)
                with as_download_error():
                    result = await save.attempt(part, retries)
                if isinstance(result, SavedFile):
                    if on_saved is not None:
                        await on_saved(result)
                    with as_download_error():
                        await run_in_thread(self.folder.finish, part)
                    return result
                size = part.size
            with as_download_error():
                await save.wait_for_retry(result, retries, size)


class _OutputSave:
    """
    Saves one output. Its bytes are collected in one part until the file is complete.

    The part is closed while the output waits for a retry. So a waiting output uses no file
    descriptor, and another process may continue its part. When another run of the batch ends, it
    may remove the closed part as stale, if the journal has an earlier file of the output. The bytes
    are then fetched again.
    """

    def __init__(
        self,
        saver: OutputSaver,
        success: Success,
        notifier: DownloadNotifier,
        media: Collection[Medium],
        renewal: LinkRenewal | None,
        *,
        unchanged: SavedFile | None,
    ) -> None:
        self._saver = saver
        self._ticket = success.ticket
        self._notifier = notifier
        self._n = notifier.n
        self._output = success.output[self._n]
        self._links: Sequence[str] = links_of(success, self._n)
        self._media = media
        self._renewal = renewal
        self._unchanged = unchanged
        self._part: Part | None = None

    @asynccontextmanager
    async def open_part(self) -> AsyncGenerator[Part, None]:
        """Open the part, and close it at the end of the `async with` block."""
        async with self._saver.part_limit:
            with as_download_error():
                part = self._part = await self._open()
            try:
                yield part
            finally:
                # The result is certain by now, so ignore an error in closing the part.
                with suppress(Exception):
                    await run_in_thread(part.close)

    async def _open(self) -> Part:
        if (part := self._part) is not None:
            await run_in_thread(part.reopen, undo=lambda _: part.close())
            return part
        stem = stem_of(self._ticket, self._n)
        return await run_in_thread(self._saver.folder.open, stem, undo=lambda part: part.close())

    async def attempt(
        self, part: Part, retries: LinkRetries
    ) -> SavedFile | Sequence[DownloadError]:
        """Copy an unchanged file, or try each link once. Return the file, or the links' errors."""
        unchanged, self._unchanged = self._unchanged, None
        if unchanged and await self._copy(part, unchanged):
            return self._saved_file(await run_in_thread(publish_copy, part, unchanged))
        try:
            url = ""
            if is_link(self._output):
                if (result := part.published) and result.url in map(without_query, self._links):
                    return self._saved_file(result)
                link = await self._try_links(part, retries)
                if not isinstance(link, str):
                    return link
                url = without_query(link)
            else:
                await self._write_inline(part, self._output)
            published = await run_in_thread(
                publish_part, part, self._saver.folder, self._media, url
            )
            return self._saved_file(published)
        except (WrongContent, FileTooLarge):
            await run_in_thread(part.restart, None)
            raise

    async def _copy(self, part: Part, unchanged: SavedFile) -> bool:
        async with self._saver.transfer_limit:
            return await copy_saved_file(part, unchanged)

    async def wait_for_retry(
        self, faults: Sequence[DownloadError], retries: LinkRetries, size: int
    ) -> None:
        """
        Wait until the links may be tried again, or get new links.

        Args:
            faults: The error of each link.
            retries: Counts the rounds of attempts.
            size: How many bytes of the output are in its part.

        Raises:
            DownloadError: The output cannot be saved.
        """
        now = asyncio.get_running_loop().time()
        gone = first_dead_link(faults)
        if gone and self._renewal and retries.should_renew(gone, now):
            self._links = await self._renew_links(gone, self._renewal)
            return
        if not retries.allows_another(faults, size, now):
            raise _with_advice(faults[0])
        await asyncio.sleep(retries.next_delay())

    def _saved_file(self, result: PublishedFile) -> SavedFile:
        return SavedFile(
            ticket=self._ticket,
            n=self._n,
            path=result.path,
            sha256=result.sha256,
            size=result.size,
            url=result.url,
            is_length_verified=result.is_length_known,
        )

    async def _write_inline(self, part: Part, output: str) -> None:
        """Decode an output that is the file itself and not a link. Store its bytes in the part."""
        data = await run_in_thread(inline_bytes, output, self._media)
        if data is None:
            raise WrongContent(
                f"the output is neither a link nor {describe_media(self._media)} in base64: "
                f"{output!r:.60}"
            )
        size_limit = self._saver.transfer.size_limit
        if not size_limit.allows(len(data)):
            raise size_limit.error(f"the output has {len(data)} bytes")
        await run_in_thread(part.restart, None)
        await run_in_thread(part.append, data)

    async def _try_links(self, part: Part, retries: LinkRetries) -> str | Sequence[DownloadError]:
        """Try the links in turn. Return the one that has sent the whole file, or all errors."""
        faults: list[DownloadError] = []
        for link in self._links:
            fault = await self._try_link(part, link, retries)
            if fault is None:
                return link
            faults.append(fault)
        return faults

    async def _try_link(self, part: Part, link: str, retries: LinkRetries) -> DownloadError | None:
        """Fill the part from one link. Return an error if another link or attempt may succeed."""
        try:
            async with self._saver.transfer_limit:
                retries.begin_attempt(asyncio.get_running_loop().time())
                await self._saver.transfer.fill(part, link, self._notifier)
            await run_in_thread(check_content, part, self._media, link)
        except (FileTooLarge, FileNotWritten):
            raise
        except WrongContent as fault:
            await run_in_thread(part.restart, None)
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
            why = f"{gone.message}, and there is no new link: {fault.message}"
            raise _with_message(gone, why) from fault
        if len(success.output) <= self._n or not is_link(success.output[self._n]):
            raise _with_advice(gone)
        return links_of(success, self._n)


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
