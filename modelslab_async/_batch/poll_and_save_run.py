"""SaveRun: polls tickets and saves their files. It returns a success after its files are saved."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from attrs import evolve

from .._aio.concurrent_map import ConcurrentMap
from .._aio.threads import run_in_thread
from .._downloads.downloads import Downloads
from .._downloads.file_stems import stem_of
from .._downloads.part_folder import part_stems, remove_stale
from .._downloads.save_result_types import Saved, SaveResult, Unsaved
from .._journal.recorded_files import RecordedFile
from .._journal.save_queue import PendingSave, SaveClaim
from .._models.download_errors import DownloadError
from .._models.journal_errors import JournalDamaged, JournalError
from .._models.replies import Success
from .._models.saved_file import SavedFile
from .._models.unresolved_outcomes import Unresolved
from ..journal import Journal
from .leased_tickets import TicketFeed, recheck_interval
from .poll_run import MAX_CLAIM, PollRun
from .run_protocol import MAX_READY, RunStopped, closed_error


class SaveRun:
    """
    Saves the files of a poll run's successes, and files that earlier runs did not save.

    The poll run queues its successes in the journal, and this run claims them there under the same
    lease. So if the process dies, a later run saves the missing files.

    Args:
        poll_run: The run that polls. This object starts and closes it.
        downloads: Saves the files.
        journal: The journal of both runs.
        before_run: A run's number. Saves that failed in runs with lower numbers are tried again.
        feed: Announces tickets that are added during the run; None if none are added.
    """

    def __init__(
        self,
        poll_run: PollRun,
        downloads: Downloads,
        journal: Journal,
        *,
        before_run: int,
        feed: TicketFeed | None = None,
    ) -> None:
        self.run_id = poll_run.run_id
        self._poll_run = poll_run
        self._downloads = downloads
        self._journal = journal
        self._before_run = before_run
        self._feed = feed or TicketFeed(is_closed=True)
        # Claim many successes at once, because each claim costs a commit.
        self._max_claim = min(max(1, downloads.window // 2), MAX_CLAIM)
        self._results: asyncio.Queue[SaveResult | RunStopped] = asyncio.Queue(MAX_READY)
        self._has_news = asyncio.Event()
        self._has_polled_all = False
        self._has_lost_lease = False
        self._is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def has_lost_lease(self) -> bool:
        """Whether another run has ended this run's lease."""
        return self._has_lost_lease or self._poll_run.has_lost_lease

    @property
    def is_released(self) -> bool:
        """Whether this run has released its open tickets, so that other runs can claim them."""
        return self._poll_run.is_released

    def start(self, *, timeout: float | None, window: int) -> None:
        """Start polling and saving."""
        self._poll_run.start(timeout=timeout, window=window)
        self._feed.subscribe(self._has_news.set)
        forwarding = asyncio.create_task(
            self._forward_outcomes(), name="modelslab_async batch outcomes"
        )
        saving = asyncio.create_task(self._save_all(), name="modelslab_async batch files")
        self._tasks = [forwarding, saving]

    async def next_results(self) -> list[SaveResult] | None:
        """
        Wait for the next result, and return it in a list. Return None after the last.

        Raises:
            JournalError: The journal cannot be written. Uncommitted results are not returned.
        """
        if self._is_closed and self._results.empty():
            raise closed_error()
        item = await self._results.get()
        if not isinstance(item, RunStopped):
            return [item]
        if item.is_closed:
            raise closed_error()
        if item.error is not None:
            raise item.error
        return None

    def drain(self) -> None:
        """Stop polling. The run ends once the transfers in progress are complete."""
        self._poll_run.drain()

    async def close(self) -> None:
        """Stop polling and saving. Keep `.part` files, so that a later run can resume them."""
        self._is_closed = True
        self._feed.unsubscribe(self._has_news.set)
        for task in self._tasks:
            task.cancel()
        # Wake the task that waits for results. If the queue is full, no task waits.
        with suppress(asyncio.QueueFull):
            self._results.put_nowait(RunStopped(is_closed=True))
        try:
            await asyncio.wait(self._tasks)
        finally:
            await self._poll_run.close()

    async def _forward_outcomes(self) -> None:
        """
        Queue every outcome for the caller, except successes.

        The task `_save_all` saves the files of the successes, and then queues these results.
        """
        try:
            while (outcomes := await self._poll_run.next_results()) is not None:
                self._has_news.set()
                for outcome in outcomes:
                    if not isinstance(outcome, Success):
                        await self._results.put(outcome)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- `next_results` raises it.
            # If the client cannot poll one of the tickets, do not report the error yet. `_save_all`
            # reports it after the files of the other tickets are saved.
            if error is not self._poll_run.ticket_error:
                await self._results.put(RunStopped(error))
        self._has_polled_all = True
        self._has_news.set()

    async def _save_all(self) -> None:
        error: BaseException | None = None
        try:
            await self._journal.queue_saves()
            saves = ConcurrentMap(self._save_one, self._downloads.window)
            async with aclosing(saves.run(self._claim_saves())) as results:
                async for _, result in results:
                    if result is not None:
                        await self._results.put(result)
            if self._feed.is_draining:
                await asyncio.wait(self._tasks[:1])
            elif not self._has_lost_lease:
                await self._remove_stale_parts()
        except asyncio.CancelledError:
            raise
        except BaseException as raised:  # noqa: BLE001 -- `next_results` raises it.
            error = raised
        await self._results.put(RunStopped(error or self._poll_run.ticket_error))

    async def _claim_saves(self) -> AsyncGenerator[PendingSave, None]:
        """Claim and yield successes until all polling has ended and all successes are claimed."""
        while not self._feed.is_draining:
            self._has_news.clear()
            has_polled_all = self._has_polled_all
            lease = self._poll_run.lease
            requested_at = lease.now()
            claim = await lease.retry_while_locked(self._claim)
            if claim is None:
                self._has_lost_lease = True
                return
            lease.mark_renewed(requested_at)
            for damaged in claim.damaged:
                await self._results.put(self._damaged_result(damaged))
            for pending in claim.pending:
                yield pending
            if claim.pending or claim.damaged:
                continue
            if has_polled_all and not claim.has_others and not await self._journal.queue_saves():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(recheck_interval(lease.duration)):
                    await self._has_news.wait()

    async def _claim(self) -> SaveClaim | None:
        return await self._journal.leases.claim_saves(
            self.run_id,
            before_run=self._before_run,
            limit=self._max_claim,
            lease=self._poll_run.lease.duration,
        )

    def _damaged_result(self, damaged: JournalDamaged) -> Unresolved:
        """Return an unresolved result for a ticket whose row in the journal is damaged."""
        if damaged.ticket is None:
            raise damaged
        damaged.path = self._journal.path
        return Unresolved(ticket=damaged.ticket, cause=damaged)

    async def _save_one(self, pending: PendingSave) -> Saved | Unsaved | None:
        """
        Save the files of one ticket.

        Return None if this run has been told to stop, or if another run has taken the ticket.
        """
        if self._feed.is_draining:
            return None
        result = await self._try_save(pending)
        error, argument = None, ""
        if isinstance(result, Unsaved):
            error, argument = result.cause.message, result.cause.argument
        is_written = await self._journal.leases.complete_save(
            self.run_id, pending.row_id, error=error, argument=argument
        )
        return result if is_written else None

    async def _try_save(self, pending: PendingSave) -> Saved | Unsaved:
        """Save the files of one ticket. Raise only errors of the journal, which end the run."""
        try:
            known = [*map(to_saved_file, pending.files)]
            result = await self._downloads.try_save(pending.success, known, self._record_file)
            # Return absolute paths. The journal holds absolute paths too, so a later run returns
            # the same paths.
            files = tuple(evolve(file, path=file.path.absolute()) for file in result.files)
            return evolve(result, files=files)
        except Exception as error:
            if (journal_error := _find_journal_error(error)) is not None:
                raise journal_error from error
            ticket = pending.success.ticket
            # Name only the type of the error, because a message of another library can contain the
            # API key.
            cause = DownloadError(f"saving raised {type(error).__name__}", ticket=ticket)
            cause.__cause__ = error
            return Unsaved(ticket=ticket, cause=cause, files=(), success=pending.success)

    async def _record_file(self, file: SavedFile) -> None:
        await self._journal.record_file(
            *(file.ticket, file.n),
            path=file.path.absolute(),
            sha256=file.sha256,
            size=file.size,
            url=file.url,
            is_length_verified=file.is_length_verified,
        )

    async def _remove_stale_parts(self) -> None:
        """Remove `.part` files that earlier runs left behind for outputs that are saved by now."""
        stems = await run_in_thread(part_stems, self._downloads.folder)
        if not stems:
            return
        async for file in self._journal.all_files():
            if (stem := stem_of(file.ticket, file.output_index)) in stems:
                await run_in_thread(remove_stale, self._downloads.folder, stem)


def to_saved_file(record: RecordedFile) -> SavedFile:
    """Convert a recorded file to a `SavedFile`."""
    return SavedFile(
        ticket=record.ticket,
        n=record.output_index,
        path=Path(record.path),
        sha256=record.sha256,
        size=record.size,
        url=record.url,
        is_length_verified=record.is_length_verified,
    )


def _find_journal_error(error: Exception) -> JournalError | None:
    """
    Return the error if it is a `JournalError`; None if it is another error.

    If the error is an exception group, return the first `JournalError` in it; None if it has none.
    """
    if isinstance(error, ExceptionGroup):
        return next(filter(None, map(_find_journal_error, error.exceptions)), None)
    return error if isinstance(error, JournalError) else None
