"""RunOperations: lets a run claim and complete tickets of a journal while the run's lease lasts."""

import asyncio
from collections.abc import Callable, Sequence

from .._aio.yield_and_wakeup import wait_to_end
from .._models.replies import Failed, Success
from .._models.ticket import Ticket
from . import lease_rows, own_submits, queries, results_of_tickets, save_queue, submits, tickets
from .journal_store import JournalStore
from .lease_rows import Claim
from .own_submits import OwnSubmit
from .queries import Report
from .results_of_tickets import RecordedResult, SubmittedKey
from .save_queue import SaveClaim
from .submits import PendingSubmit
from .tickets import OutcomeRow, PollUpdate
from .unfinished_submits import UnfinishedSubmits


class RunOperations:
    """
    The runs of one journal and their leases.

    A run keeps its tickets while its lease lasts. After that, another run may claim these tickets.
    The journal then refuses outcomes of these tickets from the first run.

    Attributes:
        unfinished: The submits of these runs whose results the journal does not have yet.
    """

    def __init__(self, store: JournalStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self.unfinished = UnfinishedSubmits()

    async def begin_run(self, *, lease: float) -> int:
        """
        Start a run. Return its number.

        Args:
            lease: The seconds for which the lease lasts unless it is renewed.

        Raises:
            JournalReadOnly: The journal was copied to another store.
        """
        return await self._store.write(lease_rows.begin, now=self._clock(), lease=lease)

    async def renew(self, run_id: int, *, lease: float) -> bool:
        """Renew a run's lease. Return False if the run has ended."""
        return await self._store.write(lease_rows.renew, run_id, now=self._clock(), lease=lease)

    async def end_run(
        self, run_id: int, updates: Sequence[PollUpdate] = (), *, is_leaving: bool = False
    ) -> None:
        """
        End a run after recording its last polls. Its open tickets become free for other runs.

        With `is_leaving`, give up after a few seconds if the database cannot be reached.
        """
        write = self._store.write(tickets.end_run, run_id, updates)
        await (self._store.wait_briefly(write) if is_leaving else write)

    def start_leaving(self) -> None:
        """
        Prepare to close: from now on, wait only a few seconds if the database cannot be reached.

        An operation that finds a copy of the batch under way does not wait until the copy ends.
        `confirm` and `confirm_sent` may still wait for minutes, because they record the ticket of
        paid work.
        """
        self._store.start_leaving()

    async def claim(
        self, run_id: int, *, before_run: int, limit: int, lease: float
    ) -> Claim | None:
        """
        Claim open tickets that no other active run has claimed, and renew the lease.

        Args:
            run_id: The run that claims.
            before_run: A run's number. Tickets left unresolved by runs with lower numbers are
                claimed too.
            limit: The maximum number of tickets to claim.
            lease: The seconds for which the lease lasts from now.

        Returns:
            The claimed tickets; None if the run has lost its lease.
        """
        return await self._store.write(
            lease_rows.claim,
            run_id,
            before_run=before_run,
            limit=limit,
            now=self._clock(),
            lease=lease,
        )

    async def record_polls(self, run_id: int, updates: Sequence[PollUpdate]) -> None:
        """Record new polls and last replies. Skip tickets that no longer belong to the run."""
        await self._store.write(tickets.record_polls, run_id, updates)

    async def complete(
        self, run_id: int, completions: Sequence[OutcomeRow], *, save_files: bool = False
    ) -> list[bool]:
        """
        Record outcomes. For each outcome, return whether it was recorded.

        An outcome is recorded only if its ticket still belongs to this run. With `save_files`, the
        files of successes are queued to be saved.
        """
        return await self._store.write(
            tickets.complete, run_id, completions, now=self._clock(), save_files=save_files
        )

    async def record_own(
        self, submit: PendingSubmit, run_id: int, *, lease: float
    ) -> OwnSubmit | None:
        """
        Record a submit that a run of this process is about to send, and renew the run's lease.

        Record nothing and return None if the run has ended. Other processes would list a submit of
        an ended run as uncertain, even while it is in flight.

        A cancellation does not end the wait, because the journal may write the record all the same.
        This method does not pass the cancellation on, so call it in a task of its own.

        Raises:
            ValueError: The track_id or the submission key was used before, or JSON cannot represent
                the columns.
            JournalReadOnly: The journal was copied to another store.
        """
        self.unfinished.add(submit)
        row_id = None
        try:
            write = asyncio.ensure_future(
                self._store.write(
                    own_submits.record_own, submit, run_id, now=self._clock(), lease=lease
                )
            )
            await wait_to_end(write)
            row_id = write.result()
        finally:
            if row_id is None:
                self.unfinished.remove(submit)
        return None if row_id is None else OwnSubmit(submit, row_id, run_id)

    async def confirm_sent(
        self, own: OwnSubmit, ticket: Ticket, *, result: Success | Failed | None = None
    ) -> None:
        """
        Record the ticket of a submit that a run of this process has sent.

        The ticket is recorded even if another process has deleted the submit's record meanwhile.

        Args:
            own: The submit, as `record_own` returned it.
            ticket: The ticket of the work that the submit started.
            result: The result of the work, if the reply to the submit contained one.
        """
        self.unfinished.set_ticket(own.submit, ticket)
        await self._store.write(
            own_submits.confirm_sent, own, ticket, result=result, now=self._clock()
        )
        self.unfinished.remove(own.submit)

    async def withdraw_own(self, own: OwnSubmit) -> bool:
        """
        Delete the record of a submit of this process that certainly started no work.

        Do nothing and return False if another process has confirmed or deleted the submit. Also
        return False if an earlier call deleted the record, but its reply was lost.
        """
        is_deleted = await self._store.write(own_submits.withdraw_own, own)
        self.unfinished.remove(own.submit)
        return is_deleted

    async def mark_uncertain(self, own: OwnSubmit, *, named_ticket: Ticket | None = None) -> None:
        """Record that a submit may or may not have started work, and the ticket of its reply."""
        await self._store.write(own_submits.mark_uncertain, own, named_ticket=named_ticket)
        self.unfinished.remove(own.submit)

    async def withdraw(self, track_id: str) -> None:
        """See `Journal.withdraw`."""
        self.unfinished.check_withdrawable(track_id)
        await self._store.write(submits.withdraw, track_id, now=self._clock())

    async def uncertain(self) -> list[PendingSubmit]:
        """See `Journal.uncertain`."""
        # A submit may begin or get its result during the read.
        own = self.unfinished.track_ids()
        listed = await self._store.read(submits.uncertain, now=self._clock())
        own |= self.unfinished.track_ids()
        return [each for each in listed if each.track_id not in own]

    async def report(self) -> Report:
        """See `Journal.report`."""
        own = self.unfinished.track_ids()
        return await self._store.read(queries.report, own, now=self._clock())

    async def results(self, of_tickets: Sequence[Ticket]) -> list[RecordedResult]:
        """Return the recorded result of each given ticket that has an outcome."""
        return await self._store.read(results_of_tickets.results_of, of_tickets)

    async def orphaned_submits(self) -> list[PendingSubmit]:
        """Return submits that belong to no active run and whose ticket is open or unresolved."""
        return await self._store.read(submits.orphaned, now=self._clock())

    async def submitted_keys(self, *, saves_files: bool) -> dict[str, SubmittedKey]:
        """Return the submits that have a submission key, in a dictionary from key to submit."""
        return await self._store.read(results_of_tickets.submitted_keys, saves_files=saves_files)

    async def claim_saves(
        self, run_id: int, *, before_run: int, limit: int, lease: float
    ) -> SaveClaim | None:
        """Claim tickets whose files are to be saved. The arguments are those of `claim`."""
        return await self._store.write(
            save_queue.claim,
            run_id,
            before_run=before_run,
            limit=limit,
            now=self._clock(),
            lease=lease,
        )

    async def complete_save(
        self, run_id: int, row_id: int, *, error: str | None, argument: str = ""
    ) -> bool:
        """
        Record the result of saving a ticket's files. If `error` is None, all files were saved.

        Characters of `error` that no store can hold are escaped. Return False, and record nothing,
        if the ticket no longer belongs to the run.
        """
        return await self._store.write(
            save_queue.complete_save,
            run_id,
            row_id,
            error=None if error is None else _storable(error),
            argument=argument,
            now=self._clock(),
        )


def _storable(text: str) -> str:
    """
    Escape NUL characters and lone surrogates. The message of a server may contain them.

    PostgreSQL refuses NUL, and no store can encode a lone surrogate as UTF-8.
    """
    return text.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode()
