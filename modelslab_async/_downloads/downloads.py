"""The public class `Downloads`: saves outputs in one folder. It never submits a generation."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, overload

import httpx
from attrs import frozen

from .._aio.bounded_map import BoundedMap
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
from .download_error_translation import as_download_error
from .http_get import LinkOpener, Send
from .link_renewal import LinkRenewal, SupportsFetch
from .outcome_type_check import check_outcome
from .save_output import OnSaved, OutputSaver
from .save_result import Saved, SaveResult, Unsaved
from .transfer import Transfer
from .verify import is_unchanged

_HTTP: TypeAlias = httpx.AsyncBaseTransport | httpx.AsyncClient

DEFAULT_MAX_BYTES = 4 << 30
# Generations in progress per transfer, so that no transfer waits for its next file.
_WINDOW_PER_TRANSFER = 8


class Downloads:
    """
    Saves the outputs of finished generations in a folder. No key is ever sent to a link.

    Use it with `async with`, or call `aclose` at the end.

    Args:
        client: Polls a ticket once for new links when a link has expired. With None, an expired
            link is an error.
        to: The folder. It is created if needed.
        concurrency: How many transfers may run at once.
        max_bytes: The largest size of one file.
        link_timeout: How many seconds to retry a dead link. A file may appear some time after its
            generation succeeded.
        timeout: How many seconds a server may be silent.
        allow_private: Allow plain http and private addresses, for the emulator and your own
            networks.
        http: Sends the requests: an `httpx.AsyncClient`, which stays open, or an
            `httpx.AsyncBaseTransport`. Links are still checked, but it resolves their names itself.
        families: The registry, which knows what kinds of file each family makes.
        known: Files that earlier runs saved. An unchanged one is not downloaded again.

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
        http: _HTTP | None = None,
        families: Mapping[str, Family] | None = None,
        known: Iterable[SavedFile] = (),
    ) -> None:
        check_count("concurrency", concurrency)
        check_count("max_bytes", max_bytes, unit="bytes")
        check_positive_seconds("timeout", timeout)
        check_nonnegative_seconds("link_timeout", link_timeout)
        self._client = client
        self._own_transport: PublicOnlyTransport | None = None
        if http is None:
            self._own_transport = PublicOnlyTransport(allow_private=allow_private)
        opener = LinkOpener(
            _send_through(self._own_transport or http),
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
        self._families = FAMILIES if families is None else families
        self._known = {(file.ticket, file.n): file for file in known}
        self._window = _WINDOW_PER_TRANSFER * concurrency
        self._is_closed = False

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
        """Close all idle connections. A connection in use closes after its transfer."""
        self._is_closed = True
        if self._own_transport is not None:
            await self._own_transport.aclose()

    async def save(self, success: Success) -> tuple[SavedFile, ...]:
        """
        Save all outputs of a generation.

        Raises:
            DownloadError: An output could not be saved. The others are in its `saved`.
            ClientClosed: `aclose` was called.
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
        Save the outputs of many generations as they end. Pass it `client.stream(...)`.

        Yields a `Saved` or an `Unsaved` for each success, and every other outcome unchanged.
        Leaving the loop early cancels the running transfers and keeps their parts.

        Raises:
            ClientClosed: `aclose` was called.
            TypeError: The source yields something else, such as the pairs of `generate_many`. This
                and any error of the source is raised after the results of all earlier outcomes.
        """
        self.check_open()
        saving = BoundedMap(self._save_outcome, self._window)
        async with aclosing(saving.run(outcomes, check_outcome)) as results:
            async for _, save_result in results:
                yield save_result

    async def _save_outcome(self, outcome: Outcome | Unsubmitted) -> SaveResult | Unsubmitted:
        return await self.try_save(outcome) if isinstance(outcome, Success) else outcome

    async def try_save(
        self, success: Success, known: Iterable[SavedFile] = (), on_saved: OnSaved | None = None
    ) -> Saved | Unsaved:
        """
        Save all outputs of a generation. A failure is returned, so that it cannot end a batch.

        Args:
            success: The reply that names the outputs.
            known: Files of this ticket that earlier runs saved.
            on_saved: Awaited with each new file, to record it before its part is deleted. Its
                exceptions are the only ones raised here, in an `ExceptionGroup`.
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
        try:
            with as_download_error():
                if known is not None and await is_unchanged(known, known.path):
                    return known
            return await self._saver.save(job.success, n, job.media, job.renewal, job.on_saved)
        except DownloadError as fault:
            fault.ticket, fault.n = ticket, n
            return fault

    def check_open(self) -> None:
        """
        Make sure that the downloads are open.

        Raises:
            ClientClosed: `aclose` was called.
        """
        if self._is_closed:
            raise ClientClosed("these downloads are closed; make new ones")

    @property
    def window(self) -> int:
        """How many generations may be in progress or unread at once."""
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
    """What the outputs of one generation share while they are saved."""

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
    http: _HTTP | None = None,
) -> tuple[SavedFile, ...]:
    """
    Save all outputs of one generation. For several, use `Downloads`, which keeps its connections.

    Args:
        success: The reply that names the outputs.
        to: The folder. It is created if needed.
        client: Polls the ticket once for new links when a link has expired.
        allow_private: Allow plain http and private addresses.
        http: Sends the requests, as for `Downloads`.

    Raises:
        DownloadError: An output could not be saved.
    """
    async with Downloads(client, to=to, allow_private=allow_private, http=http) as downloads:
        return await downloads.save(success)


def _send_through(http: object) -> Send:
    match http:
        case httpx.AsyncClient():
            return partial(http.send, stream=True, follow_redirects=False)
        case httpx.AsyncBaseTransport():
            return http.handle_async_request
        case _:
            raise TypeError(
                "http is an httpx.AsyncClient or an httpx.AsyncBaseTransport, "
                f"got {type(http).__name__}"
            )
