"""Saving: one output becomes one file. It decides what to try next; others do it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from attrs import frozen

from .._aio.threads import in_thread
from .._models.errors import (
    DownloadError,
    FileNotWritten,
    FileTooLarge,
    LinkGone,
    ModelsLabError,
    TransferFailed,
    WrongContent,
)
from .._models.replies import Success
from .._models.saved_file import File
from .._registry.family import Medium
from .content_sniffing import HEAD, is_text, suffix_of
from .error_pages import is_error
from .filenames import stem_of
from .http_get import bare
from .inline_data import data_of, is_link, payload_of
from .link_renewal import Renewal
from .part_file import Finished, Part
from .transfer import ErrorPage, Transfer, not_written

Keep: TypeAlias = Callable[[File], Awaitable[None]]

# Steps between two rounds of tries, and how many rounds without a new byte are enough.
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_ROUNDS = 5
# These say that the link is no good any more; a 404 may mean that it is no good yet.
_EXPIRED = (403, 410)
_SUFFIX = 8


@frozen(kw_only=True)
class Saving:
    """
    How outputs are saved.

    Args:
        transfer: What fills parts.
        slots: A place for each transfer that may be on its way at once.
        folder: Where files go.
        longest: The most bytes of one file.
        patience: How many seconds a file may need to appear behind its link.
    """

    transfer: Transfer
    slots: asyncio.Semaphore
    folder: Path
    longest: int
    patience: float

    async def save(
        self,
        success: Success,
        n: int,
        media: Collection[Medium],
        renewal: Renewal | None,
        keep: Keep | None = None,
    ) -> File:
        """
        Save one output, and have it kept on record before what is left of the way there is removed.

        Raises:
            DownloadError: It is not saved; what to do stands in it.
        """
        try:
            stem = stem_of(success.ticket, n)
            part = await in_thread(Part.open, self.folder, stem, undo=Part.leave)
            try:
                file = await _Output(self, part, n, media, renewal).save(success)
                if keep is not None:
                    await keep(file)
                await in_thread(part.drop)
            except (WrongContent, FileTooLarge):
                await in_thread(part.restart, None)
                raise
            else:
                return file
            finally:
                await in_thread(part.leave)
        except OSError as fault:
            raise not_written(fault) from fault


class _Output:
    """One output on its way."""

    def __init__(
        self,
        saving: Saving,
        part: Part,
        n: int,
        media: Collection[Medium],
        renewal: Renewal | None,
    ) -> None:
        self._saving = saving
        self._part = part
        self._n = n
        self._media = media
        self._renewal = renewal

    async def save(self, success: Success) -> File:
        output, url = success.output[self._n], ""
        if is_link(output):
            links = _links(success, self._n)
            if (done := self._part.became) and done.url in map(bare, links):
                return self._file(success, done)
            url = bare(await self._fetched(links))
        else:
            await self._put(output)
        return self._file(success, await in_thread(self._publish, url))

    def _file(self, success: Success, done: Finished) -> File:
        return File(
            ticket=success.ticket,
            n=self._n,
            path=done.path,
            sha256=done.sha256,
            size=done.size,
            url=done.url,
        )

    async def _put(self, output: str) -> None:
        """Write an output that is the data itself."""
        data = await in_thread(data_of, output, self._media)
        if data is None:
            raise WrongContent(
                f"the output is neither a link nor {_named(self._media)} in base64: {output!r:.60}"
            )
        if len(data) > self._saving.longest:
            raise FileTooLarge(
                f"the output has {len(data)} bytes, and {self._saving.longest} are allowed; allow "
                "more with longest=..."
            )
        await in_thread(self._part.restart, None)
        await in_thread(self._part.append, data)

    async def _fetched(self, links: Sequence[str]) -> str:
        """Try all links in rounds until one of them has given the whole file."""
        now = asyncio.get_running_loop().time
        end, most, rounds = now() + self._saving.patience, self._part.size, 0
        pauses = _pauses()
        while True:
            faults: list[DownloadError] = []
            for link in links:
                fault = await self._tried(link)
                if fault is None:
                    return link
                faults.append(fault)
            gone = next(
                (fault for fault in faults if isinstance(fault, LinkGone | ErrorPage)), None
            )
            cut = next((fault for fault in faults if isinstance(fault, TransferFailed)), None)
            late = now() >= end
            if gone and self._renewal and (late or gone.status_code in _EXPIRED):
                links = await self._renewed(gone, self._renewal)
                continue
            rounds = (0 if self._part.size > most else rounds) + (cut is not None)
            most = max(most, self._part.size)
            if not (gone and not late) and not (cut and rounds < _ROUNDS):
                raise _advised(faults[0])
            await asyncio.sleep(next(pauses))

    async def _tried(self, link: str) -> DownloadError | None:
        """Fill the part from one link, or say why not where another try may help."""
        try:
            async with self._saving.slots:
                await self._saving.transfer.fill(self._part, link)
            await in_thread(self._check, link)
        except (FileTooLarge, FileNotWritten):
            raise
        except WrongContent as fault:
            await in_thread(self._part.restart, None)
            return fault
        except DownloadError as fault:
            return fault
        return None

    async def _renewed(self, gone: LinkGone | ErrorPage, renewal: Renewal) -> Sequence[str]:
        """The links that the service names now. It is asked once."""
        self._renewal = None
        try:
            success = await renewal.success()
        except ModelsLabError as fault:
            why = f"{gone.message}, and no new link is to be had: {fault.message}"
            raise _again(gone, why) from fault
        if len(success.output) <= self._n or not is_link(success.output[self._n]):
            raise _advised(gone)
        return _links(success, self._n)

    def _check(self, link: str) -> None:
        head = self._part.head(HEAD)
        if is_error(head):
            raise ErrorPage(
                f"an error message came in place of the file: {head[:80]!r}", url=bare(link)
            )
        if self._suffix(head, link) is None and payload_of(head, self._media) is None:
            raise WrongContent(
                f"what came is not {_named(self._media)} but begins with {head[:24]!r}",
                url=bare(link),
            )

    def _publish(self, url: str) -> Finished:
        """Name the file. Blocks."""
        head = self._part.head(HEAD)
        payload = payload_of(head, self._media) if url else None
        if payload is None:
            # A text that the reply itself holds may look like anything.
            plain = "bin" if url or not is_text(head) else "txt"
            return self._part.publish(self._suffix(head, url) or plain, url)
        inside = Part.open(self._saving.folder, self._part.stem)
        try:
            inside.restart(None)
            for data in payload.decode(self._part.pieces(payload.start)):
                inside.append(data)
            published = inside.publish(self._suffix(inside.head(HEAD), url) or "bin", url)
            inside.drop()
        except ValueError:
            raise WrongContent("the file is base64 that breaks off", url=url) from None
        finally:
            inside.leave()
        return published

    def _suffix(self, head: bytes, url: str) -> str | None:
        named = bare(url).rpartition("/")[2].rpartition(".")[2].lower()
        return suffix_of(head, self._media, named if len(named) <= _SUFFIX else "")


def _links(success: Success, n: int) -> tuple[str, ...]:
    """The link of an output, and its mirror where outputs and mirrors can be told to match."""
    links = [success.output[n]]
    if len(success.proxy_links) == len(success.output):
        links.append(success.proxy_links[n])
    return tuple(dict.fromkeys(link for link in links if is_link(link)))


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]


def _named(media: Collection[Medium]) -> str:
    return " or ".join(media) or "any known kind of file"


def _advised(fault: DownloadError) -> DownloadError:
    """The same fault with what to do about it, where that is the same for all of its kind."""
    advice = {
        LinkGone: "the result may have expired: results are kept for a limited time",
        TransferFailed: "save again to go on where it ended",
        WrongContent: "if the family makes such files, say so in its Family(output=...)",
        ErrorPage: "save again later, and if it stays see in a browser what the link says",
    }.get(type(fault))
    return fault if advice is None else _again(fault, f"{fault.message}; {advice}")


def _again(fault: DownloadError, message: str) -> DownloadError:
    kind = WrongContent if isinstance(fault, ErrorPage) else type(fault)
    return kind(message, url=fault.url, status_code=fault.status_code)
