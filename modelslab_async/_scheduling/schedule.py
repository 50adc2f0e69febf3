"""
Schedule: what is due, who is waiting, what is settled. It decides and does nothing.

A ticket is here from `add` until it is settled or nobody waits for it any more. In between it is
either lined up in its lane until it is due, or flying: taken out by a worker that looks at it.

    add ──> lined up ──take──> flying ──feed──> settled: every watcher hears it, once
               ^                  │
               └── not over yet ──┘

What one look tells is never mixed up with what another one does:

    not over                  later again, after the pace's step
    a fault of the look       later again, after a backoff, until `pace.faults` in a row
    rate limit                all lanes of that key pause; nobody's budget is charged
    many faults in a row      the lane pauses, then lets out one look at a time
    silence for too long      all tickets of that lane end, a few at a time: `reap`
    refusal of the key        all tickets of that key end, likewise
    refusal of permission     all tickets of that family end, likewise
    refusal of the request    that ticket ends
    the job's own end         that ticket settles

A reply to a ticket that is no longer open changes nothing but what it says about the lane.
"""

import math
from copy import copy
from functools import lru_cache
from itertools import islice

from attrs import Factory, define, frozen

from .._models.errors import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    ModelsLabError,
    PaymentRequired,
    PermissionDenied,
    RateLimited,
    TransientError,
)
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import CachedProcessing, as_processing
from .host_queue import Entry, HostQueue, PollFailures, Watcher, WebhookState
from .policy import FamilyPace, PacePolicy, RetryLimits
from .rate_limiter import RateLimiter


@frozen
class Completion:
    """
    One settled ticket.

    Attributes:
        outcome: How it ended.
        watchers: Who is to hear it.
        polls: How many looks it took.
        waited: Seconds since it was added.
    """

    outcome: Outcome
    watchers: tuple[Watcher, ...]
    polls: int
    waited: float


@frozen
class Effects:
    """What one look changed: the ending to be told and the pause it caused, if any."""

    completion: Completion | None = None
    paused: float | None = None


_NO_EFFECTS = Effects()
# What takes longer than that is no delay of a timer or of the event loop.
_MIN_STALL_S = 5.0

# So much rarer are looks at a ticket whose end a webhook is to tell of.
_WEBHOOK_STEP_FACTOR = 4.0
# What happens within this time shares its moment, and the room that it takes.
_SHARED_MOMENT_S = 0.001


@define(eq=False)
class Schedule:
    """
    The state machine of all open tickets of one client.

    Attributes:
        policy: When to look.
        rate: How many looks a key may have in a second; None for no such bound.
        has_pending_refusals: Whether a refusal has tickets to end still.
    """

    policy: PacePolicy
    rate: float | None = None
    _open: dict[Ticket, Entry] = Factory(dict)
    _host_queues: dict[tuple[Tier, str], HostQueue] = Factory(dict)
    _tier_paused_until: dict[Tier, float] = Factory(dict)
    _rates: dict[Tier, RateLimiter] = Factory(dict)
    has_pending_refusals: bool = False
    _last_moment: float = -math.inf
    _sole_watcher: tuple[Watcher, ...] = ()
    _checked_at: float = math.inf

    def __len__(self) -> int:
        return len(self._open)

    @property
    def limits(self) -> RetryLimits:
        """How to back off, and when to stop asking."""
        return self.policy.limits

    def add(
        self,
        ticket: Ticket,
        watcher: Watcher,
        *,
        tier: Tier,
        host: str,
        now: float,
        jitter: float,
        eta: float | None = None,
        just_submitted: bool = False,
        expects_webhook: bool = False,
    ) -> None:
        """
        Open a ticket, or join those who wait for it already.

        It is `fresh` if it was submitted just now, and `calm` if a webhook is to tell of its end.
        """
        entry = self._open.get(ticket)
        if entry is not None:
            entry.watchers += (watcher,)
            return
        host_queue = self._host_queues.get((tier, host))
        if host_queue is None:
            host_queue = self._host_queues[tier, host] = HostQueue(
                tier, host, self.limits, self._tier_paused_until.get(tier, -math.inf)
            )
            if self.rate is not None:
                self._rates.setdefault(tier, RateLimiter(self.rate))
        if host_queue.is_idle:
            # What was wrong when it was last asked says nothing of the time between.
            host_queue.reset_silence()
        if not self._sole_watcher or self._sole_watcher[0] is not watcher:
            self._sole_watcher = (watcher,)
        due = now + self.policy.for_family(ticket.family).first_step(
            eta, jitter, just_submitted=just_submitted
        )
        added = self._intern_moment(now)
        entry = Entry(ticket, host_queue, added, due, self._sole_watcher, last_running=added)
        if eta is not None:
            entry.expected_done = _interned_sum(added, eta)
        if expects_webhook:
            entry.webhook = WebhookState(expects_webhook=True)
        self._open[ticket] = entry
        host_queue.push(entry)

    def drop(self, ticket: Ticket, watcher: Watcher) -> None:
        """Stop waiting. When the last watcher has gone, the ticket is forgotten."""
        entry = self._open.get(ticket)
        if entry is None or watcher not in entry.watchers:
            return
        entry.watchers = tuple(other for other in entry.watchers if other is not watcher)
        # A flying entry stays until its reply, so that who comes back meanwhile joins that look.
        if not entry.watchers and entry.is_queued:
            del self._open[ticket]
            entry.host_queue.mark_stale(entry)
            self._learn(entry, None)

    def nudge(self, ticket: Ticket, now: float, gap: float, *, is_hint: bool) -> bool:
        """
        Make an open ticket due now, or once `gap` seconds have passed since the last nudge.

        With news, a reply on its way may be too old to know them: the ticket is due again after it.
        Returns whether the ticket is due sooner than it was.
        """
        entry = self._open.get(ticket)
        if entry is None:
            return False
        webhook = entry.webhook = entry.webhook or WebhookState()
        if not entry.is_queued:
            webhook.nudged_in_flight = webhook.nudged_in_flight or is_hint
            return False
        due = max(now, webhook.last_nudge_due + gap)
        if entry.due <= due:
            return False
        webhook.last_nudge_due = due
        # The line knows an entry by its due time: a twin takes the place of the old one.
        replacement = self._open[ticket] = copy(entry)
        entry.watchers = ()
        entry.host_queue.mark_stale(entry)
        self._requeue(replacement, due)
        return True

    def last(self, ticket: Ticket) -> Processing | None:
        """The last reply for an open ticket."""
        entry = self._open.get(ticket)
        return as_processing(entry.last, ticket) if entry and entry.last else None

    def last_error(self, ticket: Ticket) -> TransientError | None:
        """What keeps an open ticket from being answered, if something does."""
        entry = self._open.get(ticket)
        if entry is None:
            return None
        return (
            entry.poll_failures.last_error if entry.poll_failures else entry.host_queue.last_error
        )

    def next_poll_at(self) -> float | None:
        """When `take` will have something to give, as far as is known now."""
        moments = [
            when
            for host_queue in self._host_queues.values()
            if (when := self._next_poll_at(host_queue)) is not None
        ]
        return min(moments, default=None)

    def take(self, now: float) -> Entry | None:
        """Let the ticket out whose turn it is to be looked at; None if none may go now."""
        self._check_stall(now)
        ready = [
            host_queue
            for host_queue in self._host_queues.values()
            if (when := self._next_poll_at(host_queue)) is not None and when <= now
        ]
        if not ready:
            return None
        host_queue = ready[0]
        if len(ready) > 1:
            # Lanes take turns, as families do.
            self._host_queues[host_queue.tier, host_queue.host] = self._host_queues.pop(
                (host_queue.tier, host_queue.host)
            )
        if self.rate is not None:
            self._rates[host_queue.tier].record(now)
        return host_queue.take(now)

    def return_unpolled(self, entry: Entry, now: float) -> None:
        """Take back a ticket that was let out and not looked at; it is due again a little later."""
        entry.host_queue.return_unpolled(entry)
        if self._is_open(entry):
            self._requeue(entry, now + self.limits.floor)

    def feed(
        self,
        entry: Entry,
        result: Reply | CachedProcessing | ModelsLabError,
        now: float,
        jitter: float,
    ) -> Effects:
        """Take in what one look brought."""
        self._check_stall(now)
        entry.host_queue.finish_poll(entry)
        match result:
            case CachedProcessing() | Processing() | Success() | Failed():
                entry.host_queue.record_answer(now)
                return self._on_reply(entry, result, now, jitter)
            case RateLimited():
                return self._on_rate_limit(entry, result, now, jitter)
            case TransientError():
                return self._on_transient_error(entry, result, now, jitter)
            case _:
                return self._on_refusal(entry, result, now)

    def pop_refused(self, limit: int, now: float) -> list[Completion]:
        """End some of the tickets that a refusal met."""
        host_queue = next(
            host_queue
            for host_queue in self._host_queues.values()
            if host_queue.has_pending_refusals
        )
        refused = host_queue.pop_refused(limit)
        self.has_pending_refusals = any(
            host_queue.has_pending_refusals for host_queue in self._host_queues.values()
        )
        return [self._complete(entry, _unresolved(entry, error), now) for entry, error in refused]

    def close(self, error: ClientClosed, limit: int, now: float) -> list[Completion]:
        """End some of all that is open."""
        completions: list[Completion] = []
        for entry in list(islice(self._open.values(), limit)):
            if self._is_open(entry):
                completions.append(self._complete(entry, _unresolved(entry, error), now))
                entry.host_queue.mark_stale(entry)
        return completions

    def abandon(self) -> list[Watcher]:
        """Forget everything, and say who was waiting."""
        watchers = [watcher for entry in self._open.values() for watcher in entry.watchers]
        self._open.clear()
        self._host_queues.clear()
        return watchers

    def _check_stall(self, now: float) -> None:
        """See whether the whole process stood still, and all that fell due in it is due at once."""
        if now - self._checked_at > _MIN_STALL_S:
            for host_queue in self._host_queues.values():
                host_queue.note_stall(now, _MIN_STALL_S)
        self._checked_at = now

    def _on_reply(
        self, entry: Entry, reply: Reply | CachedProcessing, now: float, jitter: float
    ) -> Effects:
        entry.poll_failures = None
        if not self._is_open(entry):
            return _NO_EFFECTS
        age = entry.poll_started - entry.added
        match reply:
            case CachedProcessing() | Processing():
                self._record_reply(entry, reply)
                step = self._family_pace(entry).step(age, jitter, eta=entry.eta)
                if entry.webhook is not None:
                    step = self._webhook_step(entry.webhook, step)
                self._requeue(entry, max(entry.poll_started + step, now))
                return _NO_EFFECTS
            case Failed(reason="not_found") if age < self.limits.grace:
                self._requeue(entry, max(entry.poll_started + self.limits.step(age, jitter), now))
                return _NO_EFFECTS
            case Failed(reason="not_found"):
                return Effects(self._complete(entry, reply, now))
            case _:
                self._learn(entry, age)
                return Effects(self._complete(entry, reply, now))

    def _record_reply(self, entry: Entry, reply: CachedProcessing | Processing) -> None:
        entry.last_running = self._intern_moment(entry.poll_started)
        if entry.last is None and entry.expected_done is None and reply.eta:
            entry.expected_done = _interned_sum(entry.last_running, reply.eta)
        entry.last = reply

    def _webhook_step(self, webhook: WebhookState, step: float) -> float:
        """The step of a ticket that a webhook has to do with."""
        if webhook.expects_webhook:
            step = min(_WEBHOOK_STEP_FACTOR * step, self.limits.ceiling)
        if webhook.nudged_in_flight:
            # What was meant may have come after this reply was written.
            step, webhook.nudged_in_flight = min(step, self.limits.floor), False
        return step

    def _family_pace(self, entry: Entry) -> FamilyPace:
        return self.policy.for_family(entry.ticket.family)

    def _learn(self, entry: Entry, first_done: float | None) -> None:
        self._family_pace(entry).learn(entry.last_running - entry.added, first_done, entry.eta)

    def _on_rate_limit(
        self, entry: Entry, error: RateLimited, now: float, jitter: float
    ) -> Effects:
        entry.host_queue.reset_silence()
        pauses = entry.host_queue.record_pause(entry.poll_started)
        if self._is_open(entry):
            self._requeue(entry, now)
        retry_after = error.retry_after
        if not pauses and (
            retry_after is None or now + retry_after <= entry.host_queue.paused_until
        ):
            return _NO_EFFECTS
        seconds = (
            self.limits.backoff(pauses, jitter)
            if retry_after is None
            else max(retry_after, self.limits.floor)
        )
        # The limit is the key's: it holds for hosts too that are first asked while it lasts.
        self._tier_paused_until[entry.host_queue.tier] = now + seconds
        for host_queue in self._host_queues_of(entry.host_queue.tier):
            host_queue.pause(now, seconds)
        return Effects(paused=seconds)

    def _on_transient_error(
        self, entry: Entry, error: TransientError, now: float, jitter: float
    ) -> Effects:
        host_queue = entry.host_queue
        host_queue.last_error = error
        entry.poll_failures = PollFailures(entry.failures + 1, error)
        seconds = None
        if pauses := host_queue.record_failure(entry.poll_started, now):
            seconds = self.limits.backoff(pauses, jitter)
            host_queue.pause(now, seconds)
        if host_queue.silent_s >= self.limits.outage:
            self._refuse_open([host_queue], error)
            return self._complete_unresolved(entry, error, now)
        if not self._is_open(entry):
            return Effects(paused=seconds)
        if entry.failures < self.limits.max_failures:
            backoff = self.limits.backoff(entry.failures, jitter)
            self._requeue(entry, now + max(backoff, error.retry_after or 0.0))
            return Effects(paused=seconds)
        return Effects(self._complete(entry, _unresolved(entry, error), now), seconds)

    def _on_refusal(self, entry: Entry, error: ModelsLabError, now: float) -> Effects:
        entry.host_queue.reset_silence()
        match error:
            case AuthenticationError() | PaymentRequired():
                host_queues = self._host_queues_of(entry.host_queue.tier)
                for host_queue in host_queues:
                    host_queue.is_proven = False
                self._refuse_open(host_queues, error)
            case ConnectionImpossible():
                entry.host_queue.is_proven = False
                self._refuse_open([entry.host_queue], error)
            case PermissionDenied():
                entry.host_queue.record_answer(now)
                self._refuse_open([entry.host_queue], error, entry.ticket.family)
            case _:
                entry.host_queue.record_answer(now)
        return self._complete_unresolved(entry, error, now)

    def _refuse_open(
        self, host_queues: list[HostQueue], error: ModelsLabError, family: str | None = None
    ) -> None:
        for host_queue in host_queues:
            host_queue.refuse_open(error, family)
        self.has_pending_refusals = any(
            host_queue.has_pending_refusals for host_queue in self._host_queues.values()
        )

    def _complete_unresolved(self, entry: Entry, error: ModelsLabError, now: float) -> Effects:
        if not self._is_open(entry):
            return _NO_EFFECTS
        return Effects(self._complete(entry, _unresolved(entry, error), now))

    def _requeue(self, entry: Entry, due: float) -> None:
        entry.due = due
        entry.host_queue.push(entry)

    def _complete(self, entry: Entry, outcome: Outcome, now: float) -> Completion:
        watchers, entry.watchers = entry.watchers, ()
        del self._open[entry.ticket]
        if not self._open:
            self._sole_watcher = ()
        return Completion(outcome, watchers, entry.polls, now - entry.added)

    def _intern_moment(self, moment: float) -> float:
        """The moment, or one just before it that others have already."""
        if not 0.0 <= moment - self._last_moment < _SHARED_MOMENT_S:
            self._last_moment = moment
        return self._last_moment

    def _is_open(self, entry: Entry) -> bool:
        """Whether the entry counts still; an entry that nobody waits for is forgotten here."""
        if entry.watchers:
            return True
        if self._open.get(entry.ticket) is entry:
            del self._open[entry.ticket]
        return False

    def _next_poll_at(self, host_queue: HostQueue) -> float | None:
        when = host_queue.next_poll_at()
        if when is None or self.rate is None:
            return when
        return max(when, self._rates[host_queue.tier].next_allowed)

    def _host_queues_of(self, tier: Tier) -> list[HostQueue]:
        return [host_queue for host_queue in self._host_queues.values() if host_queue.tier == tier]


@lru_cache(maxsize=256)
def _interned_sum(moment: float, seconds: float) -> float:
    """Who is told the same at the same moment shares the sum."""
    return moment + seconds


def _unresolved(entry: Entry, error: ModelsLabError) -> Unresolved:
    last = as_processing(entry.last, entry.ticket) if entry.last else None
    return Unresolved(ticket=entry.ticket, cause=error.with_ticket(entry.ticket), last=last)
