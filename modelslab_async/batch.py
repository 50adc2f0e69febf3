"""Batch: a client and a journal: runs that can be killed at any moment and taken up again."""

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self, TypeVar

from ._aio.cooperation import Turns
from ._aio.iteration import each
from ._batch.journaled_submits import Submits
from ._batch.poll_run import Shift
from ._batch.run import Work
from ._batch.save_run import Haul, file_of
from ._client import Client
from ._downloads import Delivery, Downloads, Verified, verify
from ._journal.exports import Format
from ._journal.queries import Report
from ._journal.submits import Intent
from ._models.outcomes import Outcome
from ._models.replies import Processing, Success
from ._models.ticket import Ticket
from ._models.validation import check_count, check_patience, check_span
from ._polling.stream_buffer import Tickets, no_text
from ._submitting.submit_log import receipt_of
from .journal import Journal

_CHUNK = 5000
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
        self._submits = Submits(journal, lease=lease)
        self._shifts: list[Work[Any]] = []
        self._unended: list[int] = []
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
        check_span("lease", lease)
        async with Journal.open(path, clock=clock) as journal:
            batch = cls(journal, client, lease=lease)
            try:
                yield batch
            finally:
                for shift in [*batch._shifts]:
                    await batch._close(shift)
                await batch._submits.close()

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
        no_text(tickets)
        turns = Turns()
        chunk: list[Ticket] = []
        added = 0
        async with aclosing(each(tickets)) as source:
            async for given in source:
                chunk.append(self._checked(Ticket.of(given)))
                if len(chunk) == _CHUNK:
                    added += await self._journal.add(chunk)
                    chunk = []
                await turns.give()
        return added + (await self._journal.add(chunk) if chunk else 0)

    def _checked(self, ticket: Ticket) -> Ticket:
        if self._client is not None:
            # The batch belongs to the house: a family is refused here as `stream` refuses it.
            self._client._looker.family_of(ticket)  # noqa: SLF001
        return ticket

    async def submit(self, endpoint: str, /, **params: Any) -> Processing | Success:
        """
        Start work as `Client.submit` does, written down before it is sent; `run` waits for it.

        If the process dies meanwhile, `doubtful` lists it. Give each submit a `track_id` of your
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
        client = self._needed("a submit")
        order = await client._ordered(endpoint, params)  # noqa: SLF001 -- the batch is of the house.
        # Only a mark of the caller's own can stand in the journal already.
        known = await self._submits.answer(order) if params.get("track_id") is not None else None
        if known is not None:
            return known
        return receipt_of(await client._submitter.submit(order, self._submits))  # noqa: SLF001

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
        client = self._looking(timeout, window)

        def work(run: int, before: int) -> Shift:
            return Shift(client, self._journal, run=run, before=before, lease=self._lease)

        async with aclosing(self._all_of(work, timeout, window)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def save(
        self, downloads: Downloads, *, timeout: float | None = None, window: int = 10_000
    ) -> AsyncGenerator[Delivery, None]:
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
        client = self._looking(timeout, window)
        downloads.check_open()

        def work(run: int, before: int) -> Haul:
            shift = Shift(
                *(client, self._journal), run=run, before=before, lease=self._lease, owing=True
            )
            return Haul(shift, downloads, self._journal, before=before, lease=self._lease)

        async with aclosing(self._all_of(work, timeout, window)) as deliveries:
            async for delivery in deliveries:
                yield delivery

    def _looking(self, timeout: float | None, window: int) -> Client:
        client = self._needed("a run")
        check_patience("timeout", timeout, optional=True)
        check_count("window", window)
        return client

    async def _all_of(
        self, work: Callable[[int, int], Work[T]], timeout: float | None, window: int
    ) -> AsyncGenerator[T, None]:
        first: int | None = None
        while not self._draining:
            run = await self._begin()
            first = first or run
            shift = work(run, first)
            self._shifts.append(shift)
            shift.start(timeout=timeout, window=window)
            try:
                while (settled := await shift.settled()) is not None:
                    for each_settled in settled:
                        yield each_settled
            finally:
                await self._close(shift)
            # Who slept for longer than a lease begins again, with what is still open.
            if not shift.lapsed:
                return

    def _needed(self, what: str) -> Client:
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
        for shift in self._shifts:
            shift.drain()

    async def _begin(self) -> int:
        """Start a run, and end those that there was no room to end."""
        while self._unended:
            await self._journal.end(self._unended[-1])
            self._unended.pop()
        return await self._journal.begin(lease=self._lease)

    async def _close(self, shift: Work[Any]) -> None:
        if shift in self._shifts:
            self._shifts.remove(shift)
            await shift.close()
            if not shift.left:
                self._unended.append(shift.run)

    async def retry_failed(self) -> int:
        """
        Open again the tickets that failed by the server's word; the next run asks about them.

        Nothing is submitted anew: this is for when the server's word was premature.

        Returns:
            How many they are.
        """
        return await self._journal.reopen_failed()

    async def verify(
        self, folder: str | os.PathLike[str] | None = None, *, mend: bool = False
    ) -> Verified:
        """
        Compare all files that were recorded with what is on the disk.

        Args:
            folder: Where the files are now; None: each where it was saved.
            mend: Have the next `save` get what is changed or missing.
        """
        files = [file_of(record) async for record in self._journal.all_files()]
        found = await verify(None if folder is None else os.fspath(folder), files)
        if mend:
            bad = dict.fromkeys(file.ticket for file in (*found.changed, *found.missing))
            await self._journal.owe_again([*bad])
        return found

    async def report(self) -> Report:
        """Count what is open and how the rest ended."""
        return await self._journal.report()

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """
        Every outcome that is recorded, in the order in which the tickets were added.

        Those are among them that a process recorded and did not live to hand to its caller.
        """
        async with aclosing(self._journal.ended()) as ended:
            async for each_ended in ended:
                yield each_ended.outcome

    async def doubtful(self) -> list[Intent]:
        """
        The submits of which nobody knows whether they started work, the oldest first.

        They are never sent again by themselves: look for the work before paying twice, then tell
        `journal.confirm` which ticket it is, or `journal.withdraw` that there is none. Those of
        another process are listed once it has died or its lease is over, since it may hear more.
        """
        return await self._journal.doubtful()

    async def export(self, path: str | os.PathLike[str], *, form: Format | None = None) -> int:
        """
        Write all outcomes to a file, which is replaced once it is complete.

        The rows of CSV and Parquet tell by their `state` and `reason` what became of a ticket.

        Args:
            path: The file.
            form: `"jsonl"`, `"csv"` or `"parquet"`; None: as the name of the file ends.

        Returns:
            How many outcomes it holds.

        Raises:
            ValueError: The name does not say the form.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        return await self._journal.export(path, form=form)
