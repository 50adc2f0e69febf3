"""Haul: a shift whose successes become files. A file is recorded before its ticket is told."""

import asyncio
from contextlib import suppress
from pathlib import Path

from .._aio.threads import run_in_thread
from .._downloads.filenames import stem_of
from .._downloads.manager import Downloads
from .._downloads.save_result import Saved, SaveResult, Unsaved
from .._downloads.stale_parts import part_stems, remove_stale
from .._journal.pending_files import PendingSave
from .._journal.recorded_files import RecordedFile
from .._models.journal_errors import JournalError
from .._models.replies import Success
from .._models.saved_file import SavedFile
from ..journal import Journal
from .poll_run import PollRun
from .run import MAX_READY, RunStopped, recheck_interval


class SaveRun:
    """
    The saving of what one shift finds, and of what earlier runs left to save.

    The journal stands between the two: what the shift settles is owed there, and claimed from
    there, under the lease of the shift. So whatever dies, the rest is still owed.

    Args:
        poll_run: What looks. It is started and closed here.
        downloads: What saves.
        before_run: What runs before this one could not save is tried again.
        lease: For how many seconds tickets stay this run's if the process dies.
    """

    def __init__(
        self,
        poll_run: PollRun,
        downloads: Downloads,
        journal: Journal,
        *,
        before_run: int,
        lease: float,
    ) -> None:
        self.run_id = poll_run.run_id
        self._poll_run = poll_run
        self._downloads = downloads
        self._journal = journal
        self._before_run = before_run
        self._lease = lease
        self._free_window = downloads.window
        self._results: asyncio.Queue[SaveResult | RunStopped] = asyncio.Queue()
        self._unread_limit = asyncio.Semaphore(MAX_READY)
        self._changed = asyncio.Event()
        self._has_polled_all = False
        self._has_lost_lease = False
        self._draining = False
        self._family_error: ValueError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def has_lost_lease(self) -> bool:
        """Whether another run has ended this one's lease."""
        return self._has_lost_lease or self._poll_run.has_lost_lease

    @property
    def is_released(self) -> bool:
        """Whether what was open could be left to others."""
        return self._poll_run.is_released

    def start(self, *, timeout: float | None, window: int) -> None:
        """Begin to look, and to save."""
        self._poll_run.start(timeout=timeout, window=window)
        forwarding = asyncio.create_task(
            self._forward_outcomes(), name="modelslab_async batch outcomes"
        )
        saving = asyncio.create_task(self._save(), name="modelslab_async batch files")
        self._tasks = [forwarding, saving]

    async def next_results(self) -> list[SaveResult] | None:
        """
        What has ended, as far as it is told one by one; None when there will be no more.

        Raises:
            JournalError: The journal cannot be written. What was not committed is not told.
        """
        item = await self._results.get()
        match item:
            case RunStopped(error=error):
                if error is not None:
                    raise error
                return None
            case Saved() | Unsaved():
                self._release_window()
            case _:
                self._unread_limit.release()
        return [item]

    def drain(self) -> None:
        """Look no more, and end when the files that are on their way are there."""
        self._draining = True
        self._poll_run.drain()
        self._changed.set()

    async def close(self) -> None:
        """Stop looking and saving; parts stay, to be gone on with."""
        for task in self._tasks:
            task.cancel()
        # Whoever still waits, in another task, is not left waiting.
        self._results.put_nowait(RunStopped(JournalError("the batch was closed; open it again")))
        try:
            await asyncio.wait(self._tasks)
        finally:
            await self._poll_run.close()

    async def _forward_outcomes(self) -> None:
        """Pass on what needs no saving, and say when there is something to save."""
        try:
            while (outcomes := await self._poll_run.next_results()) is not None:
                self._changed.set()
                for outcome in outcomes:
                    if not isinstance(outcome, Success):
                        await self._unread_limit.acquire()
                        self._results.put_nowait(outcome)
        except ValueError as error:
            # A ticket that the client does not know; what others made is saved first.
            self._family_error = error
        except Exception as error:  # noqa: BLE001 -- it is raised where the caller waits.
            self._results.put_nowait(RunStopped(error))
        self._has_polled_all = True
        self._changed.set()

    async def _save(self) -> None:
        error: Exception | None = None
        try:
            await self._journal.queue_saves()
            async with asyncio.TaskGroup() as group:
                await self._claim_all(group)
            if self._draining:
                await asyncio.wait(self._tasks[:1])
            elif not self._has_lost_lease:
                await self._remove_stale_parts()
        except ExceptionGroup as errors:
            error = _first_error(errors)
        except Exception as raised:  # noqa: BLE001 -- it is raised where the caller waits.
            error = raised
        self._results.put_nowait(RunStopped(error or self._family_error))

    async def _claim_all(self, group: asyncio.TaskGroup) -> None:
        """Save what is owed, as far as the window takes it, until nothing is owed any more."""
        while not self._draining:
            self._changed.clear()
            has_polled_all = self._has_polled_all
            # One claim for many: each is a commit.
            if 2 * self._free_window >= self._downloads.window:
                claim = await self._journal.leases.claim_saves(
                    self.run_id,
                    before_run=self._before_run,
                    limit=self._free_window,
                    lease=self._lease,
                )
                if claim is None:
                    self._has_lost_lease = True
                    return
                for pending in claim.pending:
                    self._free_window -= 1
                    group.create_task(self._save_one(pending))
                idle = not claim.pending and self._free_window == self._downloads.window
                if (
                    has_polled_all
                    and idle
                    and not claim.has_others
                    and not await self._journal.queue_saves()
                ):
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(recheck_interval(self._lease)):
                    await self._changed.wait()

    async def _save_one(self, pending: PendingSave) -> None:
        known = map(to_saved_file, pending.files)
        save_result = await self._downloads.try_save(pending.success, known, self._record_file)
        error, argument = None, ""
        if isinstance(save_result, Unsaved):
            error, argument = save_result.cause.message, save_result.cause.argument
        if await self._journal.leases.complete_save(
            self.run_id, pending.row_id, error=error, argument=argument
        ):
            self._results.put_nowait(save_result)
        else:
            self._release_window()

    def _release_window(self) -> None:
        self._free_window += 1
        self._changed.set()

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
        """Where two had one part, one of them may have left it though the other saved the file."""
        stems = await run_in_thread(part_stems, self._downloads.folder)
        if not stems:
            return
        async for file in self._journal.all_files():
            if (stem := stem_of(file.ticket, file.output_index)) in stems:
                await run_in_thread(remove_stale, self._downloads.folder, stem)


def to_saved_file(record: RecordedFile) -> SavedFile:
    """A file as downloads know it."""
    return SavedFile(
        ticket=record.ticket,
        n=record.output_index,
        path=Path(record.path),
        sha256=record.sha256,
        size=record.size,
        url=record.url,
        is_length_verified=record.is_length_verified,
    )


def _first_error(group: ExceptionGroup[Exception]) -> Exception:
    first = group.exceptions[0]
    return _first_error(first) if isinstance(first, ExceptionGroup) else first
