"""AwaitedResults: passes the result of each ticket to the tasks that wait for it."""

import asyncio
from contextlib import suppress
from itertools import islice
from typing import Final

from .._downloads.save_result_types import SaveResult
from .._engine.engine import Engine
from .._models.journal_errors import JournalDamaged, JournalError
from .._models.replies import Success
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from ..journal import Journal
from .leased_tickets import TicketFeed, recheck_interval
from .result_from_record import to_result, unpollable_result

# The maximum number of tickets whose results are read from the journal at once.
_TICKETS_PER_READ: Final = 1000


class AwaitedResults:
    """
    The results that the tasks of one `generate_many` call wait for.

    A result comes from a run of this process, or from the journal, where another process may have
    recorded it.

    Args:
        engine: Knows which tickets this client can poll.
        journal: The journal with the tickets.
        feed: Wakes the runs of this process, so that they claim awaited tickets and save successes.
        lease: The duration of a lease in seconds. With a shorter lease, this object reads the
            journal more often.

    Attributes:
        saves_files: Whether a success counts as a result only after its files are saved.
    """

    def __init__(self, engine: Engine, journal: Journal, feed: TicketFeed, *, lease: float) -> None:
        self.saves_files = False
        self._recheck_s = recheck_interval(lease)
        self._engine = engine
        self._journal = journal
        self._feed = feed
        self._futures: dict[Ticket, asyncio.Future[Outcome | SaveResult | None]] = {}
        self._has_ended = False

    async def wait(self, ticket: Ticket) -> Outcome | SaveResult | None:
        """Wait for the result of a ticket. Return None if the runs end without a result."""
        if ticket not in self._futures:
            self._futures[ticket] = asyncio.get_running_loop().create_future()
        awaited = self._futures[ticket]
        # Also read the journal: a run may have yielded the result before this task began to wait.
        await self._resolve_recorded([ticket])
        if self._has_ended:
            self.resolve(ticket, None)
        if not awaited.done():
            # Wake the run, so that it claims the ticket if it has not done so yet.
            self._feed.notify()
        await asyncio.wait((awaited,))
        return awaited.result()

    def resolve(self, ticket: Ticket, result: Outcome | SaveResult | None) -> None:
        """Pass the result of a ticket to the tasks that wait for it."""
        if (awaited := self._futures.pop(ticket, None)) is not None:
            awaited.set_result(result)

    def end(self) -> None:
        """End all current and future waits, because no run will yield more results."""
        self._has_ended = True
        for ticket in [*self._futures]:
            self.resolve(ticket, None)

    async def recheck(self) -> None:
        """Read the journal at intervals, to find results that other processes recorded."""
        while True:
            await asyncio.sleep(self._recheck_s)
            awaited = iter([*self._futures])
            while tickets := [*islice(awaited, _TICKETS_PER_READ)]:
                # Ignore errors of the journal, because the next pass reads it again.
                with suppress(JournalError):
                    await self._resolve_recorded(
                        [ticket for ticket in tickets if ticket in self._futures]
                    )

    async def _resolve_recorded(self, tickets: list[Ticket]) -> None:
        """
        Read the results of these tickets from the journal, and pass them to the waiting tasks.

        If a success is recorded but its files are not saved yet, make sure that the success is
        queued for saving. Also end the wait for each ticket that this client cannot poll.
        """
        to_poll, never_queued = {*tickets}, list[Ticket]()
        for recorded in await self._journal.leases.results(tickets):
            result = to_result(
                recorded, first_run=self._feed.first_run, saves_files=self.saves_files
            )
            if result is None and not isinstance(recorded.outcome, Success):
                continue
            ticket = recorded.outcome.ticket
            to_poll.discard(ticket)
            if result is not None:
                if isinstance(result, Unresolved) and isinstance(result.cause, JournalDamaged):
                    result.cause.path = self._journal.path
                self.resolve(ticket, result)
            elif not recorded.is_save_queued:
                never_queued.append(ticket)
        if never_queued:
            # The save was not queued, because the success came in the reply to the submit, or from
            # a run that saves no files.
            await self._journal.queue_saves(never_queued)
            self._feed.notify()
        for ticket in to_poll:
            self._resolve_unpollable(ticket)

    def _resolve_unpollable(self, ticket: Ticket) -> None:
        """If this client cannot poll a ticket, end the wait for it with an `Unresolved`."""
        try:
            self._engine.status_client.check_pollable(ticket)
        except ValueError as error:
            shown = self._engine.status_client.redact_ticket(ticket)
            self.resolve(ticket, unpollable_result(shown, error))
