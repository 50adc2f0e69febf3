"""The public class `Downloads`: saves outputs of generations in a folder."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import httpx

from .._aio.concurrent_map import ConcurrentMap
from .._aio.telemetry import Telemetry
from .._models.argument_checks import check_count
from .._models.errors import ClientClosed
from .._models.loaded_file import LoadedFile
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unsubmitted
from .._registry.families import FAMILIES
from .._registry.family import Family, Medium
from .download_notifier import OnEvent
from .downloads_arguments import (
    check_arguments,
    check_outcome,
    check_success,
    index_known_files,
)
from .generation_save import GenerationSave
from .http_get import HTTPClient, LinkOpener, send_through
from .link_renewal import LinkRenewal, SupportsFetch
from .load_outputs import DEFAULT_LOADED_BYTES, load_outputs
from .part_folder import DiskFolder
from .save_output import OnSaved, OutputSaver, new_part_limit
from .save_result_types import Saved, SaveResult, Unsaved
from .size_limit import SizeLimit
from .transfer import Transfer

DEFAULT_MAX_BYTES = 4 << 30
# The maximum number of generations in progress, as a multiple of `concurrency`. It is above 1,
# because a generation that waits for a retry uses no transfer.
_WINDOW_PER_TRANSFER = 8


class Downloads:
    """
    Saves the outputs of finished generations in a folder. It never sends the API key to a link.

    Use it with `async with`, or call `aclose` at the end.

    Args:
        client: A client that polls a ticket once for new links when a link has expired. With None,
            an expired link is an error.
        to: The folder. It is created if it does not exist. With None, only `load` can be used.
        concurrency: The maximum number of transfers and copies at a time.
        max_bytes: The largest size of one file.
        link_timeout: For how many seconds to retry a dead link, from the first attempt. The file
            behind a link may appear later than the link.
        timeout: How many seconds to wait for a response, or for the next bytes of a file.
        allow_private: Allow plain http and private addresses, for the emulator and your own
            networks.
        http: An `AsyncClient` or `AsyncBaseTransport` of httpx or httpx2 that sends the requests
            and resolves host names. `Downloads` still checks each link, and never closes `http`.
        families: The registry of families, with the media that each family makes.
        known: Files that earlier runs saved. Such a file is downloaded again only if it has changed
            or is missing.
        on_event: Called with `DownloadStarted`, `DownloadResumed`, `Downloaded` and
            `DownloadFailed`, with the caller's context variables. It must not block.

    Raises:
        TypeError: An argument has the wrong type.
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
        to: str | Path | None = None,
        concurrency: int = 8,
        max_bytes: int = DEFAULT_MAX_BYTES,
        link_timeout: float = 60.0,
        timeout: float = 30.0,
        allow_private: bool = False,
        http: HTTPClient | None = None,
        families: Mapping[str, Family] | None = None,
        known: Iterable[SavedFile] = (),
        on_event: OnEvent | None = None,
    ) -> None:
        check_arguments(locals())
        self._known = index_known_files(known)
        self._client = client
        self._folder = None if to is None else Path(to)
        self._own_transport: httpx.AsyncBaseTransport | None = None
        if http is None:
            # Import `public_only` only if it is needed, because it imports httpcore. That import
            # takes half as long as importing this whole package.
            from .._transport.public_only import PublicOnlyTransport  # noqa: PLC0415

            self._own_transport = PublicOnlyTransport(allow_private=allow_private)
        self._telemetry: Telemetry | None = None
        self._opener = LinkOpener(
            send_through(self._own_transport or http),
            timeout=timeout,
            allow_private=allow_private,
        )
        self._saver = OutputSaver(
            transfer=Transfer(self._opener, SizeLimit(max_bytes)),
            transfer_limit=asyncio.Semaphore(concurrency),
            part_limit=new_part_limit(concurrency),
            folder=DiskFolder(self.folder),
            link_timeout=link_timeout,
            on_event=on_event,
        )
        self._families = FAMILIES if families is None else families
        self._window = _WINDOW_PER_TRANSFER * concurrency
        self._is_closed = False

    async def __aenter__(self) -> Self:
        self._check_not_closed()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close idle connections now. Every other connection is closed after its transfer."""
        self._is_closed = True
        if self._own_transport is not None:
            await self._own_transport.aclose()

    async def save(self, success: Success) -> tuple[SavedFile, ...]:
        """
        Save all outputs of a generation.

        Raises:
            DownloadError: An output could not be saved. Its attribute `saved` has the other files.
            ClientClosed: `aclose` was called.
            TypeError: `success` is not a `Success`.
            ValueError: There is no folder to save in.
        """
        self.check_open()
        check_success("save", success)
        save_result = await self.try_save(success)
        if isinstance(save_result, Unsaved):
            raise save_result.cause
        return save_result.files

    async def load(
        self, success: Success, *, max_bytes: int = DEFAULT_LOADED_BYTES
    ) -> tuple[LoadedFile, ...]:
        """
        Return the bytes of all outputs, with the same checks as `save`. Write nothing to a disk.

        Args:
            success: The reply with the outputs.
            max_bytes: The maximum number of bytes of all outputs together.

        Raises:
            FileTooLarge: The outputs have more bytes than `max_bytes`.
            DownloadError: An output could not be loaded.
            ClientClosed: `aclose` was called.
            TypeError: `success` is not a `Success`.
        """
        self._check_not_closed()
        check_success("load", success)
        check_count("max_bytes", max_bytes, unit="bytes")
        media, renewal = self._media_of(success.ticket), self._renewal(success.ticket)
        return await load_outputs(
            self._saver, self._opener, success, media=media, renewal=renewal, max_bytes=max_bytes
        )

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
        Save the outputs of many generations as they end, for example from `client.stream(...)`.

        Yields a `Saved` or an `Unsaved` for each success, and every other outcome unchanged. If the
        caller leaves the loop early, running transfers are cancelled. A later download can resume
        them.

        Raises:
            ClientClosed: `aclose` was called.
            TypeError: `outcomes` yields an item that is not an outcome, such as a pair from
                `generate_many`. The error is raised after all earlier results.
            ValueError: There is no folder to save in.
        """
        self.check_open()
        saving = ConcurrentMap(self._save_outcome, self._window)
        async with aclosing(saving.run(outcomes, check_outcome)) as results:
            async for _, save_result in results:
                yield save_result

    async def _save_outcome(self, outcome: Outcome | Unsubmitted) -> SaveResult | Unsubmitted:
        return await self.try_save(outcome) if isinstance(outcome, Success) else outcome

    async def try_save(
        self, success: Success, known: Iterable[SavedFile] = (), on_saved: OnSaved | None = None
    ) -> Saved | Unsaved:
        """
        Save all outputs of a generation. Return failures instead of raising them.

        Args:
            success: The reply with the outputs.
            known: Files of this ticket that earlier runs saved.
            on_saved: Awaited with each new file, before the `.part` file is deleted. Its exceptions
                are raised in an `ExceptionGroup`. If `on_saved` is given, known files in other
                folders are copied to this folder.

        Raises:
            TypeError: `success` is not a `Success`.
        """
        check_success("try_save", success)
        outputs = range(len(success.output))
        earlier = {n: self._known.get((success.ticket, n)) for n in outputs}
        job = GenerationSave(
            success=success,
            saver=self._saver,
            media=self._media_of(success.ticket),
            renewal=self._renewal(success.ticket),
            known={n: file for n, file in earlier.items() if file} | {f.n: f for f in known},
            folder=self.folder,
            on_saved=on_saved,
            telemetry=self._telemetry,
        )
        return await job.run()

    def set_telemetry(self, telemetry: Telemetry) -> None:
        """
        Make spans and metrics from now on. `modelslab_async.otel.instrument` calls this method.

        Raises:
            ValueError: These downloads have telemetry already.
        """
        if self._telemetry is not None:
            raise ValueError("these downloads are instrumented already; instrument them once")
        self._telemetry = telemetry
        self._opener.on_exchange = telemetry.on_exchange

    def check_open(self) -> None:
        """
        Raise an error if these downloads cannot save files.

        Raises:
            ClientClosed: `aclose` was called.
            ValueError: There is no folder to save in.
        """
        self._check_not_closed()
        if self._folder is None:
            raise ValueError(
                "these downloads have no folder to save in, got to=None; give to='out', or use "
                "`load` for the bytes"
            )

    def _check_not_closed(self) -> None:
        if self._is_closed:
            raise ClientClosed("these downloads are closed; make new ones")

    @property
    def window(self) -> int:
        """The maximum number of generations that are in progress or have unread results."""
        return self._window

    @property
    def folder(self) -> Path:
        """The folder in which files are saved. `check_open` raises an error if there is none."""
        return self._folder or Path()

    def _media_of(self, ticket: Ticket) -> Collection[Medium]:
        family = self._families.get(ticket.family)
        return family.output if family else ()

    def _renewal(self, ticket: Ticket) -> LinkRenewal | None:
        return None if self._client is None else LinkRenewal(self._client, ticket)
