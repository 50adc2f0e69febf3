"""Downloads: the front door. Outputs of finished generations become files in one folder."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import httpx
from attrs import frozen

from .._models.download_errors import DownloadError
from .._models.errors import ClientClosed
from .._models.outcomes import Outcome, Unsubmitted
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._models.ticket import Ticket
from .._models.validation import check_count, check_nonnegative_seconds, check_positive_seconds
from .._registry.families import FAMILIES
from .._registry.family import Family, Medium
from .._transport.public_only import PublicOnlyTransport
from .http_get import ClientTransport, LinkOpener
from .link_renewal import LinkRenewal, SupportsFetch
from .outcome_source import each_outcome
from .save_output import OnSaved, OutputSaver
from .save_result import Saved, SaveResult, Unsaved
from .transfer import Transfer
from .verify import is_unchanged

DEFAULT_MAX_BYTES = 4 << 30


class Downloads:
    """
    Saves the outputs of finished generations in a folder. No key is ever sent to a link.

    Use it with `async with`, or call `aclose` at the end.

    Args:
        client: Asked once for a new link where one has expired; None: it is an error then.
        to: The folder. It is made if it is not there.
        at_once: How many transfers may be on their way at once.
        max_bytes: The most bytes of one file.
        patience: How many seconds a file may need to appear behind its link: a link may be dead for
            a while after the success.
        timeout: The most seconds that a server may be silent.
        private: Allow plain http, and addresses that are not public. For the emulator and for
            networks of your own.
        http: What to send through instead of connections of our own: an `httpx.AsyncClient` (used
            as it is and left open) or an `httpx.AsyncBaseTransport`. Links are still checked, but
            what their names resolve to is then its business.
        families: The registry: what each family makes.
        known: Files that earlier runs saved. One that still is what it was is not asked for again.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        ```python
        async with Client() as client, Downloads(client, to="out") as downloads:
            picture = await client.wait("realtime:13443927")
            for file in await downloads.save(picture):
                print(file.path)
        ```
    """

    def __init__(
        self,
        client: SupportsFetch | None = None,
        *,
        to: str | Path,
        concurrency: int = 8,
        max_bytes: int = DEFAULT_MAX_BYTES,
        link_timeout: float = 60.0,
        timeout: float = 30.0,
        allow_private: bool = False,
        http: httpx.AsyncBaseTransport | httpx.AsyncClient | None = None,
        families: Mapping[str, Family] = FAMILIES,
        known: Iterable[SavedFile] = (),
    ) -> None:
        check_count("concurrency", concurrency)
        check_count("max_bytes", max_bytes, unit="bytes")
        check_positive_seconds("timeout", timeout)
        check_nonnegative_seconds("link_timeout", link_timeout)
        self._client = client
        self._own_transport = (
            PublicOnlyTransport(allow_private=allow_private) if http is None else None
        )
        opener = LinkOpener(
            self._own_transport or _as_httpx_transport(http),
            timeout=timeout,
            allow_private=allow_private,
        )
        self._saver = OutputSaver(
            transfer=Transfer(opener, max_bytes=max_bytes),
            transfer_limit=asyncio.Semaphore(concurrency),
            folder=Path(to),
            max_bytes=max_bytes,
            link_timeout=link_timeout,
        )
        self._families = families
        self._known = {(file.ticket, file.n): file for file in known}
        self._window = 8 * concurrency
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that rest; one that is in use closes after its transfer."""
        self._closed = True
        if self._own_transport is not None:
            await self._own_transport.aclose()

    async def save(self, success: Success) -> tuple[SavedFile, ...]:
        """
        Save all outputs of a generation.

        Raises:
            DownloadError: One of them could not be saved. The others are in its `saved`.
            ClientClosed: This was closed before.
        """
        self.check_open()
        save_result = await self.try_save(success)
        if isinstance(save_result, Unsaved):
            raise save_result.cause
        return save_result.files

    @overload
    def stream(
        self, outcomes: AsyncIterable[Outcome] | Iterable[Outcome]
    ) -> AsyncGenerator[SaveResult, None]: ...

    @overload
    def stream(
        self, outcomes: AsyncIterable[Outcome | Unsubmitted] | Iterable[Outcome | Unsubmitted]
    ) -> AsyncGenerator[SaveResult | Unsubmitted, None]: ...

    async def stream(
        self, outcomes: AsyncIterable[Outcome | Unsubmitted] | Iterable[Outcome | Unsubmitted]
    ) -> AsyncGenerator[SaveResult | Unsubmitted, None]:
        """
        Save the outputs of many, as they come: give it `client.stream(...)`.

        Gives a `Saved` or an `Unsaved` for each success as its files are there, and what is no
        success as it is. Leaving the loop early cancels what is on its way; parts stay.

        Raises:
            ClientClosed: This was closed before.
            TypeError: The source holds something else than outcomes, such as the pairs of
                `generate_many`. This, and whatever else the source raises, is raised after the
                deliveries of all outcomes before it.
        """
        self.check_open()
        save_results: asyncio.Queue[SaveResult | Unsubmitted | None] = asyncio.Queue()
        in_flight_limit = asyncio.Semaphore(self._window)
        feeder = asyncio.create_task(
            self._feed(outcomes, in_flight_limit, save_results), name="modelslab_async downloads"
        )
        feeder.add_done_callback(lambda _: save_results.put_nowait(None))
        try:
            while (save_result := await save_results.get()) is not None:
                in_flight_limit.release()
                yield save_result
            feeder.result()
        finally:
            feeder.cancel()
            await asyncio.wait((feeder,))

    async def _feed(
        self,
        outcomes: AsyncIterable[Outcome | Unsubmitted] | Iterable[Outcome | Unsubmitted],
        in_flight_limit: asyncio.Semaphore,
        save_results: asyncio.Queue[SaveResult | Unsubmitted | None],
    ) -> None:
        async def try_save(success: Success) -> None:
            save_results.put_nowait(await self.try_save(success))

        error: Exception | None = None
        async with asyncio.TaskGroup() as group, aclosing(each_outcome(outcomes)) as source:
            try:
                async for outcome in source:
                    await in_flight_limit.acquire()
                    if isinstance(outcome, Success):
                        group.create_task(try_save(outcome))
                    else:
                        save_results.put_nowait(outcome)
            except Exception as fault:  # noqa: BLE001 -- what the source raises is raised at the end.
                error = fault
        if error is not None:
            raise error

    async def try_save(
        self, success: Success, known: Iterable[SavedFile] = (), on_saved: OnSaved | None = None
    ) -> Saved | Unsaved:
        """
        Save all outputs of a generation, and tell how that ended.

        Args:
            success: The generation.
            known: Those of its files that earlier runs saved.
            on_saved: Awaited with each file that is saved anew, before it counts as saved.
        """
        job = _SaveJob(
            success=success,
            media=self._media_of(success.ticket),
            renewal=self._renewal(success.ticket),
            known={file.n: file for file in known},
            on_saved=on_saved,
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._save_one(job, n)) for n in range(len(success.output))]
        results = [task.result() for task in tasks]
        files = tuple(result for result in results if isinstance(result, SavedFile))
        cause = next((result for result in results if isinstance(result, DownloadError)), None)
        if cause is None:
            return Saved(ticket=success.ticket, files=files, success=success)
        cause.saved = files
        return Unsaved(ticket=success.ticket, cause=cause, files=files, success=success)

    async def _save_one(self, job: "_SaveJob", n: int) -> SavedFile | DownloadError:
        ticket = job.success.ticket
        known = job.known.get(n) or self._known.get((ticket, n))
        if known is not None and await is_unchanged(known, known.path):
            return known
        try:
            return await self._saver.save(job.success, n, job.media, job.renewal, job.on_saved)
        except DownloadError as fault:
            fault.ticket, fault.n = ticket, n
            return fault

    def check_open(self) -> None:
        """
        Make sure that this can still be used.

        Raises:
            ClientClosed: It was closed.
        """
        if self._closed:
            raise ClientClosed("these downloads are closed; make new ones")

    @property
    def window(self) -> int:
        """Of how many generations the outputs may be on their way or unread."""
        return self._window

    @property
    def folder(self) -> Path:
        """The folder that files are saved in."""
        return self._saver.folder

    def _media_of(self, ticket: Ticket) -> Collection[Medium]:
        family = self._families.get(ticket.family)
        return family.output if family else ()

    def _renewal(self, ticket: Ticket) -> LinkRenewal | None:
        return None if self._client is None else LinkRenewal(self._client, ticket)


@frozen(kw_only=True)
class _SaveJob:
    """The saving of one generation."""

    success: Success
    media: Collection[Medium]
    renewal: LinkRenewal | None
    known: Mapping[int, SavedFile]
    on_saved: OnSaved | None


async def download(
    success: Success,
    *,
    to: str | Path,
    client: SupportsFetch | None = None,
    allow_private: bool = False,
    http: httpx.AsyncBaseTransport | httpx.AsyncClient | None = None,
) -> tuple[SavedFile, ...]:
    """
    Save all outputs of one generation. For more than one, `Downloads` keeps its connections.

    Args:
        success: What a wait ended with.
        to: The folder. It is made if it is not there.
        client: Asked once for a new link where one has expired.
        private: Allow plain http, and addresses that are not public.
        http: What to send through, as for `Downloads`.

    Raises:
        DownloadError: An output could not be saved.
    """
    async with Downloads(client, to=to, allow_private=allow_private, http=http) as downloads:
        return await downloads.save(success)


def _as_httpx_transport(
    http: httpx.AsyncBaseTransport | httpx.AsyncClient | None,
) -> httpx.AsyncBaseTransport:
    match http:
        case httpx.AsyncClient():
            return ClientTransport(http)
        case httpx.AsyncBaseTransport():
            return http
        case _:
            raise TypeError(
                "http is an httpx.AsyncClient or an httpx.AsyncBaseTransport, "
                f"got {type(http).__name__}"
            )
