"""Journal: the file that remembers a batch. Answers from the file alone, and never sends."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar

from ._journal import (
    exports,
    pace_state,
    pending_files,
    queries,
    reader,
    recorded_files,
    runs,
    submits,
)
from ._journal import tickets as ticket_rows
from ._journal.exports import ExportFormat, format_from_path
from ._journal.pending_files import SaveClaim, UnsavedTicket
from ._journal.queries import RecordedOutcome, Report
from ._journal.recorded_files import RecordedFile
from ._journal.runs import Claim
from ._journal.sqlite_errors import file_gone_error
from ._journal.submits import PendingSubmit
from ._journal.tickets import Completion, PollUpdate
from ._journal.writer import ReadOnlyWriter, Writer
from ._models.journal_errors import JournalError, JournalReadOnly
from ._models.outcomes import Outcome
from ._models.replies import Processing, Success
from ._models.ticket import Ticket, TicketLike

__all__ = ["Journal", "PendingSubmit", "RecordedFile", "RecordedOutcome", "Report", "UnsavedTicket"]

T = TypeVar("T")

_PAGE_SIZE = 1000


class Journal:
    """
    One SQLite file that remembers tickets and how they ended. Open it with `Journal.open`.

    What a method wrote is on the disk when it returns. Several journals, in one process or in many,
    may be open on one file.
    """

    def __init__(
        self,
        path: str,
        writer: Writer | ReadOnlyWriter,
        *,
        clock: Callable[[], float],
        lock_timeout: float,
    ) -> None:
        self._path = path
        self._writer = writer
        self._clock = clock
        self._lock_timeout = lock_timeout
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        lock_timeout: float = 30.0,
    ) -> AsyncGenerator[Self, None]:
        """
        Open a journal while the block runs; make the file if there is none.

        One that may be read and not written can be asked everything; what would write raises
        `JournalReadOnly`.

        Args:
            path: The file. SQLite keeps two more beside it while it is open.
            clock: Where the time in seconds since 1970 comes from.
            lock_timeout: How many seconds to wait for another process that holds the file locked.

        Raises:
            JournalError: That is not possible, and why; or, at the end of the block, the file was
                deleted or replaced meanwhile.
        """
        writer = await _open_writer(os.fspath(path), lock_timeout)
        journal = cls(os.fspath(path), writer, clock=clock, lock_timeout=lock_timeout)
        try:
            yield journal
        finally:
            journal._closed = True
            is_file_gone = writer.is_file_gone
            await writer.aclose()
        if is_file_gone:
            raise file_gone_error(os.fspath(path))

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    @property
    def clock(self) -> Callable[[], float]:
        """Where the time in seconds since 1970 comes from."""
        return self._clock

    async def add(self, tickets: Sequence[TicketLike]) -> int:
        """
        Add tickets, all of them or, if there is an error, none. Those that it has are left alone.

        Returns:
            How many are new.

        Raises:
            ValueError: A ticket is ill-formed, or the service gave no id for it.
        """
        given = [Ticket.of(ticket) for ticket in tickets]
        for ticket in given:
            ticket.require_id()
        return await self._writer.enqueue(
            partial(ticket_rows.add, tickets=given, now=self._clock())
        )

    async def begin_run(self, *, lease: float) -> int:
        """
        Start a run, which may claim tickets.

        Args:
            lease: For how many seconds it keeps them unless it renews.
        """
        return await self._writer.enqueue(partial(runs.begin, now=self._clock(), lease=lease))

    async def renew_lease(self, run_id: int, *, lease: float) -> bool:
        """Prolong a run's lease; False: it has none any more, and others have its tickets."""
        return await self._writer.enqueue(
            partial(runs.renew, run_id=run_id, now=self._clock(), lease=lease)
        )

    async def end_run(self, run_id: int, updates: Sequence[PollUpdate] = ()) -> None:
        """End a run, with its last notes: what it did not settle is anybody's."""

        def operation(db: sqlite3.Connection) -> None:
            ticket_rows.record_polls(db, run_id, updates)
            runs.end(db, run_id)

        await self._writer.enqueue(operation)

    async def claim(
        self, run_id: int, *, before_run: int, limit: int, lease: float
    ) -> Claim | None:
        """
        Take tickets that no living run holds, and renew the lease; None: the run has none any more.

        Args:
            run_id: Whose they shall be.
            before_run: What runs before this one left unresolved is taken, too.
            limit: How many at the most.
            lease: For how many seconds.
        """
        return await self._writer.enqueue(
            partial(
                runs.claim,
                run_id=run_id,
                before_run=before_run,
                limit=limit,
                now=self._clock(),
                lease=lease,
            )
        )

    async def complete(
        self, run_id: int, completions: Sequence[Completion], *, save_files: bool = False
    ) -> list[bool]:
        """
        End tickets; says of each whether it was this run's to end, and so was written.

        With `owing`, the files of the successes are to be saved.
        """
        return await self._writer.enqueue(
            partial(
                ticket_rows.complete,
                run_id=run_id,
                completions=completions,
                now=self._clock(),
                save_files=save_files,
            )
        )

    async def reopen_failed(self) -> int:
        """Open again what failed; returns how many they were."""
        return await self._writer.enqueue(ticket_rows.reopen_failed)

    async def queue_saves(self) -> int:
        """Have every success saved that nobody has saved; returns how many are new."""
        return await self._writer.enqueue(pending_files.queue_saves)

    async def requeue_saves(self, tickets: Sequence[Ticket]) -> None:
        """Have successes saved once more, as far as their files are not what is on record."""
        await self._writer.enqueue(partial(pending_files.requeue_saves, tickets=tickets))

    async def claim_saves(
        self, run_id: int, *, before_run: int, limit: int, lease: float
    ) -> SaveClaim | None:
        """Take successes whose files are to be saved; as `claim`."""
        return await self._writer.enqueue(
            partial(
                pending_files.claim,
                run_id=run_id,
                before_run=before_run,
                limit=limit,
                now=self._clock(),
                lease=lease,
            )
        )

    async def complete_save(self, run_id: int, row_id: int, *, error: str | None) -> bool:
        """Write down that all files of a ticket are saved, or why not; says if it was written."""
        return await self._writer.enqueue(
            partial(
                pending_files.complete_save,
                run_id=run_id,
                row_id=row_id,
                error=error,
                now=self._clock(),
            )
        )

    async def unsaved(self) -> list[UnsavedTicket]:
        """The successes of which not all files could be saved, in the order of adding."""
        return await self._read(pending_files.unsaved)

    async def record_polls(self, run_id: int, updates: Sequence[PollUpdate]) -> None:
        """Write down looks and last replies of tickets that are still open."""
        await self._writer.enqueue(
            partial(ticket_rows.record_polls, run_id=run_id, updates=updates)
        )

    async def report(self) -> Report:
        """Count everything."""
        return await self._read(partial(queries.report, now=self._clock()))

    async def recorded_outcomes(self) -> AsyncGenerator[RecordedOutcome, None]:
        """Every ticket that has an outcome, in the order in which they were added."""
        cursor: int | None = 0
        while cursor is not None:
            page, cursor = await self._read(
                partial(queries.outcome_page, after=cursor, limit=_PAGE_SIZE)
            )
            for each in page:
                yield each

    async def last(self, ticket: TicketLike) -> Processing | Outcome | None:
        """The last word on a ticket: its outcome, or the last reply that was noted, if any."""
        return await self._read(partial(queries.last, ticket=Ticket.of(ticket)))

    async def export(
        self, path: str | os.PathLike[str], *, file_format: ExportFormat | None = None
    ) -> int:
        """
        Write all outcomes to a file, which is replaced once it is complete; see `Batch.export`.

        Raises:
            ValueError: The name does not say the form.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        target = os.fspath(path)
        cancelled = threading.Event()
        operation = partial(
            exports.export,
            path=target,
            file_format=file_format or format_from_path(target),
            is_cancelled=cancelled.is_set,
        )
        try:
            return await self._read(operation)
        finally:
            cancelled.set()

    async def record_file(
        self,
        ticket: TicketLike,
        output_index: int,
        *,
        path: str | os.PathLike[str],
        sha256: str,
        size: int,
        url: str,
    ) -> None:
        """
        Remember a file that was downloaded; one with the same ticket and number is replaced.

        Args:
            ticket: Whose result it is.
            output_index: Which of the ticket's outputs, counted from 0.
            path: Where it was written.
            sha256: The digest of its bytes, in hexadecimal digits.
            size: How many bytes it has.
            url: Where it came from.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        file = RecordedFile(
            ticket=Ticket.of(ticket),
            output_index=output_index,
            path=os.fspath(path),
            sha256=sha256,
            size=size,
            url=url,
            recorded_at=self._clock(),
        )
        await self._writer.enqueue(partial(recorded_files.record_file, file=file))

    async def files(self, ticket: TicketLike) -> list[RecordedFile]:
        """
        The files that were recorded for a ticket.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        return await self._read(partial(recorded_files.files_of, ticket=Ticket.of(ticket)))

    async def all_files(self) -> AsyncGenerator[RecordedFile, None]:
        """Every file that was recorded, in the order in which the tickets were added."""
        cursor: tuple[int, int] | None = (0, -1)
        while cursor is not None:
            page, cursor = await self._read(
                partial(recorded_files.page_of_files, after=cursor, limit=_PAGE_SIZE)
            )
            for each in page:
                yield each

    async def record_submit(
        self,
        track_id: str,
        *,
        endpoint: str,
        payload_hash: str,
        run_id: int | None = None,
    ) -> None:
        """
        Write down that a submit is about to be sent. Its payload is not kept, only a hash of it.

        Args:
            track_id: The mark that the request carries.
            endpoint: What it is sent to.
            payload_hash: What tells its payload from others.
            run_id: Whose it is. While that run lives, nobody calls the submit uncertain.

        Raises:
            ValueError: The track_id was used before.
        """
        submit = PendingSubmit(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            recorded_at=self._clock(),
        )
        await self._writer.enqueue(partial(submits.record_submit, submit=submit, run_id=run_id))

    async def confirm(
        self, track_id: str, ticket: TicketLike, *, result: Success | None = None
    ) -> None:
        """
        Write down which ticket a submit started, and add that ticket.

        Args:
            track_id: The mark that the request carries.
            ticket: What was started.
            result: Its result, if the reply to the submit brought that.

        Raises:
            ValueError: No such submit was written down, or the service gave no id for the ticket
                and there is no result.
        """
        named = Ticket.of(ticket)
        if result is None:
            named.require_id()
        await self._writer.enqueue(
            partial(
                submits.confirm,
                track_id=track_id,
                ticket=named,
                result=result,
                now=self._clock(),
            )
        )

    async def withdraw(self, track_id: str) -> None:
        """
        Forget a uncertain submit that started nothing: it was refused, or provably never left.

        Raises:
            ValueError: No such submit was written down, or it is confirmed.
        """
        await self._writer.enqueue(partial(submits.withdraw, track_id=track_id))

    async def find_submit(self, track_id: str) -> PendingSubmit | None:
        """The submit with that mark; None if it was never written down, or withdrawn."""
        return await self._read(partial(submits.find, track_id=track_id))

    async def uncertain(self) -> list[PendingSubmit]:
        """The submits of which nobody knows whether they started work, the oldest first."""
        return await self._read(partial(submits.uncertain, now=self._clock()))

    async def load_pace(self) -> dict[str, Any] | None:
        """What a pace that learns knew when it was last kept here; None if none was."""
        return await self._read(pace_state.load)

    async def save_pace(self, state: Mapping[str, Any]) -> None:
        """Keep what a pace has learned, in place of what was kept before."""
        await self._writer.enqueue(partial(pace_state.save, state=state))

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self._path)
        return await asyncio.to_thread(reader.read, self._path, self._lock_timeout, operation)


async def _open_writer(path: str, lock_timeout: float) -> Writer | ReadOnlyWriter:
    writer = Writer(path, lock_timeout)
    try:
        await writer.open()
    except JournalReadOnly as error:
        await asyncio.to_thread(reader.check_readable, path, lock_timeout)
        return ReadOnlyWriter(error)
    return writer
