"""
Hosts: the queues of all hosts that one client polls.

It decides which host to poll next. The service's rate limit for an API key applies to all hosts
together. So after a rate limit at one host, polls with this key pause at all hosts.
"""

import math

from attrs import Factory, define

from .._models.errors import ModelsLabError
from .._models.key_kind import Tier
from .host_health import HostHealth
from .host_queue import Entry, HostQueue
from .pace_protocol import RetryLimits
from .rate_limiter import NO_POLL_RATES, PollRate, PollRates


@define(eq=False)
class Hosts:
    """
    One queue for each pair of an API key and a host. The queues take turns.

    Attributes:
        limits: How long to back off from a host, and when to give up on it.
        poll_rates: Returns the rate limit for polls with an API key; None for no limit.
        has_pending_refusals: Whether there are refused tickets that `pop_refused` has not returned
            yet.
    """

    limits: RetryLimits
    poll_rates: PollRates = NO_POLL_RATES
    has_pending_refusals: bool = False
    _queues: dict[tuple[Tier, str], HostQueue] = Factory(dict)
    _tier_paused_until: dict[Tier, float] = Factory(dict)
    _limited_tiers: dict[Tier, PollRate] = Factory(dict)

    def queue_for(self, tier: Tier, host: str) -> HostQueue:
        """Return the queue of one API key at one host."""
        host_queue = self._queues.get((tier, host))
        if host_queue is None:
            # If the API key is paused, the pause applies to this new host too.
            health = HostHealth(paused_until=self._tier_paused_until.get(tier, -math.inf))
            host_queue = self._queues[tier, host] = HostQueue(tier, host, self.limits, health)
            poll_rate = None if tier in self._limited_tiers else self.poll_rates(tier)
            if poll_rate is not None:
                self._limited_tiers[tier] = poll_rate
        return host_queue

    def with_tier(self, tier: Tier) -> list[HostQueue]:
        """Return the queues of one API key at all hosts."""
        return [host_queue for host_queue in self._queues.values() if host_queue.tier == tier]

    def next_poll_at(self) -> float | None:
        """Return the earliest known time at which a poll may start; None if nothing is queued."""
        earliest: float | None = None
        for host_queue in self._queues.values():
            when = host_queue.next_poll_at()
            if when is None:
                continue
            if self._limited_tiers:
                when = max(when, self._rate_free_at(host_queue.tier))
            if earliest is None or when < earliest:
                earliest = when
        return earliest

    def take(self, now: float) -> Entry | None:
        """Remove and return the next entry, to poll it. Return None if no poll may start now."""
        for host_queue in self._queues.values():
            when = host_queue.next_poll_at()
            if when is None or when > now:
                continue
            if not self._limited_tiers or self._rate_free_at(host_queue.tier) <= now:
                break
        else:
            return None
        if len(self._queues) > 1:
            key = host_queue.tier, host_queue.host
            self._queues[key] = self._queues.pop(key)
        if self._limited_tiers and host_queue.tier in self._limited_tiers:
            self._limited_tiers[host_queue.tier].record(now)
        return host_queue.take(now)

    def finish_poll(self, entry: Entry, now: float, *, is_answered: bool) -> None:
        """Record that the poll of an entry has ended, with or without an answer."""
        host_queue = entry.host_queue
        host_queue.finish_poll(entry)
        if self._limited_tiers and (poll_rate := self._limited_tiers.get(host_queue.tier)):
            poll_rate.finish(entry.poll_started, now, is_answered=is_answered)

    def pause_tier(self, tier: Tier, now: float, seconds: float) -> None:
        """Start no poll with the API key of this tier for some seconds."""
        self._tier_paused_until[tier] = now + seconds
        for host_queue in self.with_tier(tier):
            host_queue.health.pause(now, seconds)

    def note_stall(self, now: float, seconds: float) -> None:
        """Spread out the polls that became due while the process was suspended."""
        for host_queue in self._queues.values():
            host_queue.note_stall(now, seconds)

    def refuse_open(
        self, host_queues: list[HostQueue], error: ModelsLabError, family: str | None = None
    ) -> None:
        """Mark the open tickets in some queues as refused: all of them, or those of one family."""
        for host_queue in host_queues:
            host_queue.refuse_open(error, family)
        self._update_pending_refusals()

    def pop_refused(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """
        Return up to `limit` refused entries, each with its error.

        Call this only if `has_pending_refusals` is true.
        """
        host_queue = next(each for each in self._queues.values() if each.has_pending_refusals)
        refused = host_queue.pop_refused(limit)
        self._update_pending_refusals()
        return refused

    def clear(self) -> None:
        """Forget all queues and their tickets."""
        self._queues.clear()
        self.has_pending_refusals = False

    def _rate_free_at(self, tier: Tier) -> float:
        poll_rate = self._limited_tiers.get(tier)
        return -math.inf if poll_rate is None else poll_rate.next_allowed

    def _update_pending_refusals(self) -> None:
        self.has_pending_refusals = any(each.has_pending_refusals for each in self._queues.values())
