"""
Slots: how many generations of one key may be queued at the service. It never sends a submit.

A submit takes a slot before it is sent. What happens then decides who has the slot:

    nothing was started          the slot is free again
    a ticket was made            the slot is the ticket's until that has ended, an hour at most
    it is unknown whether        the slot stays taken for a while (`UncertainSubmits`)

Until the server has accepted the key, and again after a refusal, one submit goes alone, and one
more for each second without a reply. So a wrong key costs one request, not a thousand.
"""

import asyncio
import math
from collections import deque
from contextlib import suppress
from contextvars import Context
from typing import Protocol

from attrs import Factory, define

from .._models.errors import ModelsLabError, RateLimited
from .._models.ticket import Ticket
from .._polling.watchers import NULL_WATCHER
from .._scheduling.initial_state import InitialState
from .._scheduling.watcher_protocol import Watcher
from .duplicate_payloads import DuplicatePayloads
from .slot_record import SlotRecord
from .uncertain_submits import UncertainSubmits
from .waiter_queue import WaiterQueue, is_admitted

# Without a bound, a ticket that nothing ever polls would hold its slot for good.
_MAX_SLOT_AGE_S = 3600.0
# While submits wait, a ticket with a slot is polled once in this share of its age. A slot stays
# empty for as long as the end of its ticket is not noticed.
_POLL_GAP_AGE_SHARE = 0.04
_MIN_POLL_GAP_S = 0.25
# The first poll comes after this share of the eta. Etas of a hundred times the duration are
# recorded, so a ratio below 1 among the latest ones shortens it.
_FIRST_POLL_ETA_SHARE = 0.5
_MAX_FIRST_POLL_S = 10.0
_ETA_RATIOS_KEPT = 8
# Seconds between two scans of all tickets with slots. Each scan costs time for each ticket.
_MAX_SCAN_GAP_S = 0.5
_SCAN_GAP_PER_SLOT_S = 0.00025
# How long to pause after a rate limit that names no time.
_DEFAULT_RETRY_AFTER_S = 30.0


class TicketPoller(Protocol):
    """Polls tickets, and so notices when they end and their slots become free."""

    def watch(self, ticket: Ticket, watcher: Watcher, initial_state: InitialState, /) -> None: ...
    def nudge(self, ticket: Ticket, /) -> None: ...
    def unwatch(self, ticket: Ticket, watcher: Watcher, /) -> None: ...


@define(eq=False)
class Slots:
    """
    The slots of one key.

    Args:
        limit: How many there are; None for no limit.
        poller: Polls the tickets that hold slots while submits wait.
        duplicates: Holds back submits that the spam filter would refuse.
    """

    limit: int | None
    poller: TicketPoller
    duplicates: DuplicatePayloads = Factory(DuplicatePayloads)
    _records: dict[Ticket, SlotRecord] = Factory(dict)
    _uncertain: UncertainSubmits = Factory(UncertainSubmits)
    _in_flight: int = 0
    _waiting: WaiterQueue = Factory(WaiterQueue)
    _is_key_accepted: bool = False
    _probing_since: float = -math.inf
    _paused_until: float = -math.inf
    _full_until: float = -math.inf
    _full_limit: int = 0
    _timer: asyncio.TimerHandle | None = None
    _polled: set[Ticket] = Factory(set)
    _eta_ratios: deque[float] = Factory(lambda: deque(maxlen=_ETA_RATIOS_KEPT))
    _close_error: ModelsLabError | None = None

    async def acquire(self, number: int) -> None:
        """
        Wait for a slot. The lowest number goes first.

        Raises:
            ModelsLabError: The waiting submits are rejected.
        """
        if self._close_error is not None:
            raise self._close_error
        waiter = self._waiting.add(number)
        self._admit_waiting()
        try:
            error = await waiter
        except asyncio.CancelledError:
            if is_admitted(waiter):
                self.release()
            self._admit_waiting()
            raise
        if error is not None:
            raise error

    def release(self, *, is_key_accepted: bool = False) -> None:
        """Free the slot of a submit that made no ticket."""
        self._is_key_accepted |= is_key_accepted
        self._in_flight -= 1
        self._admit_waiting()

    def hold_uncertain(self, endpoint: str) -> None:
        """Keep the slot of a submit that may have started work, for as long as that may run."""
        self._in_flight -= 1
        self._uncertain.add(endpoint, asyncio.get_running_loop().time())
        self._admit_waiting()

    def assign(
        self,
        ticket: Ticket,
        *,
        endpoint: str = "",
        eta: float | None = None,
        track_id: str = "",
        expects_webhook: bool = False,
        has_early_webhook: bool = False,
    ) -> None:
        """Give the slot of a submit to the ticket that it made."""
        now = asyncio.get_running_loop().time()
        self._is_key_accepted = True
        self._in_flight -= 1
        self._records[ticket] = SlotRecord(
            endpoint, now, eta or 0.0, now, track_id, expects_webhook, has_early_webhook
        )
        self._admit_waiting()

    def on_completed(self, ticket: Ticket) -> None:
        """Free the slot of a ticket that has ended, if it has one."""
        record = self._records.pop(ticket, None)
        if record is None:
            return
        took = asyncio.get_running_loop().time() - record.submitted_at
        self._uncertain.record_duration(record.endpoint, took)
        if record.eta:
            self._eta_ratios.append(took / record.eta)
        self._polled.discard(ticket)
        self._admit_waiting()

    def initial_state_of(self, ticket: Ticket) -> InitialState | None:
        """What is known of a ticket that holds a slot."""
        record = self._records.get(ticket)
        return None if record is None else record.initial_state(asyncio.get_running_loop().time())

    def ticket_of(self, track_id: str) -> Ticket | None:
        """The ticket with a slot whose request carried this track_id."""
        matching = (
            ticket
            for ticket, record in self._records.items()
            if track_id and record.track_id == track_id
        )
        return next(matching, None)

    def apply_rate_limit(self, error: RateLimited, payload: str) -> None:
        """Slow down as the server asks: one payload, the whole queue or all submits."""
        message = error.server_message.casefold()
        now, seconds = (
            asyncio.get_running_loop().time(),
            error.retry_after or _DEFAULT_RETRY_AFTER_S,
        )
        if "spam filter" in message:
            self.duplicates.space_out(payload, error.retry_after)
        elif "queued" in message:
            # The server's queue is full: admit a submit only when a slot frees.
            self._full_until = now + seconds
            self._full_limit = self._used - 1
            self._cancel_polls()
        else:
            self._paused_until = max(self._paused_until, now + seconds)
            self._cancel_polls()

    def reject_waiting(self, error: ModelsLabError) -> None:
        """Reject the submits that wait now: the server refuses the key."""
        self._is_key_accepted = False
        self._probing_since = asyncio.get_running_loop().time()
        self.duplicates.reject_waiting(error)
        self._waiting.reject_all(error)
        self._admit_waiting()

    def close(self, error: ModelsLabError) -> None:
        """Reject all submits from now on."""
        self._close_error = error
        self.reject_waiting(error)
        self.duplicates.close()

    @property
    def _used(self) -> int:
        return self._in_flight + len(self._records) + self._uncertain.count

    def _has_room(self, now: float) -> bool:
        return now >= self._paused_until and not self._is_full(now) and not self._is_probing(now)

    def _is_probing(self, now: float) -> bool:
        """Whether the submits in flight are to show first that the server accepts the key."""
        return not self._is_key_accepted and now < self._next_probe_at

    @property
    def _next_probe_at(self) -> float:
        """When one more submit goes, though none of those in flight was answered."""
        return self._probing_since + self._in_flight

    def _is_full(self, now: float) -> bool:
        limit = math.inf if self.limit is None else self.limit
        if now < self._full_until:
            limit = min(limit, self._full_limit)
        return self._used >= limit

    def _admit_waiting(self) -> None:
        """Admit the submits that have room, and see that room for the others is noticed."""
        now = asyncio.get_running_loop().time()
        self._evict_stale(now)
        while self._waiting and self._has_room(now):
            if not self._is_key_accepted and not self._in_flight:
                self._probing_since = now
            self._in_flight += 1
            self._waiting.admit_first()
        if not self._waiting:
            self._cancel_polls()
        elif self._timer is None:
            self._schedule_polls()

    def _evict_stale(self, now: float) -> None:
        self._uncertain.expire(now)
        while self._records:
            ticket, record = next(iter(self._records.items()))
            if now - record.submitted_at < _MAX_SLOT_AGE_S:
                return
            del self._records[ticket]

    def _schedule_polls(self) -> None:
        """Poll the tickets with slots that are due, and set a timer for the next scan."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        first_poll_share = _FIRST_POLL_ETA_SHARE * min(1.0, *self._eta_ratios, 1.0)
        wake_times = [when for when in (self._paused_until, self._full_until) if when > now]
        if self._is_full(now):
            wake_times.extend(
                self._next_poll_at(*each, now, first_poll_share) for each in self._records.items()
            )
            wake_times.extend(filter(None, (self._uncertain.expire(now),)))
        if self._is_probing(now):
            wake_times.append(self._next_probe_at)
        if wake_times:
            # A ticket that gets a slot meanwhile is found by the next scan, so that is soon.
            when = max(
                min(*wake_times, now + _MAX_SCAN_GAP_S),
                now + _SCAN_GAP_PER_SLOT_S * len(self._records),
            )
            self._timer = loop.call_at(when, self._on_timer, context=Context())

    def _next_poll_at(
        self, ticket: Ticket, record: SlotRecord, now: float, first_poll_share: float
    ) -> float:
        """Return when a ticket is to be polled next. If that is now, have it polled."""
        gap = max(_MIN_POLL_GAP_S, _POLL_GAP_AGE_SHARE * (now - record.submitted_at))
        when = max(
            record.polled_at + gap,
            record.submitted_at + min(first_poll_share * record.eta, _MAX_FIRST_POLL_S),
        )
        if when > now:
            return when
        record.polled_at = now
        self._polled.add(ticket)
        # A ticket whose family this client does not know cannot be polled, and keeps its slot.
        with suppress(ValueError):
            self.poller.watch(ticket, NULL_WATCHER, record.initial_state(now))
            self.poller.nudge(ticket)
        return now + gap

    def _on_timer(self) -> None:
        self._timer = None
        self._admit_waiting()

    def _cancel_polls(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        polled, self._polled = self._polled, set()
        for ticket in polled:
            self.poller.unwatch(ticket, NULL_WATCHER)
