"""Journal: stores a batch in a file or in a database, and reads it back."""

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from ._aio.yield_and_wakeup import finish
from ._journal import exports, pace_state, queries, recorded_files, save_queue, submits, tickets
from ._journal.exports import ExportFormat
from ._journal.host_name import this_host
from ._journal.journal_store import JournalStore
from ._journal.queries import RecordedOutcome, Report
from ._journal.recorded_files import FilePosition, RecordedFile
from ._journal.run_operations import RunOperations
from ._journal.save_queue import UnsavedTicket
from ._journal.store_choice import open_store
from ._journal.submits import PendingSubmit
from ._models.argument_checks import new_tickets_of, tickets_of
from ._models.journal_errors import JournalError
from ._models.replies import Failed, Processing, Success
from ._models.ticket import Columns, NewTicket, NewTicketLike, Ticket, TicketLike
from ._models.unresolved_outcomes import Outcome

__all__ = ["Journal", "PendingSubmit", "RecordedFile", "RecordedOutcome", "Report", "UnsavedTicket"]

_PAGE_SIZE = 1000


class Journal:
    """
    Tickets and their outcomes, in an SQLite file or a database. Open it with `Journal.open`.

    A method that writes returns only when its data are on the disk. Several `Journal` objects, in
    one process or in many, may open the same file.

    Attributes:
        leases: Claims tickets for a run, under a lease, and records their outcomes.
        clock: Returns the time in seconds since 1970.
        spans_hosts: Whether the journal is in a database, so that several hosts may share it.
    """

    def __init__(self, store: JournalStore, *, clock: Callable[[], float]) -> None:
        self.leases = RunOperations(store, clock)
        self.clock = clock
        self.spans_hosts = store.spans_hosts
        self._store = store

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
        Open a journal for the `async with` block. If the file does not exist, create it.

        A read-only file can be opened too. Methods that write then raise `JournalReadOnly`.

        Args:
            path: The file, or an address such as `"postgresql://host/database?batch=cats"`. While
                the file is open, SQLite keeps two more files beside it.
            clock: Returns the seconds since 1970. The default for a database is its own clock.
            lock_timeout: How many seconds to wait while another process has the file locked.

        Raises:
            JournalError: The file cannot be opened, or was deleted or replaced during the block.
            TypeError: The path is neither a string nor a path object.
            ValueError: The path or the address is malformed.
        """
        store, clock = await open_store(path, clock=clock, lock_timeout=lock_timeout)
        try:
            yield cls(store, clock=clock)
        except BaseException:
            with suppress(JournalError):
                await finish(store.aclose())
            raise
        await finish(store.aclose())

    @property
    def path(self) -> str:
        """The path of the file. For PostgreSQL: the hosts, the database and the batch."""
        return self._store.path

    async def add(self, new_tickets: Sequence[NewTicketLike | NewTicket]) -> int:
        """
        Add all tickets, or none if one of them is ill-formed. Known tickets keep their state.

        A ticket may be paired with a dictionary, which is stored too; see `Batch.add`.

        Returns:
            The number of new tickets.

        Raises:
            JournalReadOnly: The journal was copied to another store, so it takes no new tickets.
            ValueError: A ticket is ill-formed or has no id, or a dictionary is not JSON data.
        """
        return await self._store.write(tickets.add, new_tickets_of(new_tickets), now=self.clock())

    async def reopen_failed(self) -> int:
        """Reopen the failed tickets, so that the next run polls them. Return their number."""
        return await self._store.write(tickets.reopen_failed)

    async def report(self) -> Report:
        """Return the progress of the batch in numbers."""
        return await self.leases.report()

    async def last(self, ticket: TicketLike) -> Processing | Outcome | None:
        """Return a ticket's outcome, or its most recent recorded reply while the ticket is open."""
        return await self._store.read(queries.last, Ticket.of(ticket))

    async def recorded_outcomes(self) -> AsyncGenerator[RecordedOutcome, None]:
        """Yield every recorded outcome, in the order in which the tickets were added."""
        cursor: int | None = 0
        while cursor is not None:
            page, cursor = await self._store.read(queries.outcome_page, cursor, _PAGE_SIZE)
            for each in page:
                yield each

    async def export(
        self, path: str | os.PathLike[str], *, file_format: ExportFormat | None = None
    ) -> int:
        """
        Write all outcomes to a file. See `Batch.export`.

        Raises:
            JournalDamaged: The row of a ticket cannot be exported.
            ValueError: The format is unknown, or the path is one of the journal's own files.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        target, chosen = exports.target_and_format(path, file_format)
        return await self._store.export(target, chosen)

    async def record_file(
        self,
        ticket: TicketLike,
        output_index: int,
        *,
        path: str | os.PathLike[str],
        sha256: str,
        size: int,
        url: str,
        is_length_verified: bool = True,
    ) -> None:
        """
        Record a downloaded file. Replace an earlier record with the same ticket and index.

        Args:
            ticket: The ticket that the file is an output of.
            output_index: The zero-based index of the output.
            path: Where the file was written.
            sha256: The SHA-256 digest of the file, in hexadecimal digits.
            size: The size of the file in bytes.
            url: The link that the file was downloaded from.
            is_length_verified: Whether the file has the length that its server announced.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        file = RecordedFile(
            ticket=Ticket.of(ticket),
            output_index=output_index,
            path=recorded_files.path_text(path),
            sha256=sha256,
            size=size,
            url=url,
            is_length_verified=is_length_verified,
            recorded_at=self.clock(),
            host=this_host(),
        )
        recorded_files.check_file(file)
        await self._store.write(recorded_files.record_file, file)

    async def files(self, ticket: TicketLike) -> list[RecordedFile]:
        """
        Return the files that were recorded for a ticket.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        return await self._store.read(recorded_files.files_of, Ticket.of(ticket))

    async def all_files(self) -> AsyncGenerator[RecordedFile, None]:
        """Yield every recorded file, in the order in which the tickets were added."""
        position: FilePosition | None = FilePosition(row_id=0, output_index=-1)
        while position is not None:
            page, position = await self._store.read(
                recorded_files.page_of_files, position, _PAGE_SIZE
            )
            for each in page:
                yield each

    async def queue_saves(self, successes: Sequence[TicketLike] | None = None) -> int:
        """Queue succeeded tickets for saving: the given ones, or all. Return the number added."""
        given = None if successes is None else tickets_of(successes)
        return await self._store.write(save_queue.queue_saves, given)

    async def requeue_saves(self, successes: Sequence[TicketLike]) -> None:
        """Queue succeeded tickets to be saved again. Unchanged files are not downloaded again."""
        await self._store.write(save_queue.requeue_saves, tickets_of(successes))

    async def unsaved(self) -> list[UnsavedTicket]:
        """Return the tickets whose latest save failed, in the order in which they were added."""
        return await self._store.read(save_queue.unsaved)

    async def record_submit(
        self,
        track_id: str,
        *,
        endpoint: str,
        payload_hash: str,
        run_id: int | None = None,
        columns: Columns | None = None,
        key: str | None = None,
    ) -> None:
        """
        Record a submit that is about to be sent. Its payload is not stored, only a digest of it.

        Args:
            track_id: The `track_id` of the request.
            endpoint: The endpoint that the submit is sent to.
            payload_hash: A digest of the payload.
            run_id: The run that sends the submit. While the run is active, `uncertain` does not
                list the submit.
            columns: The row of the input table for this submit. Its ticket gets the same row.
            key: The submission key, if there is one.

        Raises:
            ValueError: The track_id or the key was used before, the columns are not JSON data, or
                no run has such a number.
        """
        submit = PendingSubmit(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            recorded_at=self.clock(),
            columns=columns or {},
            key=key,
        )
        submits.check_submit(submit, run_id)
        await self._store.write(submits.record_submit, submit, run_id)

    async def confirm(
        self, track_id: str, ticket: TicketLike, *, result: Success | Failed | None = None
    ) -> None:
        """
        Record that a submit started work, and add the work's ticket. A repeated call does nothing.

        Args:
            track_id: The `track_id` of the request.
            ticket: The ticket of the work that the submit started.
            result: The result of the work, if the reply to the submit contained one.

        Raises:
            ValueError: No such submit is recorded, the submit has another ticket, the ticket
                belongs to another submit, or the ticket has no id and there is no result.
        """
        started = Ticket.of(ticket)
        if result is None:
            started.require_id()
        await self._store.write(submits.confirm, track_id, started, result=result, now=self.clock())

    async def withdraw(self, track_id: str) -> None:
        """
        Delete the record of a submit that started nothing: it was refused, or never sent.

        Raises:
            ValueError: No such submit is recorded, or the submit has a ticket or is in flight.
        """
        await self.leases.withdraw(track_id)

    async def find_submit(self, track_id: str) -> PendingSubmit | None:
        """Return the submit with this track_id; None if no such submit is recorded."""
        return await self._store.read(submits.find, track_id)

    async def find_submit_by_key(self, key: str) -> PendingSubmit | None:
        """Return the submit with this submission key; None if no such submit is recorded."""
        return await self._store.read(submits.find_by_key, key)

    async def uncertain(self) -> list[PendingSubmit]:
        """Return the submits that may or may not have started work, the oldest first."""
        return await self.leases.uncertain()

    async def load_pace(self) -> dict[str, Any] | None:
        """Return the saved state of an adaptive pace; None if no state was saved."""
        return await self._store.read(pace_state.load)

    async def save_pace(self, state: Mapping[str, Any]) -> None:
        """Save the state of an adaptive pace, in place of the previous one."""
        await self._store.write(pace_state.save, state)
