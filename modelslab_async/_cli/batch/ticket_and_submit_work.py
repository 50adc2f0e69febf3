"""The two kinds of work of a batch: polling the tickets of a file, or submitting a table's rows."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

from attrs import define, field, frozen

from ... import Batch, Downloads, Outcome, SaveResult, Unsubmitted
from ..._models.ticket import NewTicket
from ..._submitting.endpoint_requests import EndpointRequests
from .row_keys import SubmissionRow
from .rows_in_journal import RowsInJournal

# How many submissions of a batch are in progress at once. The number exceeds the queue limit of any
# plan. So a submission is always ready when the service's queue has room.
_MAX_SUBMISSIONS_IN_PROGRESS = 100


@frozen(kw_only=True)
class WorkResult:
    """
    The result for one ticket or one row.

    Attributes:
        result: An outcome, saved files, or a submit that made no ticket.
        name: The result's name in messages: the ticket, or the location of the row.
        endpoint: The endpoint of the row. A message about wrong parameters names this endpoint.
        was_recorded: Whether the row's submission key was in the journal before this run.
        details: Further fields for the result's line of JSON.
    """

    result: Outcome | SaveResult | Unsubmitted
    name: str
    endpoint: str = ""
    was_recorded: bool = False
    details: dict[str, Any] = field(factory=dict[str, Any])


ResultStream: TypeAlias = AsyncGenerator[WorkResult, None]


class BatchWork(Protocol):
    """What a command does with a batch: polling or submitting."""

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:
        """Prepare the journal. Return how many new submits the run will make."""
        ...

    def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """Run the batch, and yield a result for each ticket or row."""
        ...


@frozen(kw_only=True)
class TicketWork:
    """
    Adds tickets to the journal, and polls all tickets of the journal.

    Attributes:
        tickets: The tickets to add.
        retry_failed: Whether to poll failed tickets again.
        window: The maximum number of tickets that this process polls at once.
    """

    tickets: Sequence[NewTicket] = ()
    retry_failed: bool = False
    window: int

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:  # noqa: ARG002
        """Add the tickets to the journal. Return the number of new submits, which is 0."""
        await batch.add(self.tickets)
        if self.retry_failed:
            await batch.retry_failed()
        return 0

    async def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """Poll the open tickets, save their files if `downloads` is given, and yield results."""
        results: AsyncGenerator[Outcome | SaveResult, None] = (
            batch.run(timeout=timeout, window=self.window)
            if downloads is None
            else batch.save(downloads, timeout=timeout, window=self.window)
        )
        async with aclosing(results):
            async for result in results:
                yield WorkResult(result=result, name=str(result.ticket))


@define(kw_only=True)
class SubmitWork:
    """
    Submits the rows whose submission keys are not in the journal. Polls the tickets of all rows.

    Attributes:
        rows: The rows with their submissions. Each submission has a submission key.
        endpoints: Builds the request of each row, to compare the row with the journal.
        max_submits: How many submits the run may pay for. None for no limit.
    """

    rows: Sequence[SubmissionRow]
    endpoints: EndpointRequests
    max_submits: int | None = None
    _recorded_keys: frozenset[str] = frozenset()
    _finished_keys: frozenset[str] = frozenset()

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:
        """
        Compare the rows with the journal, and return how many of them are new.

        Raises:
            click.UsageError: There are more new rows than `max_submits` allows. Or the journal
                holds some of the new rows under other submission keys.
        """
        known = await RowsInJournal.find(batch, self.endpoints, self.rows, saves_files=saves_files)
        known.check_keys()
        self.rows = known.rows
        self._recorded_keys = frozenset(known.recorded)
        self._finished_keys = frozenset(
            key for key, submit in known.recorded.items() if submit.is_finished
        )
        known.check_count(self.max_submits)
        return len(known.new)

    async def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """Submit, poll and save, and yield the results. Leave out results of earlier runs."""
        locations = {row.submission.key: row.location for row in self.rows}
        pairs = batch.generate_many(
            (row.submission for row in self.rows),
            downloads=downloads,
            timeout=timeout,
            window=_MAX_SUBMISSIONS_IN_PROGRESS,
        )
        async with aclosing(pairs):
            async for submission, result in pairs:
                if submission.key in self._finished_keys and not isinstance(result, Unsubmitted):
                    continue
                location = locations[submission.key]
                details = {
                    "endpoint": submission.endpoint,
                    "key": submission.key,
                    "row": location,
                    "input": dict(submission.columns),
                }
                yield WorkResult(
                    result=result,
                    name=location,
                    endpoint=submission.endpoint,
                    was_recorded=submission.key in self._recorded_keys,
                    details=details,
                )
