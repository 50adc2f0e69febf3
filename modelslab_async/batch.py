"""Batch: a client with a journal, so that a killed program can resume. It never resubmits work."""

import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self, overload

from ._aio.iteration import pass_in_chunks
from ._batch.batch_generation import BatchGeneration, GenerationResult
from ._batch.batch_runs import BatchRuns
from ._batch.journal_submit_recorder import JournalSubmitRecorder
from ._batch.run_protocol import MAX_ADDED
from ._batch.verify_recorded_files import verify_recorded_files
from ._client import Client
from ._downloads.downloads import Downloads
from ._downloads.save_result_types import SaveResult
from ._downloads.verify_saved_files import Verified
from ._engine.bulk_generation import GenerationRequest
from ._journal.exports import ExportFormat
from ._journal.queries import Report
from ._journal.submits import PendingSubmit
from ._models.argument_checks import check_tickets, check_type
from ._models.replies import Processing, Success
from ._models.submission import Submission
from ._models.ticket import NewTicket, NewTickets
from ._models.unresolved_outcomes import Outcome
from ._submitting.submit_recorder import reply_or_raise
from .journal import Journal


class Batch:
    """
    Many tickets and their outcomes, stored in a journal. Open a batch with `Batch.open`.

    Several processes may share a journal. Only one process polls a ticket at a time, and each
    outcome is yielded only once.
    """

    def __init__(self, journal: Journal, client: Client | None, *, lease: float) -> None:
        self._journal = journal
        self._client = client
        self._lease = lease
        self._journaled_submits = JournalSubmitRecorder(journal, lease=lease)
        self._runs = BatchRuns(journal, lease)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        client: Client | None = None,
        lease: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> AsyncGenerator[Self, None]:
        """
        Open a batch for the `async with` block. If the journal does not exist, create it.

        Args:
            path: The journal's file; for many hosts, `"postgresql://host/database?batch=cats"`.
            client: Submits and polls. `submit`, `run`, `save` and `generate_many` need a client.
            lease: If this process dies, other processes take over its tickets after this many
                seconds. On Linux, processes of the same machine take over at once.
            clock: Returns the seconds since 1970. The default for a database is its own clock.

        Raises:
            JournalError: The file or the database cannot be used.
            TypeError: An argument has the wrong type.
            ValueError: The lease is out of range.

        Example:
            ```python
            async with Client() as client, Batch.open("cats.journal", client=client) as batch:
                await batch.add(tickets)
                async for outcome in batch.run():
                    print(outcome)
            ```
        """
        check_type("client", client, Client | None, "a Client, such as Client('my key'), or None")
        BatchRuns.check_lease(lease)
        async with Journal.open(path, clock=clock) as journal:
            batch = cls(journal, client, lease=lease)
            try:
                yield batch
            finally:
                await batch._runs.aclose(batch._journaled_submits)

    @property
    def journal(self) -> Journal:
        """The journal, for queries that `Batch` does not have."""
        return self._journal

    async def add(self, tickets: NewTickets) -> int:
        """
        Add tickets, and return how many are new. Tickets already in the journal keep their state.

        An item may also be a pair of a ticket and a dictionary, such as a row of your table. The
        journal keeps the first dictionary of each ticket, and exports have its values as columns.
        If a value contains the client's API key, that key is redacted.

        Raises:
            ValueError: A ticket is ill-formed, the client does not know its family, or its
                dictionary cannot be written as JSON. Earlier tickets may have been added.
            JournalError: The journal cannot be written.
        """
        check_tickets(tickets)
        client = self._client
        convert = NewTicket.of if client is None else client.engine.status_client.new_ticket
        return await pass_in_chunks(tickets, self._journal.add, size=MAX_ADDED, convert=convert)

    @overload
    async def submit(self, endpoint: Submission, /) -> Processing | Success: ...
    @overload
    async def submit(self, endpoint: str, /, **params: Any) -> Processing | Success: ...
    async def submit(self, endpoint: str | Submission, /, **params: Any) -> Processing | Success:
        """
        Record a submit, then start the work as `Client.submit` does. `run` waits for the work.

        If the process dies before the reply is recorded, `uncertain` lists the submit. If each
        submit has a `track_id` or a submission key, you can start the program again: earlier
        submits are answered from the journal, and nothing is sent twice.

        Raises:
            SubmitUncertain: The work may have been started, now or earlier.
            GenerationFailed: The work failed, now or earlier.
            JournalError: The journal cannot be written, or the batch drains or closes. Nothing was
                sent, unless a note names a ticket. The batch records this ticket as soon as it can.
            ValueError: As in `Client.submit`, or the track_id is empty, or another submit has it.
            ModelsLabError: Any other error of `Client.submit`. Nothing was started, unless a note
                on the error names a ticket.
        """
        client = self._require_client("a submit")
        submission = Submission.of(endpoint, params)
        return reply_or_raise(await self._journaled_submits.submit_once(client.engine, submission))

    async def run(
        self, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[Outcome, None]:
        """
        Wait for all open tickets, and yield each outcome as soon as the journal has it on disk.

        If an earlier run left a ticket `Unresolved`, that ticket is open again. The run also waits
        for open tickets that other processes poll. If you leave the loop early, the next run
        continues with the rest.

        Args:
            timeout: How many seconds to wait for each ticket after the client begins to poll it.
            window: The maximum number of tickets that this process polls at a time.

        Raises:
            ClientClosed: The client is closed.
            JournalError: The journal cannot be written. The next run polls open tickets.
            ValueError: The batch has no client, an argument is out of its range, or a ticket has an
                unknown family. In the last case, the run polls all other tickets first.
        """
        engine = self._require_client("a run").engine
        async with aclosing(self._runs.results(engine, None, timeout, window)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def save(
        self, downloads: Downloads, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[SaveResult, None]:
        """
        Wait as `run` does, and save the outputs of all successes, including those of earlier runs.

        Yield a `Saved` or an `Unsaved` for each success, after recording it in the journal. Yield
        other outcomes unchanged. A recorded file is not downloaded again. The next `save` retries
        outputs that could not be saved.

        Args:
            downloads: Saves the outputs. Polls do not wait for transfers.
            timeout: See `run`.
            window: See `run`. Tickets whose files are being saved do not count.

        Raises:
            ClientClosed: The client or the downloads are closed.
            JournalError: See `run`.
            ValueError: As in `run`, or UTF-8 cannot encode the path of the downloads' folder.
        """
        engine = self._require_client("a run").engine
        self._runs.check_downloads(downloads)
        async with aclosing(self._runs.results(engine, downloads, timeout, window)) as results:
            async for save_result in results:
                yield save_result

    async def generate_many(
        self,
        requests: Iterable[GenerationRequest] | AsyncIterable[GenerationRequest],
        *,
        downloads: Downloads | None = None,
        timeout: float | None = None,
        window: int = 100,
    ) -> AsyncGenerator[tuple[Submission, GenerationResult], None]:
        """
        Submit, poll and save concurrently, and yield each submission with its result.

        A killed program can be started again. A submission that was sent earlier is not sent again:
        its result comes from the journal or from a poll. If neither has it, the result is an
        `Unresolved`. A submission without a submission key gets one made from its endpoint and
        parameters. Equal submissions get different submission keys, so each is submitted.

        Args:
            requests: `Submission` objects, or pairs of an endpoint and its parameters.
            downloads: Saves the outputs. A success is then a `Saved` or an `Unsaved`.
            timeout: See `run`.
            window: The maximum number of submissions whose result the caller has not yet received.

        Raises:
            ClientClosed: The client or the downloads are closed.
            JournalError: The journal cannot be read or written.
            ValueError: See `Client.generate_many` and `save`.
        """
        engine = self._require_client("a submit").engine
        generation = BatchGeneration(engine, self._journal, self._journaled_submits, self._lease)
        pairs = generation.run(requests, self._runs, downloads, timeout=timeout, window=window)
        async with aclosing(pairs):
            async for pair in pairs:
                yield pair

    def _require_client(self, what: str) -> Client:
        if self._client is None:
            raise ValueError(f"{what} needs a client: Batch.open(path, client=...)")
        return self._client

    def drain(self) -> None:
        """
        Start no new work, and finish the requests in flight.

        `run` and `generate_many` end soon, and `save` ends after its current transfers. A `submit`
        that is not sent yet, or is new, raises `JournalError`. To continue, open the batch again.
        """
        self._runs.drain(self._journaled_submits)

    async def retry_failed(self) -> int:
        """
        Reopen the tickets that the server reported as failed, and return their number.

        The next run polls them again. Use this if the server was wrong. Nothing is submitted.
        """
        return await self._journal.reopen_failed()

    async def verify(
        self, folder: str | os.PathLike[str] | None = None, *, repair: bool = False
    ) -> Verified:
        """
        Compare the saved files with their records.

        The files are read from `folder`; with None, from their recorded paths. A file of another
        host counts as `elsewhere` if this host does not find it. With `repair`, the next `save`
        saves changed and missing files again. It copies a file that is intact at its recorded path.
        """
        found = await verify_recorded_files(self._journal, folder)
        if repair:
            bad = dict.fromkeys(file.ticket for file in (*found.changed, *found.missing))
            await self._journal.requeue_saves([*bad])
        return found

    async def report(self) -> Report:
        """Return the progress of the batch in numbers, such as its open and failed tickets."""
        return await self._journal.report()

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """
        Yield every recorded outcome, in the order in which the tickets were added.

        This includes outcomes that a process recorded but did not yield before it died.
        `journal.recorded_outcomes` also yields the files, columns and submit of each ticket.
        """
        async with aclosing(self._journal.recorded_outcomes()) as records:
            async for recorded in records:
                yield recorded.outcome

    async def uncertain(self) -> list[PendingSubmit]:
        """
        Return the submits that may or may not have started work, the oldest first.

        The batch never sends them again. Search for the work before you pay again. If you find the
        work, call `journal.confirm` with its ticket. Otherwise, call `journal.withdraw`. Submits of
        another process are listed after that process has died or its lease has expired.
        """
        return await self._journal.uncertain()

    async def export(
        self, path: str | os.PathLike[str], *, file_format: ExportFormat | None = None
    ) -> int:
        """
        Write all outcomes to a file, and return their number.

        An existing file is replaced when the new file is complete. In CSV and Parquet, the columns
        `state` and `reason` say how a ticket ended. `file_format` is `"jsonl"`, `"csv"` or
        `"parquet"`. With None, the file's suffix decides.

        Raises:
            ValueError: The format is unknown, or the path is one of the journal's own files.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        return await self._journal.export(path, file_format=file_format)
