"""SlotPolls: polls tickets that hold slots, to notice early that a slot is free."""

import math
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from attrs import Factory, define

from .._models.ticket import Ticket
from .._polling.watchers import NULL_WATCHER
from .._scheduling.initial_ticket_facts import InitialTicketFacts
from .._scheduling.watcher_protocol import Watcher
from .slot_record import SlotRecord

# The time between two polls of a ticket, as a fraction of the ticket's age.
_POLL_GAP_AGE_SHARE = 0.04
_MIN_POLL_GAP_S = 0.25
# A ticket with a slot is first polled after this fraction of its eta, but after `_MAX_FIRST_POLL_S`
# at the latest. The eta is shortened if recent jobs ended before their etas, because some etas of
# the service were a hundred times too long.
_FIRST_POLL_ETA_SHARE = 0.5
_MAX_FIRST_POLL_S = 10.0
_ETA_RATIOS_KEPT = 8


class TicketPoller(Protocol):
    """Polls tickets. When a ticket ends, the engine reports it to `Slots.on_completed`."""

    def watch(
        self, ticket: Ticket, watcher: Watcher, initial_facts: InitialTicketFacts, /
    ) -> bool: ...
    def nudge(self, ticket: Ticket, /) -> None: ...
    def unwatch(self, ticket: Ticket, watcher: Watcher, /) -> None: ...


@define(eq=False)
class SlotPolls:
    """
    Polls the tickets that hold slots.

    While submits wait for slots, the tickets are polled more often than their callers need, because
    only a poll shows that a slot is free.

    Args:
        poller: Polls the tickets.
    """

    poller: TicketPoller
    _polled: set[Ticket] = Factory(set)
    _eta_ratios: deque[float] = Factory(lambda: deque(maxlen=_ETA_RATIOS_KEPT))

    def poll_due(self, records: Mapping[Ticket, SlotRecord], now: float) -> list[float]:
        """Poll the tickets that are due. Return the time at which each ticket is due next."""
        first_poll_share = _FIRST_POLL_ETA_SHARE * min(1.0, *self._eta_ratios, 1.0)
        return [self._poll_if_due(*each, now, first_poll_share) for each in records.items()]

    def on_completed(self, ticket: Ticket, eta: float, took: float) -> None:
        """Stop polling a ticket that has ended. Record the ratio of its duration to its eta."""
        if eta:
            self._eta_ratios.append(took / eta)
        self._polled.discard(ticket)

    def cancel(self) -> None:
        """Stop the polls that only look for free slots. Polls for waiting callers continue."""
        polled, self._polled = self._polled, set()
        for ticket in polled:
            self.poller.unwatch(ticket, NULL_WATCHER)

    def _poll_if_due(
        self, ticket: Ticket, record: SlotRecord, now: float, first_poll_share: float
    ) -> float:
        gap = max(_MIN_POLL_GAP_S, _POLL_GAP_AGE_SHARE * (now - record.submitted_at))
        when = max(
            record.polled_at + gap,
            record.submitted_at + min(first_poll_share * record.eta, _MAX_FIRST_POLL_S),
        )
        if when > now:
            return when
        record.polled_at = now
        self._polled.add(ticket)
        # `watch` raises if this client cannot poll tickets of this family. The ticket then keeps
        # its slot, but is not polled.
        with suppress(ValueError):
            if not self.poller.watch(ticket, NULL_WATCHER, record.initial_facts(now)):
                # `watch` returned False because the caller's pace raised an exception. The pace
                # would raise again, so do not poll this ticket any more.
                record.polled_at = math.inf
            self.poller.nudge(ticket)
        return now + gap
