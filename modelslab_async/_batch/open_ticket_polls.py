"""OpenTickets: the open tickets of a run, with their polls to be recorded. It writes nothing."""

import asyncio
from collections.abc import Iterable

from attrs import define

from .._journal.lease_rows import ClaimedTicket
from .._journal.tickets import OutcomeRow, PollUpdate
from .._models.events import Event, Polled, PollFailed
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket


@define(eq=False)
class _OpenTicket:
    """
    A ticket that this run polls.

    Attributes:
        row_id: The ticket's number in the journal.
        polls: The number of polls since the last update of the journal.
        last: The last reply since the last update of the journal; None if there was none.
        last_running_at: When the last poll that saw the ticket processing was sent.
        max_lag: The seconds from `last_running_at` until a reply showed that the work had ended.
    """

    row_id: int
    polls: int = 0
    last: Processing | None = None
    last_running_at: float | None = None
    max_lag: float | None = None


class OpenTickets:
    """Counts the polls of a run's tickets from the events of the poller."""

    def __init__(self) -> None:
        self._entries: dict[Ticket, _OpenTicket] = {}

    def __contains__(self, ticket: Ticket) -> bool:
        return ticket in self._entries

    def add(self, claimed: Iterable[ClaimedTicket]) -> None:
        """Add tickets that the run has claimed."""
        self._entries |= {each.ticket: _OpenTicket(each.row_id) for each in claimed}

    def on_event(self, event: Event) -> None:
        """Count the poll that an event reports, if it is a poll of an open ticket of this run."""
        match event:
            case Polled(ticket=ticket, reply=reply, elapsed=elapsed) if entry := self._entries.get(
                ticket
            ):
                entry.polls += 1
                now = asyncio.get_running_loop().time()
                if isinstance(reply, Processing):
                    entry.last, entry.last_running_at = reply, now - elapsed
                elif entry.last_running_at is not None:
                    entry.max_lag = now - entry.last_running_at
            case PollFailed(ticket=ticket) if entry := self._entries.get(ticket):
                entry.polls += 1
            case _:
                pass

    def complete(self, outcome: Outcome) -> OutcomeRow:
        """Remove a ticket that has an outcome. Return the row to record the outcome with."""
        entry = self._entries.pop(outcome.ticket)
        max_lag = None if isinstance(outcome, Unresolved) else entry.max_lag
        return OutcomeRow(entry.row_id, entry.polls, outcome, max_lag)

    def take_updates(self) -> list[PollUpdate]:
        """Return the polls since the last call of this method, and reset the counts."""
        updates: list[PollUpdate] = []
        for entry in self._entries.values():
            if entry.polls:
                updates.append(PollUpdate(entry.row_id, entry.polls, entry.last))
                entry.polls, entry.last = 0, None
        return updates
