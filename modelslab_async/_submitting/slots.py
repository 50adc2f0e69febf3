"""
Slots: limits how many generations of one API key are queued at the service.

A submit takes a slot before it is sent. The result of the submit decides what happens to the slot:

    no work was started           the slot is free again
    the server made a ticket      the ticket holds the slot until its work ends, for at most an hour
    work may have been started    the slot stays taken for a while (see `UncertainSlots`)

Until the server has accepted the API key, only one submit is admitted, plus one more for each
second without a reply. The same holds after the server has refused the key. So a wrong key causes
one failed request and not a thousand.
"""

import asyncio
import math
from contextvars import Context

from attrs import Factory, define, field

from .._models.error_copies import own_copy
from .._models.errors import RateLimited
from .._models.events import SlotWaitReason
from .._models.ticket import Ticket
from .._parsing.webhook_ids import WebhookHint
from .._scheduling.effects import Completion
from .._scheduling.initial_ticket_facts import InitialTicketFacts
from .refused_payload_spacing import DuplicatePayloads
from .slot_holders import SlotHolders
from .slot_polls import SlotPolls
from .slot_record import SlotRecord
from .submit_priority_queue import SubmitPriorityQueue, is_admitted
from .uncertain_slots import UncertainSlots

# A scan polls the tickets that are due. This is the longest time between two scans, in seconds.
_MAX_SCAN_GAP_S = 0.5
# The shortest time between two scans, in seconds per ticket that holds a slot. It takes precedence
# over `_MAX_SCAN_GAP_S`, because a scan of many tickets takes long.
_SCAN_GAP_PER_SLOT_S = 0.00025
# The pause after a rate limit, if the server does not say how long to wait.
_DEFAULT_RETRY_AFTER_S = 30.0


@define(eq=False)
class Slots:
    """
    The slots of one API key.

    Args:
        limit: The number of slots; None for no limit.
        polls: Polls the tickets that hold slots, while submits are waiting.
        duplicates: Delays submits that the server's spam filter would refuse.
        has_other_waiters: Whether submits of other clients wait for these slots.
    """

    limit: int | None
    _polls: SlotPolls = field(alias="polls")
    duplicates: DuplicatePayloads = Factory(DuplicatePayloads)
    has_other_waiters: bool = False
    _holders: SlotHolders = Factory(SlotHolders)
    _uncertain: UncertainSlots = Factory(UncertainSlots)
    _in_flight: int = 0
    _waiting: SubmitPriorityQueue = Factory(SubmitPriorityQueue)
    _is_key_accepted: bool = False
    _probing_since: float = -math.inf
    _paused_until: float = -math.inf
    _full_until: float = -math.inf
    _full_limit: int = 0
    _timer: asyncio.TimerHandle | None = None
    _close_error: Exception | None = None

    async def acquire(self, number: int) -> None:
        """
        Wait for a slot. Submits with lower numbers go first.

        Raises:
            ModelsLabError: The API key is refused, no credits are left, or the client is closed.
            ValueError: Other open clients of the shared account use different limits.
        """
        if self._close_error is not None:
            raise own_copy(self._close_error)
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
        """Free the slot of a submit that has left no work in the service's queue."""
        self._is_key_accepted |= is_key_accepted
        self._in_flight -= 1
        self._admit_waiting()

    def hold_uncertain(self, endpoint: str) -> None:
        """
        Keep the slot of a submit that may have started work.

        The slot is freed when the work has probably ended.
        """
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
    ) -> None:
        """Transfer the slot of a submit to the ticket in its reply."""
        now = asyncio.get_running_loop().time()
        self._is_key_accepted = True
        self._in_flight -= 1
        record = SlotRecord(
            endpoint,
            now,
            polled_at=now,
            eta=eta or 0.0,
            track_id=track_id,
            expects_webhook=expects_webhook,
        )
        self._holders.add(ticket, record)
        self._admit_waiting()

    def hold(self, ticket: Ticket, *, endpoint: str, submitted_at: float) -> None:
        """Hold a slot for the ticket of a process that has died."""
        self._holders.adopt(ticket, endpoint=endpoint, submitted_at=submitted_at)

    def on_completed(self, ticket: Ticket, completion: Completion | None = None) -> None:
        """
        Free the slot of a ticket whose work has ended, if the ticket holds a slot.

        Args:
            ticket: The ticket.
            completion: What the poller knows about the end; None if it did not poll the ticket.
        """
        record = self._holders.remove(ticket)
        if record is None:
            return
        age = asyncio.get_running_loop().time() - record.submitted_at
        observed = 0.0 if completion is None else completion.observed
        self._uncertain.record_end(record.endpoint, age, observed=observed)
        self._polls.on_completed(ticket, record.eta, age)
        self._admit_waiting()

    def initial_facts_of(self, ticket: Ticket) -> InitialTicketFacts | None:
        """Return what is known about a ticket before its first poll; None if it holds no slot."""
        record = self._holders.get(ticket)
        return None if record is None else record.initial_facts(asyncio.get_running_loop().time())

    def take_hint(self, hint: WebhookHint) -> Ticket | None:
        """Mark the tickets of a webhook. Return the first with the hint's track_id, else None."""
        return self._holders.take_hint(hint)

    def apply_rate_limit(self, error: RateLimited, payload: str) -> None:
        """
        Delay submits, because the server has refused a request with a rate limit.

        The server's message decides which submits are delayed, and for how long:

            spam filter       submits of this payload, which are then sent one by one, with pauses
            full queue        all submits, until a slot is freed or some time has passed
            any other limit   all submits, for some time
        """
        message = error.server_message.casefold()
        now = asyncio.get_running_loop().time()
        seconds = error.retry_after or _DEFAULT_RETRY_AFTER_S
        if "spam filter" in message:
            self.duplicates.space_out(payload, error.retry_after)
        elif "queued" in message:
            # The server's queue is full, so admit no submit until a slot is freed.
            self._full_until = now + seconds
            self._full_limit = self.used - 1
            self._cancel_polls()
        else:
            self._paused_until = max(self._paused_until, now + seconds)
            self._cancel_polls()

    def reject_waiting(self, error: Exception) -> None:
        """Reject all waiting submits: the server refuses the API key, or the client is closed."""
        self._is_key_accepted = False
        self._probing_since = asyncio.get_running_loop().time()
        self.duplicates.reject_waiting(error)
        self._waiting.reject_all(error)
        self._admit_waiting()

    def close(self, error: Exception) -> None:
        """Reject all waiting submits, and every submit from now on."""
        self._close_error = error
        self.reject_waiting(error)
        self.duplicates.close()

    def wait_reason(self, payload: str, number: int) -> SlotWaitReason | None:
        """Return why submit `number` would have to wait now; None if it would get a slot."""
        now = asyncio.get_running_loop().time()
        self._evict_stale(now)
        if not self.duplicates.may_submit(payload, number):
            return "same_payload"
        if now < self._paused_until:
            return "rate_limit"
        if self._is_probing(now):
            return "key_unconfirmed"
        return "slots_used" if self._waiting or self._is_full(now) else None

    @property
    def used(self) -> int:
        """The number of slots in use."""
        return self._in_flight + len(self._holders) + self._uncertain.count

    def _has_room(self, now: float) -> bool:
        return now >= self._paused_until and not self._is_full(now) and not self._is_probing(now)

    def _is_probing(self, now: float) -> bool:
        """Whether submits are held back until a reply shows that the server accepts the API key."""
        return not self._is_key_accepted and now < self._next_probe_at

    @property
    def _next_probe_at(self) -> float:
        """The time at which the next submit is admitted if the API key is still unconfirmed."""
        return self._probing_since + self._in_flight

    def _is_full(self, now: float) -> bool:
        limit = math.inf if self.limit is None else self.limit
        if now < self._full_until:
            limit = min(limit, self._full_limit)
        return self.used >= limit

    def _admit_waiting(self) -> None:
        """Admit submits, because a slot may have become free or a submit began to wait."""
        self._admit()

    def _admit(self) -> None:
        """Admit submits while slots are free. If submits still wait, set a timer to try again."""
        now = asyncio.get_running_loop().time()
        self._evict_stale(now)
        while self._waiting and self._has_room(now):
            if not self._is_key_accepted and not self._in_flight:
                self._probing_since = now
            self._in_flight += 1
            self._waiting.admit_first()
        if not self._waiting and not self.has_other_waiters:
            self._cancel_polls()
        elif self._timer is None:
            self._schedule_polls()

    def _evict_stale(self, now: float) -> None:
        self._uncertain.expire(now)
        self._holders.remove_stale(now)

    def _schedule_polls(self) -> None:
        """If all slots are used, poll the tickets that are due. Set a timer for the next scan."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        wake_times = [when for when in (self._paused_until, self._full_until) if when > now]
        if self._is_full(now):
            wake_times.extend(self._polls.poll_due(self._holders.records, now))
            wake_times.extend(filter(None, (self._uncertain.expire(now),)))
        if self._is_probing(now):
            wake_times.append(self._next_probe_at)
        if wake_times:
            # Scan again soon, because tickets that get a slot in the meantime need polls too. With
            # many tickets, scan less often, because each scan takes longer.
            when = max(
                min(*wake_times, now + _MAX_SCAN_GAP_S),
                now + _SCAN_GAP_PER_SLOT_S * len(self._holders),
            )
            self._timer = loop.call_at(when, self._on_timer, context=Context())

    def _on_timer(self) -> None:
        self._timer = None
        self._admit_waiting()

    def _cancel_polls(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._polls.cancel()
