"""Places: how many generations of one key may be queued at once, and who comes next. Sends none."""

import asyncio
import math
from collections import deque
from contextlib import suppress
from contextvars import Context
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from attrs import Factory, define

from .._models.errors import ModelsLabError
from .._models.ticket import Ticket
from .._polling.watchers import NULL_WATCHER
from .._scheduling.initial_state import InitialState
from .._scheduling.watcher_protocol import Watcher
from .duplicate_payloads import DuplicatePayloads
from .slot_record import SlotRecord
from .uncertain_submits import UncertainSubmits

# A ticket that nobody ever looks at again would hold its place for good.
_MAX_SLOT_AGE_S = 3600.0
# While others wait, whoever holds a place is looked at after this part of its age, and no sooner
# than after so many seconds: an end that is noticed late is a place that stands empty.
_POLL_GAP_AGE_SHARE = 0.04
_MIN_POLL_GAP_S = 0.25
# Not before this part of the time that the server expects, and sooner where that was too long for
# one of the last few: recorded is an eta of a hundred times the work.
_FIRST_POLL_ETA_SHARE = 0.5
_MAX_FIRST_POLL_S = 10.0
_ETA_RATIOS_KEPT = 8
# Seconds from one pass over all who hold a place to the next: at most, and at least for each of
# them, since a pass costs time.
_MAX_SCAN_GAP_S = 0.5
_SCAN_GAP_PER_SLOT_S = 0.00025


class TicketPoller(Protocol):
    """Polls tickets, and so notices when they end and their slots become free."""

    def watch(self, ticket: Ticket, watcher: Watcher, initial_state: InitialState, /) -> None: ...
    def nudge(self, ticket: Ticket, /) -> None: ...
    def unwatch(self, ticket: Ticket, watcher: Watcher, /) -> None: ...


@define(eq=False)
class Slots:
    """
    The places that one account has for queued generations.

    A place is taken before a submit. It is given back when nothing came of it, and belongs to its
    ticket else: until that has ended, or is given up, or an hour has passed. Where nobody knows
    whether work was started, it stays taken for a while (see `Doubts`). Who waits for a place gets
    one in the order of their numbers. Until the server has taken work, and again after a
    refusal, one goes alone, and one more for each second without an answer.

    Args:
        limit: How many there are; None for as many as anybody wants.
        poller: Polls the tickets that hold slots while other submits wait.
        duplicates: Who waits until its payload may be sent again, before it waits for a place.
    """

    limit: int | None
    poller: TicketPoller
    duplicates: DuplicatePayloads = Factory(DuplicatePayloads)
    _records: dict[Ticket, SlotRecord] = Factory(dict)
    _uncertain: UncertainSubmits = Factory(UncertainSubmits)
    _in_flight: int = 0
    _waiters: list[tuple[int, int, asyncio.Future[ModelsLabError | None]]] = Factory(list)
    _sequence: "count[int]" = Factory(count)
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
        Wait for a place. The lowest number goes first.

        Raises:
            ModelsLabError: Those in line are sent away.
        """
        if self._close_error is not None:
            raise self._close_error
        waiter: asyncio.Future[ModelsLabError | None] = asyncio.get_running_loop().create_future()
        heappush(self._waiters, (number, next(self._sequence), waiter))
        self._admit_waiters()
        try:
            error = await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.result() is None:
                self.release()
            self._admit_waiters()
            raise
        if error is not None:
            raise error

    def release(self, *, is_key_accepted: bool = False) -> None:
        """A submit made no ticket: its place is free. It is welcome if the server took the work."""
        self._is_key_accepted |= is_key_accepted
        self._in_flight -= 1
        self._admit_waiters()

    def hold_uncertain(self, endpoint: str) -> None:
        """Nobody knows whether a submit started work: while it may run, it has its place."""
        self._in_flight -= 1
        self._uncertain.add(endpoint, asyncio.get_running_loop().time())
        self._admit_waiters()

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
        """A submit made a ticket: its place belongs to that from now on."""
        now = asyncio.get_running_loop().time()
        self._is_key_accepted = True
        self._in_flight -= 1
        self._records[ticket] = SlotRecord(
            endpoint, now, eta or 0.0, now, track_id, expects_webhook, has_early_webhook
        )
        self._admit_waiters()

    def on_completed(self, ticket: Ticket) -> None:
        """A ticket has ended, or is given up: its place is free."""
        record = self._records.pop(ticket, None)
        if record is None:
            return
        took = asyncio.get_running_loop().time() - record.submitted_at
        self._uncertain.record_duration(record.endpoint, took)
        if record.eta:
            self._eta_ratios.append(took / record.eta)
        self._polled.discard(ticket)
        self._admit_waiters()

    def initial_state_of(self, ticket: Ticket) -> InitialState | None:
        """What is known of a ticket that holds a place."""
        record = self._records.get(ticket)
        return None if record is None else record.initial_state(asyncio.get_running_loop().time())

    def ticket_of(self, track_id: str) -> Ticket | None:
        """The ticket that holds a place and was submitted with this mark."""
        matching = (
            ticket
            for ticket, record in self._records.items()
            if track_id and record.track_id == track_id
        )
        return next(matching, None)

    def mark_full(self, seconds: float) -> None:
        """The server says that the queue is full: for a while, nobody goes but for who leaves."""
        self._full_until = asyncio.get_running_loop().time() + seconds
        self._full_limit = self._used - 1
        self._cancel_polls()

    def pause(self, seconds: float) -> None:
        """The server says that requests come too fast: for a while, nobody goes."""
        until = asyncio.get_running_loop().time() + seconds
        self._paused_until = max(self._paused_until, until)
        self._cancel_polls()

    def reject_waiting(self, error: ModelsLabError) -> None:
        """Those who are in line now will not be served, for this reason."""
        self._is_key_accepted = False
        self._probing_since = asyncio.get_running_loop().time()
        self.duplicates.reject_waiting(error)
        waiters, self._waiters = self._waiters, []
        for _, _, waiter in waiters:
            if not waiter.done():
                waiter.set_result(error)
        self._admit_waiters()

    def close(self, error: ModelsLabError) -> None:
        """Nobody is served any more, for this reason."""
        self._close_error = error
        self.reject_waiting(error)
        self.duplicates.close()

    @property
    def _used(self) -> int:
        return self._in_flight + len(self._records) + self._uncertain.count

    def _has_room(self, now: float) -> bool:
        return now >= self._paused_until and not self._is_full(now) and not self._is_probing(now)

    def _is_probing(self, now: float) -> bool:
        """Whether those on their way are to tell first what the server makes of the key."""
        return not self._is_key_accepted and now < self._next_probe_at

    @property
    def _next_probe_at(self) -> float:
        """When one more goes, though none of those on their way was answered."""
        return self._probing_since + self._in_flight

    def _is_full(self, now: float) -> bool:
        limit = math.inf if self.limit is None else self.limit
        if now < self._full_until:
            limit = min(limit, self._full_limit)
        return self._used >= limit

    def _admit_waiters(self) -> None:
        """Let in who may go, and see to it that the others get their turn."""
        now = asyncio.get_running_loop().time()
        self._evict_stale(now)
        while self._waiters and (self._waiters[0][2].done() or self._has_room(now)):
            waiter = heappop(self._waiters)[2]
            if not waiter.done():
                if not self._is_key_accepted and not self._in_flight:
                    self._probing_since = now
                self._in_flight += 1
                waiter.set_result(None)
        if not self._waiters:
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
        """Have those who hold the places looked at, each when it is its time, and come again."""
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
            # Whoever comes meanwhile is found by the next pass, so that is never far away.
            when = max(
                min(*wake_times, now + _MAX_SCAN_GAP_S),
                now + _SCAN_GAP_PER_SLOT_S * len(self._records),
            )
            self._timer = loop.call_at(when, self._on_timer, context=Context())

    def _next_poll_at(
        self, ticket: Ticket, record: SlotRecord, now: float, first_poll_share: float
    ) -> float:
        """When a ticket is to be looked at next; if that is now, have it looked at."""
        gap = max(_MIN_POLL_GAP_S, _POLL_GAP_AGE_SHARE * (now - record.submitted_at))
        when = max(
            record.polled_at + gap,
            record.submitted_at + min(first_poll_share * record.eta, _MAX_FIRST_POLL_S),
        )
        if when > now:
            return when
        record.polled_at = now
        self._polled.add(ticket)
        with suppress(ValueError):
            # A ticket whose family is unknown here cannot be polled; it keeps its slot.
            self.poller.watch(ticket, NULL_WATCHER, record.initial_state(now))
            self.poller.nudge(ticket)
        return now + gap

    def _on_timer(self) -> None:
        self._timer = None
        self._admit_waiters()

    def _cancel_polls(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        polled, self._polled = self._polled, set()
        for ticket in polled:
            self.poller.unwatch(ticket, NULL_WATCHER)
