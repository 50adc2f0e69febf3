"""A run's lease, its open tickets, and the feed that announces new tickets."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, TypeVar

from attrs import define, evolve

from .._journal.lease_rows import ClaimedTicket
from .._journal.tickets import OutcomeRow, PollUpdate
from .._models.errors import ModelsLabError
from .._models.events import Event, Polled, PollFailed
from .._models.journal_errors import JournalError, JournalLocked
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from ..journal import Journal

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")

_RENEWALS_PER_LEASE: Final = 4
_MAX_RECHECK_S: Final = 1.0


class Moment(NamedTuple):
    """
    One moment, as two clocks show it.

    Attributes:
        loop_time: The time on the event loop's clock, which is never adjusted.
        journal_time: The time on the journal's clock, by which other processes judge the lease.
    """

    loop_time: float
    journal_time: float


class Lease:
    """
    The lease of a run. While the lease lasts, no other run takes the run's tickets.

    Args:
        journal: The journal of the run.
        run_id: The run's number.
        duration: The seconds for which the lease lasts after each renewal.
    """

    def __init__(self, journal: Journal, run_id: int, duration: float) -> None:
        self.duration = duration
        self._journal = journal
        self._run_id = run_id
        # Keep the loop, because `is_over` may be read in a thread that has no running event loop.
        self._loop = asyncio.get_running_loop()
        self._renewed_at = self.now()

    def now(self) -> Moment:
        """Return the current time on the clocks of the event loop and of the journal."""
        return Moment(self._loop.time(), self._journal.clock())

    def mark_renewed(self, requested_at: Moment) -> None:
        """Record that the lease was renewed: it lasts `duration` seconds from `requested_at`."""
        self._renewed_at = requested_at

    @property
    def is_over(self) -> bool:
        """
        Whether the lease has run out, by the event loop's clock or by the journal's clock.

        Once the lease has run out, other runs may take the tickets of this run.
        """
        return any(
            now - renewed_at >= self.duration
            for now, renewed_at in zip(self.now(), self._renewed_at, strict=True)
        )

    async def retry_while_locked(self, write: Callable[[], Awaitable[T]]) -> T:
        """
        Write to the journal. If another process has locked it, try again until the lease runs out.

        Raises:
            JournalError: The journal could not be written before the lease ran out.
        """
        while True:
            try:
                return await write()
            except JournalLocked as error:
                if self.is_over:
                    raise
                _logger.warning("the journal is locked, trying again: %s", error)
            await asyncio.sleep(recheck_interval(self.duration))

    async def renew_until_lost(self, on_renewed: Callable[[], Awaitable[object]]) -> None:
        """
        Renew the lease at intervals. Return once another run has ended the lease.

        Args:
            on_renewed: Awaited after each renewal.

        Raises:
            JournalError: The lease ran out while the journal could not be written.
        """
        while True:
            await asyncio.sleep(renewal_interval(self.duration))
            requested_at = self.now()
            try:
                if not await self._journal.leases.renew(self._run_id, lease=self.duration):
                    return
                self.mark_renewed(requested_at)
                await on_renewed()
            except JournalError as error:
                if self.is_over:
                    raise
                _logger.warning("the lease could not be renewed, trying again: %s", error)


@define(eq=False)
class _OpenTicket:
    """
    A ticket that this run polls.

    Attributes:
        row_id: The number of the ticket's row in the journal.
        polls: The number of polls since the journal was last updated.
        last: The most recent `Processing` reply since then; None if there was none.
        last_running_at: The time at which the most recent poll with a `Processing` reply started;
            None if there was none.
        max_lag: The seconds from `last_running_at` until a reply showed that the work had ended;
            None if unknown. The work ended within these seconds.
    """

    row_id: int
    polls: int = 0
    last: Processing | None = None
    last_running_at: float | None = None
    max_lag: float | None = None


class LeasedTickets:
    """
    Counts the polls of a run's open tickets, and commits the outcomes.

    Args:
        journal: The journal of the run.
        run_id: The run's number.
        save_files: Whether to queue successes, so that a `SaveRun` saves their files.
    """

    def __init__(self, journal: Journal, run_id: int, *, save_files: bool) -> None:
        self._journal = journal
        self._run_id = run_id
        self._save_files = save_files
        self._entries: dict[Ticket, _OpenTicket] = {}

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._entries

    @property
    def is_empty(self) -> bool:
        """Whether the outcomes of all tickets have been committed."""
        return not self._entries

    def add(self, claimed: Iterable[ClaimedTicket]) -> None:
        """Add tickets that the run has claimed."""
        self._entries |= {each.ticket: _OpenTicket(each.row_id) for each in claimed}

    def on_event(self, event: Event) -> None:
        """If an event reports a poll of one of these tickets, count the poll."""
        match event:
            case Polled(ticket=ticket, reply=reply, started_at=start) if entry := self._entries.get(
                ticket
            ):
                entry.polls += 1
                if isinstance(reply, Processing):
                    entry.last, entry.last_running_at = reply, start
                elif entry.last_running_at is not None:
                    entry.max_lag = asyncio.get_running_loop().time() - entry.last_running_at
            case PollFailed(ticket=ticket) if entry := self._entries.get(ticket):
                entry.polls += 1
            case _:
                pass

    def _complete(self, outcome: Outcome) -> OutcomeRow:
        entry = self._entries.pop(outcome.ticket)
        max_lag = None if isinstance(outcome, Unresolved) else entry.max_lag
        return OutcomeRow(entry.row_id, entry.polls, outcome, max_lag)

    def take_updates(self) -> list[PollUpdate]:
        """Return the number of polls and the last reply of each ticket since the previous call."""
        updates: list[PollUpdate] = []
        for entry in self._entries.values():
            if entry.polls:
                updates.append(PollUpdate(entry.row_id, entry.polls, entry.last))
                entry.polls, entry.last = 0, None
        return updates

    async def commit(self, outcomes: list[Outcome]) -> list[Outcome]:
        """
        Record outcomes. Return those that were recorded.

        An outcome is not recorded if another run has ended this run's lease and taken the ticket.
        """
        completions = [self._complete(outcome) for outcome in outcomes]
        try:
            written = await self._write(completions)
        except JournalError:
            raise
        except Exception:  # noqa: BLE001 -- each outcome is tried again on its own.
            completions, written = await self._commit_one_by_one(completions)
        return [
            completion.outcome
            for completion, is_written in zip(completions, written, strict=True)
            if is_written
        ]

    async def _commit_one_by_one(
        self, completions: list[OutcomeRow]
    ) -> tuple[list[OutcomeRow], list[bool]]:
        """Record outcomes one by one. An outcome that cannot be encoded becomes `Unresolved`."""
        committed: list[OutcomeRow] = []
        written: list[bool] = []
        for given in completions:
            completion = given
            try:
                written += await self._write([completion])
            except JournalError:
                raise
            except Exception as error:  # noqa: BLE001 -- it belongs to one ticket.
                ticket = completion.outcome.ticket
                # Name only the type of the error, because a message of another library can contain
                # the API key.
                cause = ModelsLabError(
                    f"the outcome could not be recorded ({type(error).__name__})", ticket=ticket
                )
                cause.__cause__ = error
                completion = evolve(completion, outcome=Unresolved(ticket=ticket, cause=cause))
                written += await self._write([completion])
            committed.append(completion)
        return committed, written

    async def _write(self, completions: list[OutcomeRow]) -> list[bool]:
        return await self._journal.leases.complete(
            self._run_id, completions, save_files=self._save_files
        )


class TicketFeed:
    """
    Tells the runs of a batch about new tickets.

    The runs wait for more tickets until the feed is closed.

    Attributes:
        is_closed: Whether no more tickets will be added.
        first_run: The number of the first run that uses this feed; None if no run has begun.
        is_draining: Whether to stop early. The runs then stop polling, and nothing more is
            submitted. Transfers in progress are completed, and ready results are returned.
    """

    def __init__(self, *, is_closed: bool = False) -> None:
        self.is_closed = is_closed
        self.first_run: int | None = None
        self.is_draining = False
        self._listeners: list[Callable[[], object]] = []

    def subscribe(self, listener: Callable[[], object]) -> None:
        """Call `listener` when tickets have been added, and when the feed drains or is closed."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], object]) -> None:
        """Remove a listener that was added with `subscribe`, if it is there."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def notify(self) -> None:
        """Call the listeners. The runs then check for added tickets and for changes of the feed."""
        for listener in [*self._listeners]:
            listener()

    def drain(self) -> None:
        """Make the runs stop early. This method calls all listeners before it returns."""
        self.is_draining = True
        self.notify()

    def close(self) -> None:
        """Announce that no more tickets will be added. A run then ends once no ticket is open."""
        self.is_closed = True
        self.notify()


def renewal_interval(lease: float) -> float:
    """Return the seconds between two renewals of a lease."""
    return lease / _RENEWALS_PER_LEASE


def recheck_interval(lease: float) -> float:
    """Return the number of seconds between two checks of what other runs have done."""
    return min(_MAX_RECHECK_S, renewal_interval(lease))
