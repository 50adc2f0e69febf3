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
from ._journal.exports import Format, form_of
from ._journal.pending_files import Lacking, SaveClaim
from ._journal.queries import Ended, Report
from ._journal.recorded_files import RecordedFile
from ._journal.runs import Claim
from ._journal.sqlite_errors import gone
from ._journal.submits import Intent
from ._journal.tickets import End, Note
from ._journal.writer import Barred, Writer
from ._models.errors import JournalError, JournalReadOnly
from ._models.outcomes import Outcome
from ._models.replies import Processing, Success
from ._models.ticket import Ticket, TicketLike

__all__ = ["Ended", "Intent", "Journal", "Lacking", "RecordedFile", "Report"]

T = TypeVar("T")

_PAGE = 1000


class Journal:
    """
    One SQLite file that remembers tickets and how they ended. Open it with `Journal.open`.

    What a method wrote is on the disk when it returns. Several journals, in one process or in many,
    may be open on one file.
    """

    def __init__(
        self, path: str, writer: Writer | Barred, *, clock: Callable[[], float], patience: float
    ) -> None:
        self._path = path
        self._writer = writer
        self._clock = clock
        self._patience = patience
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        patience: float = 30.0,
    ) -> AsyncGenerator[Self, None]:
        """
        Open a journal while the block runs; make the file if there is none.

        One that may be read and not written can be asked everything; what would write raises
        `JournalReadOnly`.

        Args:
            path: The file. SQLite keeps two more beside it while it is open.
            clock: Where the time in seconds since 1970 comes from.
            patience: How many seconds to wait for another process that holds the file locked.

        Raises:
            JournalError: That is not possible, and why; or, at the end of the block, the file was
                deleted or replaced meanwhile.
        """
        writer = await _writer(os.fspath(path), patience)
        journal = cls(os.fspath(path), writer, clock=clock, patience=patience)
        try:
            yield journal
        finally:
            journal._closed = True
            is_gone = writer.is_gone
            await writer.aclose()
        if is_gone:
            raise gone(os.fspath(path))

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
            ticket.check_id()
        return await self._writer.do(partial(ticket_rows.add, tickets=given, now=self._clock()))

    async def begin(self, *, lease: float) -> int:
        """
        Start a run, which may claim tickets.

        Args:
            lease: For how many seconds it keeps them unless it renews.
        """
        return await self._writer.do(partial(runs.begin, now=self._clock(), lease=lease))

    async def renew(self, run: int, *, lease: float) -> bool:
        """Prolong a run's lease; False: it has none any more, and others have its tickets."""
        return await self._writer.do(partial(runs.renew, run=run, now=self._clock(), lease=lease))

    async def end(self, run: int, notes: Sequence[Note] = ()) -> None:
        """End a run, with its last notes: what it did not settle is anybody's."""

        def work(db: sqlite3.Connection) -> None:
            ticket_rows.note(db, run, notes)
            runs.end(db, run)

        await self._writer.do(work)

    async def claim(self, run: int, *, before: int, most: int, lease: float) -> Claim | None:
        """
        Take tickets that no living run holds, and renew the lease; None: the run has none any more.

        Args:
            run: Whose they shall be.
            before: What runs before this one left unresolved is taken, too.
            most: How many at the most.
            lease: For how many seconds.
        """
        return await self._writer.do(
            partial(runs.claim, run=run, before=before, most=most, now=self._clock(), lease=lease)
        )

    async def settle(self, run: int, ends: Sequence[End], *, owing: bool = False) -> list[bool]:
        """
        End tickets; says of each whether it was this run's to end, and so was written.

        With `owing`, the files of the successes are to be saved.
        """
        return await self._writer.do(
            partial(ticket_rows.settle, run=run, ends=ends, now=self._clock(), owing=owing)
        )

    async def reopen_failed(self) -> int:
        """Open again what failed; returns how many they were."""
        return await self._writer.do(ticket_rows.reopen_failed)

    async def owe(self) -> int:
        """Have every success saved that nobody has saved; returns how many are new."""
        return await self._writer.do(pending_files.owe)

    async def owe_again(self, tickets: Sequence[Ticket]) -> None:
        """Have successes saved once more, as far as their files are not what is on record."""
        await self._writer.do(partial(pending_files.owe_again, tickets=tickets))

    async def claim_saves(
        self, run: int, *, before: int, most: int, lease: float
    ) -> SaveClaim | None:
        """Take successes whose files are to be saved; as `claim`."""
        return await self._writer.do(
            partial(
                pending_files.claim,
                run=run,
                before=before,
                most=most,
                now=self._clock(),
                lease=lease,
            )
        )

    async def end_save(self, run: int, number: int, *, why: str | None) -> bool:
        """Write down that all files of a ticket are saved, or why not; says if it was written."""
        return await self._writer.do(
            partial(pending_files.end_save, run=run, number=number, why=why, now=self._clock())
        )

    async def lacking(self) -> list[Lacking]:
        """The successes of which not all files could be saved, in the order of adding."""
        return await self._read(pending_files.lacking)

    async def note(self, run: int, notes: Sequence[Note]) -> None:
        """Write down looks and last replies of tickets that are still open."""
        await self._writer.do(partial(ticket_rows.note, run=run, notes=notes))

    async def report(self) -> Report:
        """Count everything."""
        return await self._read(partial(queries.report, now=self._clock()))

    async def ended(self) -> AsyncGenerator[Ended, None]:
        """Every ticket that has an outcome, in the order in which they were added."""
        stop: int | None = 0
        while stop is not None:
            page, stop = await self._read(partial(queries.ended, after=stop, most=_PAGE))
            for each in page:
                yield each

    async def last(self, ticket: TicketLike) -> Processing | Outcome | None:
        """The last word on a ticket: its outcome, or the last reply that was noted, if any."""
        return await self._read(partial(queries.last, ticket=Ticket.of(ticket)))

    async def export(self, path: str | os.PathLike[str], *, form: Format | None = None) -> int:
        """
        Write all outcomes to a file, which is replaced once it is complete; see `Batch.export`.

        Raises:
            ValueError: The name does not say the form.
            ImportError: Parquet needs `pip install "modelslab-async[parquet]"`.
            OSError: The file cannot be written.
        """
        target = os.fspath(path)
        stop = threading.Event()
        work = partial(
            exports.export, path=target, form=form or form_of(target), stopped=stop.is_set
        )
        try:
            return await self._read(work)
        finally:
            stop.set()

    async def record_file(
        self,
        ticket: TicketLike,
        number: int,
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
            number: Which of the ticket's outputs, counted from 0.
            path: Where it was written.
            sha256: The digest of its bytes, in hexadecimal digits.
            size: How many bytes it has.
            url: Where it came from.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        file = RecordedFile(
            ticket=Ticket.of(ticket),
            number=number,
            path=os.fspath(path),
            sha256=sha256,
            size=size,
            url=url,
            at=self._clock(),
        )
        await self._writer.do(partial(recorded_files.record_file, file=file))

    async def files(self, ticket: TicketLike) -> list[RecordedFile]:
        """
        The files that were recorded for a ticket.

        Raises:
            ValueError: The ticket is not in this journal.
        """
        return await self._read(partial(recorded_files.files_of, ticket=Ticket.of(ticket)))

    async def all_files(self) -> AsyncGenerator[RecordedFile, None]:
        """Every file that was recorded, in the order in which the tickets were added."""
        stop: tuple[int, int] | None = (0, -1)
        while stop is not None:
            page, stop = await self._read(
                partial(recorded_files.page_of_files, after=stop, most=_PAGE)
            )
            for each in page:
                yield each

    async def intend(
        self,
        track_id: str,
        *,
        endpoint: str,
        payload_hash: str,
        run: int | None = None,
    ) -> None:
        """
        Write down that a submit is about to be sent. Its payload is not kept, only a hash of it.

        Args:
            track_id: The mark that the request carries.
            endpoint: What it is sent to.
            payload_hash: What tells its payload from others.
            run: Whose it is. While that run lives, nobody calls the submit doubtful.

        Raises:
            ValueError: The track_id was used before.
        """
        intent = Intent(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            at=self._clock(),
        )
        await self._writer.do(partial(submits.intend, intent=intent, run=run))

    async def confirm(
        self, track_id: str, ticket: TicketLike, *, done: Success | None = None
    ) -> None:
        """
        Write down which ticket a submit started, and add that ticket.

        Args:
            track_id: The mark that the request carries.
            ticket: What was started.
            done: Its result, if the reply to the submit brought that.

        Raises:
            ValueError: No such submit was written down, or the service gave no id for the ticket
                and there is no result.
        """
        named = Ticket.of(ticket)
        if done is None:
            named.check_id()
        await self._writer.do(
            partial(
                submits.confirm,
                track_id=track_id,
                ticket=named,
                done=done,
                now=self._clock(),
            )
        )

    async def withdraw(self, track_id: str) -> None:
        """
        Forget a doubtful submit that started nothing: it was refused, or provably never left.

        Raises:
            ValueError: No such submit was written down, or it is confirmed.
        """
        await self._writer.do(partial(submits.withdraw, track_id=track_id))

    async def intent(self, track_id: str) -> Intent | None:
        """The submit with that mark; None if it was never written down, or withdrawn."""
        return await self._read(partial(submits.find, track_id=track_id))

    async def doubtful(self) -> list[Intent]:
        """The submits of which nobody knows whether they started work, the oldest first."""
        return await self._read(partial(submits.doubtful, now=self._clock()))

    async def lessons(self) -> dict[str, Any] | None:
        """What a pace that learns knew when it was last kept here; None if none was."""
        return await self._read(pace_state.kept)

    async def keep_lessons(self, learned: Mapping[str, Any]) -> None:
        """Keep what a pace has learned, in place of what was kept before."""
        await self._writer.do(partial(pace_state.keep, learned=learned))

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self._path)
        return await asyncio.to_thread(reader.read, self._path, self._patience, work)


async def _writer(path: str, patience: float) -> Writer | Barred:
    writer = Writer(path, patience)
    try:
        await writer.open()
    except JournalReadOnly as error:
        await asyncio.to_thread(reader.check_readable, path, patience)
        return Barred(error)
    return writer
