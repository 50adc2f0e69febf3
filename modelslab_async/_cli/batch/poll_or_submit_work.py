"""The work of a run: to poll the tickets of a file, or to submit the rows of a table."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

import click
from attrs import define, field, frozen

from ... import Batch, Downloads, Outcome, SaveResult, Unsubmitted
from ..._models.ticket import NewTicket
from ..._submitting.endpoint_requests import EndpointRequests
from .journal_comparison import JournalComparison
from .submission_input import SubmissionRow

# More than the queue limit of any plan, so that a submission is ready whenever a slot becomes free.
_MAX_SUBMISSIONS_IN_PROGRESS = 100


@frozen(kw_only=True)
class WorkResult:
    """
    One result of a run.

    Attributes:
        result: The result.
        name: Its name in messages: the ticket, or the location of the row.
        endpoint: The endpoint of a row, for the advice on its parameters.
        details: Further fields of its line of JSON.
    """

    result: Outcome | SaveResult | Unsubmitted
    name: str
    endpoint: str = ""
    details: dict[str, Any] = field(factory=dict[str, Any])


ResultStream: TypeAlias = AsyncGenerator[WorkResult, None]


class BatchWork(Protocol):
    """The work that a command does with a batch."""

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:
        """Prepare the journal. Return how many tickets the submits of the run may add to it."""
        ...

    def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """Run the batch, and yield the results."""
        ...


@frozen(kw_only=True)
class TicketWork:
    """
    Adds tickets to the journal, and polls all tickets of the journal.

    Attributes:
        tickets: The tickets to add.
        retry_failed: Whether to poll failed tickets again.
        window: The maximum number of tickets that this process takes at once.
    """

    tickets: Sequence[NewTicket] = ()
    retry_failed: bool = False
    window: int

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:  # noqa: ARG002
        """See `BatchWork`."""
        await batch.add(self.tickets)
        if self.retry_failed:
            await batch.retry_failed()
        return 0

    async def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """See `BatchWork`."""
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
    Submits the rows whose keys are not in the journal, and polls.

    Attributes:
        rows: The submissions. Each has a key.
        endpoints: Prepares the submits, to compare them with the journal.
        max_submits: The maximum number of submits that may be paid for; None for no limit.
    """

    rows: Sequence[SubmissionRow]
    endpoints: EndpointRequests
    max_submits: int | None = None
    _finished_keys: frozenset[str] = frozenset()

    async def prepare(self, batch: Batch, *, saves_files: bool) -> int:
        """
        See `BatchWork`.

        Raises:
            click.UsageError: More would be submitted than `max_submits` allows, or rows were
                submitted before with keys of the other kind.
        """
        known = await JournalComparison.find(
            batch, self.endpoints, self.rows, saves_files=saves_files
        )
        known.check_keys()
        self._finished_keys = frozenset(
            key for key, submit in known.recorded.items() if submit.is_finished
        )
        new = len(known.new)
        if self.max_submits is not None and new > self.max_submits:
            raise click.UsageError(
                f"this would start {new:,} generations, and --most allows {self.max_submits:,}; "
                "nothing was sent"
            )
        return new

    async def results(
        self, batch: Batch, downloads: Downloads | None, timeout: float | None
    ) -> ResultStream:
        """See `BatchWork`. Results of earlier runs are not yielded again."""
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
                    result=result, name=location, endpoint=submission.endpoint, details=details
                )
