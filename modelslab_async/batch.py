"""Batch: a client and a journal: runs that can be killed at any moment and taken up again."""

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self, TypeVar

from ._aio.cooperation import Yielder
from ._aio.iteration import iterate
from ._batch.journaled_submits import JournaledSubmits
from ._batch.poll_run import PollRun
from ._batch.run import Run
from ._batch.save_run import SaveRun, to_saved_file
from ._client import Client
from ._downloads.manager import Downloads
from ._downloads.save_result import SaveResult
from ._downloads.verify import Verified, verify
from ._journal.exports import ExportFormat
from ._journal.queries import Report
from ._journal.submits import PendingSubmit
from ._models.outcomes import Outcome
from ._models.replies import Processing, Success
from ._models.ticket import Ticket
from ._models.validation import check_count, check_nonnegative_seconds, check_positive_seconds
from ._polling.stream_buffer import Tickets, check_not_text
from ._submitting.submit_log import reply_or_raise
from .journal import Journal

_CHUNK_SIZE = 5000
T = TypeVar("T")


class Batch:
    """
    Many tickets and their outcomes, in one file that outlives the process. Open with `Batch.open`.

    Several processes may open one file, and share its tickets: no ticket is looked at by two of
    them at once, and each outcome is handed to one of them, once.
    """

    def __init__(self, journal: Journal, client: Client | None, *, lease: float) -> None:
        self._journal = journal
        self._client = client
        self._lease = lease
        self._journaled_submits = JournaledSubmits(journal, lease=lease)
        self._active_runs: list[Run[Any]] = []
        self._runs_to_end: list[int] = []
        self._draining = False

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
        Open a batch while the block runs, be it new or one to resume.

        Args:
            path: The journal's file; it is made if there is none.
            client: Who submits and looks. Without one, there is everything but `submit` and `run`.
            lease: For how many seconds other processes leave this one's tickets alone when they
                hear no more of it. While it lives, it renews them; that it has died is seen at once
                by processes of the same machine, if that is a Linux.
            clock: Where the time in seconds since 1970 comes from, the same for all processes.

        Raises:
            JournalError: The file cannot be used, and why.
            ValueError: The lease is out of its range.

        Example:
            ```python
            async with Client() as client, Batch.open("cats.journal", client=client) as batch:
                await batch.add(tickets)
                async for outcome in batch.run():
                    print(outcome)
            ```
        """
        check_positive_seconds("lease", lease)
        async with Journal.open(path, clock=clock) as journal:
            batch = cls(journal, client, lease=lease)
            try:
                yield batch
            finally:
                for active_run in [*batch._active_runs]:
                    await batch._close(active_run)
                await batch._journaled_submits.close()

    @property
    def journal(self) -> Journal:
        """The file, with all that it can be asked."""
        return self._journal

    async def add(self, tickets: Tickets) -> int:
        """
        Add tickets. Those that the batch has already are left as they are.

        Args:
            tickets: An iterable or async iterable of tickets in any form and of any length.

        Returns:
            How many are new.

        Raises:
            ValueError: A ticket is ill-formed, or its family unknown to the client. Tickets before
                it may have been added.
            JournalError: The journal cannot be written.
        """
        check_not_text(tickets)
        yielder = Yielder()
        chunk: list[Ticket] = []
        added = 0
        async with aclosing(iterate(tickets)) as source:
            async for given in source:
                chunk.append(self._check_family(Ticket.of(given)))
                if len(chunk) == _CHUNK_SIZE:
                    added += await self._journal.add(chunk)
                    chunk = []
                await yielder.maybe_yield()
        return added + (await self._journal.add(chunk) if chunk else 0)

    def _check_family(self, ticket: Ticket) -> Ticket:
        if self._client is not None:
            # `Client.stream` refuses an unknown family; refuse it before it is in the journal.
            self._client.engine.status_client.family_of(ticket)
        return ticket

    async def submit(self, endpoint: str, /, **params: Any) -> Processing | Success:
        """
        Start work as `Client.submit` does, written down before it is sent; `run` waits for it.

        If the process dies meanwhile, `uncertain` lists it. Give each submit a `track_id` of your
        own, and the same program can be started again: what was submitted before is not sent
        again, but answered from the journal.

        Args:
            endpoint: `family/endpoint`, such as `"realtime/text2img"`.
            params: See `Client.submit`.

        Raises:
            SubmitUncertain: Work may or may not have been started, now or by an earlier submit
                with that track_id.
            GenerationFailed: It failed, now or earlier.
            JournalError: The journal cannot be written. Unless a note on it names a ticket, nothing
                was sent.
            ValueError: See `Client.submit`, or the track_id was used for something else.
            ModelsLabError: Whatever else `Client.submit` raises. Nothing was started, unless a note
                on it names a ticket.

        Example:
            ```python
            for number, prompt in enumerate(["a cat", "a dog"]):
                await batch.submit("realtime/text2img", prompt=prompt, track_id=number)
            ```
        """
        client = self._require_client("a submit")
        submit_request = await client.engine.prepare(endpoint, params)
        # Only a mark of the caller's own can stand in the journal already.
        earlier = (
            await self._journaled_submits.recorded_reply(submit_request)
            if params.get("track_id") is not None
            else None
        )
        if earlier is not None:
            return earlier
        return reply_or_raise(
            await client.engine.submitter.submit(submit_request, self._journaled_submits)
        )

    async def run(
        self, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[Outcome, None]:
        """
        Wait for all that is open, and get the outcomes as they end, each once it is committed.

        Tickets that earlier runs left `Unresolved` are open again. It ends when no ticket is open,
        also none that another process holds. Leaving it early leaves the rest to the next run.

        Args:
            timeout: The most seconds to wait for each ticket, counted from when the client took it.
            window: The most tickets that this process holds at once.

        Raises:
            JournalError: The journal cannot be written. What was not committed was not handed out,
                and is open on the next run.
            ValueError: The batch has no client, an argument is out of its range, or a ticket's
                family is unknown to the client; the last is raised when all others have ended.
        """
        client = self._checked_client(timeout, window)

        def make_run(run: int, before_run: int) -> PollRun:
            return PollRun(
                client.engine, self._journal, run_id=run, before_run=before_run, lease=self._lease
            )

        async with aclosing(self._all_results(make_run, timeout, window)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def save(
        self, downloads: Downloads, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[SaveResult, None]:
        """
        Do what `run` does, and save what the successes made, also those of earlier runs.

        Gives a `Saved` or an `Unsaved` for each success, once its files are there and recorded in
        the journal, and what is no success as it is. A file that is recorded is not fetched again.
        What ended `Unsaved` is tried again by the next `save`.

        Args:
            downloads: Where to, and how many transfers at once. Looks do not wait for them.
            timeout: The most seconds to wait for each ticket, counted from when the client took it.
            window: The most tickets that this process holds at once, those aside that it saves.

        Raises:
            JournalError: The journal cannot be written. What was not committed was not handed out.
            ValueError: As for `run`.
            ClientClosed: The downloads were closed before.

        Example:
            ```python
            async with Downloads(client, to="out") as downloads:
                async for delivery in batch.save(downloads):
                    print(delivery)
            ```
        """
        client = self._checked_client(timeout, window)
        downloads.check_open()

        def make_run(run: int, before_run: int) -> SaveRun:
            poll_run = PollRun(
                client.engine,
                self._journal,
                run_id=run,
                before_run=before_run,
                lease=self._lease,
                save_files=True,
            )
            return SaveRun(
                poll_run, downloads, self._journal, before_run=before_run, lease=self._lease
            )

        async with aclosing(self._all_results(make_run, timeout, window)) as save_results:
            async for save_result in save_results:
                yield save_result

    def _checked_client(self, timeout: float | None, window: int) -> Client:
        client = self._require_client("a run")
        check_nonnegative_seconds("timeout", timeout, optional=True)
        check_count("window", window)
        return client

    async def _all_results(
        self, make_run: Callable[[int, int], Run[T]], timeout: float | None, window: int
    ) -> AsyncGenerator[T, None]:
        first: int | None = None
        while not self._draining:
            run = await self._begin()
            first = first or run
            active_run = make_run(run, first)
            self._active_runs.append(active_run)
            active_run.start(timeout=timeout, window=window)
            try:
                while (results := await active_run.next_results()) is not None:
                    for result in results:
                        yield result
            finally:
                await self._close(active_run)
            # Who slept for longer than a lease begins again, with what is still open.
            if not active_run.has_lost_lease:
                return

    def _require_client(self, what: str) -> Client:
        if self._client is None:
            raise ValueError(f"{what} needs a client: Batch.open(path, client=...)")
        return self._client

    def drain(self) -> None:
        """
        Begin nothing new, and let what is on its way end.

        A `run` ends soon, a `save` when its transfers have. What is open then is left to a batch
        that is opened anew, here or in another process.
        """
        self._draining = True
        for active_run in self._active_runs:
            active_run.drain()

    async def _begin(self) -> int:
        """Start a run, and end those that there was no room to end."""
        while self._runs_to_end:
            await self._journal.leases.end_run(self._runs_to_end[-1])
            self._runs_to_end.pop()
        return await self._journal.leases.begin_run(lease=self._lease)

    async def _close(self, active_run: Run[Any]) -> None:
        if active_run in self._active_runs:
            self._active_runs.remove(active_run)
            await active_run.close()
            if not active_run.is_released:
                self._runs_to_end.append(active_run.run_id)

    async def retry_failed(self) -> int:
        """
        Open again the tickets that failed by the server's word; the next run asks about them.

        Nothing is submitted anew: this is for when the server's word was premature.

        Returns:
            How many they are.
        """
        return await self._journal.reopen_failed()

    async def verify(
        self, folder: str | os.PathLike[str] | None = None, *, repair: bool = False
    ) -> Verified:
        """
        Compare all files that were recorded with what is on the disk.

        Args:
            folder: Where the files are now; None: each where it was saved.
            repair: Have the next `save` get what is changed or missing.
        """
        files = [to_saved_file(record) async for record in self._journal.all_files()]
        found = await verify(None if folder is None else os.fspath(folder), files)
        if repair:
            bad = dict.fromkeys(file.ticket for file in (*found.changed, *found.missing))
            await self._journal.requeue_saves([*bad])
        return found

    async def report(self) -> Report:
        """Count what is open and how the rest ended."""
        return await self._journal.report()

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """
        Every outcome that is recorded, in the order in which the tickets were added.

        Those are among them that a process recorded and did not live to hand to its caller.
        """
        async with aclosing(self._journal.recorded_outcomes()) as outcomes:
            async for recorded in outcomes:
                yield recorded.outcome

    async def uncertain(self) -> list[PendingSubmit]:
        """
        The submits of which nobody knows whether they started work, the oldest first.

        They are never sent again by themselves: look for the work before paying twice, then tell
        `journal.confirm` which ticket it is, or `journal.withdraw` that there is none. Those of
        another process are listed once it has died or its lease is over, since it may hear more.
        """
        return await self._journal.uncertain()

    async def export(
        self, path: str | os.PathLike[str], *, file_format: ExportFormat | None = None
    ) -> int:
        """
        Write all outcomes to a file, which is replaced once it is complete.

        The rows of CSV and Parquet tell by their `state` and `reason` what became of a ticket.

        Args:
            path: The file.
            file_format: `"jsonl"`, `"csv"` or `"parquet"`; None: as the name of the file ends.

        Returns:
            How many outcomes it holds.

        Raises:
            ValueError: The name does not say the form.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        return await self._journal.export(path, file_format=file_format)
