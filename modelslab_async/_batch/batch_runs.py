"""BatchRuns: begins and closes the runs of one batch in this process."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from .._aio.yield_and_wakeup import finish, wait_to_end
from .._downloads.downloads import Downloads
from .._engine.engine import Engine
from .._models.argument_checks import (
    check_count,
    check_nonnegative_seconds,
    check_number,
    check_type,
)
from ..journal import Journal
from .journal_submit_recorder import JournalSubmitRecorder
from .leased_tickets import TicketFeed
from .poll_and_save_run import SaveRun
from .poll_run import PollRun
from .run_protocol import Run, closed_error


class BatchRuns:
    """
    Begins the runs of a batch, one after another, and closes them.

    Args:
        journal: Records the runs and their leases.
        lease: The seconds for which the tickets of a run stay reserved for it if the process dies.
    """

    def __init__(self, journal: Journal, lease: float) -> None:
        self._journal = journal
        self._lease = lease
        self._active_runs: list[Run[Any]] = []
        # The task that closes each run. A run is in `_active_runs` or here, never in both.
        self._closings: dict[Run[Any], asyncio.Task[None]] = {}
        self._beginnings: set[asyncio.Task[Run[Any]]] = set()
        self._feeds: list[TicketFeed] = []
        # The ids of runs that have ended, but whose end could not be recorded in the journal.
        self._unended_run_ids: set[int] = set()
        self._is_draining = self._is_closing = False

    @staticmethod
    def check_lease(lease: float) -> None:
        """
        Check that a lease is a finite number of seconds above 0.

        Raises:
            TypeError: The lease is not a number.
            ValueError: The lease is out of range.
        """
        # In the journal, a run with an endless lease is the mark of a copy.
        expected = "a finite number of seconds above 0"
        check_number("lease", lease, expected, lambda number: 0 < number < float("inf"))

    @staticmethod
    def check_downloads(downloads: Downloads) -> None:
        """
        Check that a run can save files in the folder of `downloads` and record the files' paths.

        Raises:
            ClientClosed: `downloads` is closed.
            TypeError: `downloads` has another type.
            ValueError: `downloads` has no folder, or a journal cannot store the path of the folder.
        """
        expected = "a Downloads, such as Downloads(client, to='out')"
        check_type("downloads", downloads, Downloads, expected)
        downloads.check_open()
        path = str(downloads.folder.absolute())
        try:
            path.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"a journal holds the paths of saved files, but the folder {path!r} is not UTF-8 "
                "text; save in another folder"
            ) from None

    async def results(
        self,
        engine: Engine,
        downloads: Downloads | None,
        timeout: float | None,
        window: int = 10_000,
        feed: TicketFeed | None = None,
    ) -> AsyncGenerator[Any, None]:
        """
        Yield the results of a run. If the run loses its lease, continue with a new run.

        Args:
            engine: Polls the tickets.
            downloads: Saves the files of successes; None to yield the successes themselves.
            timeout: The maximum number of seconds to wait for each ticket.
            window: The maximum number of tickets that a run polls at a time.
            feed: Announces tickets that are added during the run.

        Raises:
            ValueError: The timeout or the window is out of its range.
        """
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_count("window", window)
        feed = feed or TicketFeed(is_closed=True)
        self._feeds.append(feed)
        try:
            while not self._is_draining:
                # Begin in a task of its own: the batch may close now, and then waits for that task.
                beginning = asyncio.create_task(
                    self._begin(engine, downloads, timeout, window, feed),
                    name="modelslab_async batch begin",
                )
                self._beginnings.add(beginning)
                beginning.add_done_callback(self._beginnings.discard)
                try:
                    run = await finish(beginning)
                    while (results := await run.next_results()) is not None:
                        for result in results:
                            yield result
                finally:
                    if not beginning.cancelled() and beginning.exception() is None:
                        await self._close(beginning.result())
                # If the run has lost its lease, begin another run for the open tickets. A run can
                # lose its lease while its process is suspended, for example.
                if not run.has_lost_lease:
                    return
        finally:
            self._feeds.remove(feed)

    def _make_run(
        self,
        engine: Engine,
        downloads: Downloads | None,
        run_id: int,
        first_run: int,
        feed: TicketFeed,
    ) -> Run[Any]:
        poll_run = PollRun(
            engine,
            self._journal,
            run_id=run_id,
            before_run=first_run,
            lease=self._lease,
            save_files=downloads is not None,
            feed=feed,
        )
        if downloads is None:
            return poll_run
        return SaveRun(
            poll_run,
            downloads,
            self._journal,
            before_run=first_run,
            feed=feed,
        )

    def drain(self, journaled_submits: JournalSubmitRecorder) -> None:
        """
        Begin no new run, and send no further submit.

        Let active runs finish their transfers and return ready results.
        """
        self._is_draining = True
        journaled_submits.drain()
        for feed in self._feeds:
            feed.drain()
        for run in self._active_runs:
            run.drain()

    async def aclose(self, journaled_submits: JournalSubmitRecorder) -> None:
        """
        Close the runs, and then the recorder of the submits.

        Closing a run frees its open tickets for other processes. If the calling task is cancelled
        meanwhile, closing still completes. Otherwise the journal could be closed before the tickets
        of submits in flight are recorded.

        Once this method is called, no further submit is sent. Each operation of the journal fails
        within about ten seconds if the database cannot be reached, and after `lock_timeout` if a
        file is locked. A cancellation begins the operation in progress anew. Only the write that
        records the ticket of a submit waits longer, because the customer pays for this work.
        """
        await finish(self._close_all(journaled_submits))

    async def _close_all(self, journaled_submits: JournalSubmitRecorder) -> None:
        journaled_submits.start_closing()
        self._journal.leases.start_leaving()
        self._is_closing = True
        for beginning in [*self._beginnings]:
            await wait_to_end(beginning)
        for run in [*self._active_runs]:
            self._start_closing(run)
        closings = [*self._closings.values()]
        try:
            for closing in closings:
                await wait_to_end(closing)
            for closing in closings:
                closing.result()
        finally:
            await journaled_submits.close()

    async def _begin(
        self,
        engine: Engine,
        downloads: Downloads | None,
        timeout: float | None,
        window: int,
        feed: TicketFeed,
    ) -> Run[Any]:
        """
        Begin and start a run, and add it to the active ones.

        Raises:
            JournalError: The batch is closing, or the journal cannot be written.
        """
        if self._is_closing:
            raise closed_error()
        while self._unended_run_ids:
            run_id = next(iter(self._unended_run_ids))
            # Another task that begins a run may end this run too. Ending it twice does no harm.
            await self._journal.leases.end_run(run_id)
            self._unended_run_ids.discard(run_id)
        run_id = await self._journal.leases.begin_run(lease=self._lease)
        feed.first_run = feed.first_run or run_id
        run = self._make_run(engine, downloads, run_id, feed.first_run, feed)
        self._active_runs.append(run)
        run.start(timeout=timeout, window=window)
        if feed.is_draining:
            # `drain` was called while the run began, so `drain` did not stop this run.
            run.drain()
        return run

    async def _close(self, run: Run[Any]) -> None:
        """
        Close a run, or wait until another task has closed it.

        If the calling task is cancelled meanwhile, closing still completes.
        """
        if run in self._active_runs:
            self._start_closing(run)
        if (closing := self._closings.get(run)) is not None:
            await finish(closing)

    def _start_closing(self, run: Run[Any]) -> None:
        self._active_runs.remove(run)
        # Close in a task of its own, because the task that leaves the run may be cancelled again.
        closing = asyncio.create_task(run.close(), name="modelslab_async batch close")
        self._closings[run] = closing
        closing.add_done_callback(lambda _: self._on_closed(run))

    def _on_closed(self, run: Run[Any]) -> None:
        del self._closings[run]
        if not run.is_released:
            self._unended_run_ids.add(run.run_id)
