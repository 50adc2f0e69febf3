"""BatchGeneration: one call of `Batch.generate_many`. It sends each submission key only once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from .._aio.concurrent_map import ConcurrentMap
from .._downloads.downloads import Downloads
from .._downloads.save_result_types import SaveResult
from .._engine.bulk_generation import BulkSubmits, GenerationRequest, check_bulk_arguments
from .._engine.engine import Engine
from .._journal.own_submits import SubmitSettled
from .._journal.submits import DuplicateSubmit
from .._models.errors import GenerationFailed, ModelsLabError
from .._models.journal_errors import SubmissionConflict
from .._models.replies import Success
from .._models.submission import Submission
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unsubmitted
from ..journal import Journal, PendingSubmit
from .awaited_results import AwaitedResults
from .batch_runs import BatchRuns
from .earlier_submits import is_same_work, prepare
from .journal_submit_recorder import JournalSubmitRecorder
from .leased_tickets import TicketFeed
from .submission_keys import with_keys
from .uncertain_submit_errors import uncertain_error

GenerationResult: TypeAlias = Outcome | SaveResult | Unsubmitted


class BatchGeneration:
    """
    Sends the submissions that are not in the journal yet. Finds the results of all submissions.

    A submission key identifies each submission in the journal. A result comes from a run of this
    process or from the journal.

    Args:
        engine: Sends the submits.
        journal: Knows which submission keys have been submitted.
        submit_recorder: Records each submit with its submission key.
        lease: The duration of a lease in seconds. See `AwaitedResults`.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        submit_recorder: JournalSubmitRecorder,
        lease: float,
    ) -> None:
        self._feed = TicketFeed()
        self._engine = engine
        self._journal = journal
        self._submit_recorder = submit_recorder
        self._submits = BulkSubmits(engine, submit_recorder)
        self._submit_waits: set[asyncio.Task[Ticket | Success | Unsubmitted]] = set()
        self._results = AwaitedResults(engine, journal, self._feed, lease=lease)
        self._run_error: BaseException | None = None

    async def run(
        self,
        requests: Iterable[GenerationRequest] | AsyncIterable[GenerationRequest],
        runs: BatchRuns,
        downloads: Downloads | None,
        *,
        timeout: float | None,
        window: int,
    ) -> AsyncGenerator[tuple[Submission, GenerationResult], None]:
        """
        Yield each submission with its result. See `Batch.generate_many`.

        Args:
            requests: The submissions, or pairs of an endpoint and its parameters.
            runs: Begins the runs that poll and save.
            downloads: Saves the files of successes; None to yield the successes themselves.
            timeout: The maximum number of seconds to wait for each ticket.
            window: The maximum number of submissions in progress.
        """
        self._engine.check_usable()
        check_bulk_arguments(requests, timeout, window)
        if downloads is not None:
            runs.check_downloads(downloads)
            self._results.saves_files = True
        await self._hold_slots()
        run_results = runs.results(self._engine, downloads, timeout, feed=self._feed)
        routing = asyncio.create_task(
            self._route_results(run_results), name="modelslab_async batch results"
        )
        recheck = self._results.recheck()
        rechecking = asyncio.create_task(recheck, name="modelslab_async batch recheck")
        tasks: list[asyncio.Task[Any]] = [routing, rechecking]
        generate: ConcurrentMap[Submission, GenerationResult | None] = ConcurrentMap(
            self._generate, window
        )
        self._feed.subscribe(partial(self._stop_if_draining, generate))
        try:
            async with aclosing(generate.run(with_keys(requests), self._check)) as pairs:
                async for submission, result in pairs:
                    if result is not None:
                        yield submission, result
            if self._run_error is not None:
                raise self._run_error
            await self._end_run(routing)
        finally:
            self._feed.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _hold_slots(self) -> None:
        """
        Hold a slot for each unfinished ticket that was submitted in a run that has ended.

        These tickets are open or unresolved, so the server may still be working on them.
        """
        now = self._journal.clock()
        for submit in await self._journal.leases.orphaned_submits():
            if submit.ticket is not None:
                age = max(0.0, now - submit.recorded_at)
                self._engine.submitter.hold_slot(submit.ticket, endpoint=submit.endpoint, age=age)

    async def _end_run(self, routing: asyncio.Task[None]) -> None:
        """Wait for the run to end, unless it still has to poll or save tickets of other calls."""
        self._feed.close()
        report = await self._journal.report()
        if not report.open and not report.save_pending:
            await asyncio.wait((routing,))

    def _check(self, submission: Submission) -> None:
        self._engine.endpoints.check(submission.endpoint, submission.parameters, submission.key)

    async def _generate(self, submission: Submission) -> GenerationResult | None:
        """Return the result of one submission; None if the batch stops first."""
        if self._feed.is_draining:
            return None
        starting = asyncio.create_task(self._start(submission), name="modelslab_async batch submit")
        self._submit_waits.add(starting)
        starting.add_done_callback(self._submit_waits.discard)
        try:
            await asyncio.wait((starting,))
        finally:
            if not starting.done():
                # Cancel only the wait for the submit. A request in flight continues in a task of
                # its own.
                starting.cancel()
                await asyncio.wait((starting,))
        if starting.cancelled() and starting.cancelling():
            return None
        # If `on_submitted` raised a CancelledError of its own, this line raises it.
        started = starting.result()
        return await self._results.wait(started) if isinstance(started, Ticket) else started

    def _stop_if_draining(
        self, generate: ConcurrentMap[Submission, GenerationResult | None]
    ) -> None:
        """
        If the batch is draining, read no more requests, and cancel all tasks that wait to submit.

        If these tasks went on, the next free slot would let one of them submit.
        """
        if not self._feed.is_draining:
            return
        generate.stop_reading()
        for starting in self._submit_waits:
            if not starting.cancelling():
                starting.cancel()

    async def _start(self, submission: Submission) -> Ticket | Success | Unsubmitted:
        """Return the ticket or result of a submission. Send it if its key is not in the journal."""
        settled: SubmitSettled | None = None
        while True:
            recorded = await self._submit_recorder.earlier.find_by_key(submission.key or "")
            if recorded is None:
                if settled is not None:
                    return Unsubmitted(cause=ModelsLabError(str(settled)))
                try:
                    return await self._submit(submission)
                except SubmitSettled as error:
                    # Another process has settled this submit, and its user may have submitted the
                    # work again. So search the journal once more.
                    settled = error
                except DuplicateSubmit:
                    # Either another submission has the same track_id, or another task or process
                    # has just recorded the same submission key.
                    if await self._is_track_id_taken(submission):
                        other = "another submission"
                        return Unsubmitted(cause=_conflict(submission, "track_id", other))
            elif not await self._is_same(submission, recorded):
                other = "another endpoint or other parameters"
                return Unsubmitted(cause=_conflict(submission, "key", other))
            elif recorded.ticket is not None:
                return recorded.ticket
            elif await self._submit_recorder.earlier.is_uncertain(recorded):
                return Unsubmitted(cause=uncertain_error(recorded))
            else:
                # Another task or process is sending this submission now.
                await self._submit_recorder.pause_for_result(recorded.track_id)

    async def _is_track_id_taken(self, submission: Submission) -> bool:
        """Whether another submission in the journal has the same track_id."""
        track_id = submission.parameters.get("track_id")
        if track_id is None:
            return False
        recorded = await self._journal.find_submit(str(track_id))
        return recorded is not None and recorded.key != submission.key

    async def _submit(self, submission: Submission) -> Ticket | Success | Unsubmitted:
        match await self._submits.submit(submission):
            case Unsubmitted(cause=GenerationFailed(ticket=Ticket() as ticket)):
                # The server accepted the work, and the work failed at once. The journal already
                # holds this outcome, so return only the ticket.
                return ticket
            case Unsubmitted() as unsubmitted:
                return unsubmitted
            case Success() as success if not self._results.saves_files:
                return success
            case reply:
                return reply.ticket

    async def _is_same(self, submission: Submission, recorded: PendingSubmit) -> bool:
        return is_same_work(submission, await prepare(self._engine, submission), recorded)

    async def _route_results(self, run_results: AsyncGenerator[Any, None]) -> None:
        """Pass each result of the runs to the task that waits for the result's ticket."""
        try:
            async with aclosing(run_results):
                async for result in run_results:
                    self._results.resolve(result.ticket, result)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- `run` raises it.
            self._run_error = error
        self._feed.drain()
        self._results.end()


def _conflict(submission: Submission, what: str, other: str) -> SubmissionConflict:
    return SubmissionConflict(
        f"the {what} of submission {submission.key!r} is in this journal for {other}; nothing was "
        f"sent: give it another {what}, or use another journal"
    )
