"""
Schedule: the state machine of all open tickets. It decides when each ticket is polled.

A ticket has one entry here, from `add` until it ends or its last watcher leaves:

    state      event                          next state
    -          add                            queued
    queued     take, once it is due           in flight
    queued     drop of the last watcher       forgotten
    queued     nudge                          queued, due now
    in flight  drop of the last watcher       in flight; its reply only updates the host
    in flight  return_unpolled                queued
    in flight  feed: still running            queued, one step of the pace later
    in flight  feed: not found, new ticket    queued, one step of the pace later
    in flight  feed: success or failure       ended
    in flight  feed: a failed poll            queued or ended: see failure_reactions
    in flight  end_unresolved                 ended
    any        a refusal that concerns it     ended by pop_refused, a few at a time
    any        close                          ended, a few at a time

A call that ends a ticket returns its `Completion`. The caller passes in the time and the jitter.
"""

import math
from collections.abc import Set as AbstractSet
from copy import copy

from attrs import Factory, define

from .._models.errors import ClientClosed, ModelsLabError, TransientError, TransportError
from .._models.key_kind import Tier
from .._models.replies import Failed, Processing, Reply, Success
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .._parsing.reply import CachedProcessing, as_processing
from .effects import NO_EFFECTS, Completion, Effects
from .failure_reactions import react_to_failure
from .host_queue import Entry, WebhookState
from .hosts import Hosts
from .initial_ticket_facts import NO_FACTS, InitialTicketFacts
from .pace_protocol import PacePolicy
from .reply_reactions import SharedFloats, learn_end, react_to_reply
from .watcher_protocol import Watcher

# If a due poll does not start for this many seconds, the process was probably suspended.
_MIN_STALL_S = 5.0
# The maximum number of entries that one call of `close` goes through, including entries without
# watchers.
_MAX_SCANNED_PER_CLOSE = 4096
_FINAL_REPLIES = (Success, Failed)
_NO_WATCHERS: frozenset[Watcher] = frozenset()


@define(eq=False)
class Schedule:
    """
    The open tickets of one client.

    Args:
        policy: Decides when each ticket is polled.
        hosts: The queues of the tickets at all hosts.
    """

    policy: PacePolicy
    hosts: Hosts = Factory(lambda self: Hosts(self.policy.limits), takes_self=True)
    _open: dict[Ticket, Entry] = Factory(dict)
    _floats: SharedFloats = Factory(SharedFloats)
    _sole_watcher: tuple[Watcher, ...] = ()
    _checked_at: float = math.inf
    _closing: list[Entry] | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def has_pending_refusals(self) -> bool:
        """Whether `pop_refused` still has refused tickets to end."""
        return self.hosts.has_pending_refusals

    def add(
        self,
        ticket: Ticket,
        watcher: Watcher,
        *,
        tier: Tier,
        host: str,
        now: float,
        jitter: float,
        facts: InitialTicketFacts = NO_FACTS,
    ) -> None:
        """Add a watcher to a ticket. If the ticket is open already, `facts` has no effect."""
        entry = self._open.get(ticket)
        if entry is not None:
            entry.watchers += (watcher,)
            return
        family_pace = self.policy.for_family(ticket.family)
        # To save memory, tickets added within a millisecond share one float object for the time.
        added = self._floats.moment(now)
        due = added + family_pace.first_step(facts.eta, jitter, just_submitted=facts.just_submitted)
        host_queue = self.hosts.queue_for(tier, host)
        if not host_queue.health.is_answering and host_queue.is_idle:
            # The host was not polled for a while, so earlier failures say nothing about its state
            # now.
            host_queue.health.reset_silence()
        if not self._sole_watcher or self._sole_watcher[0] is not watcher:
            self._sole_watcher = (watcher,)
        entry = Entry(ticket, host_queue, added, due, self._sole_watcher, last_running=added)
        if facts.eta is not None:
            entry.expected_done = self._floats.sum(added, facts.eta)
        if facts.expects_webhook:
            entry.webhook = WebhookState(expects_webhook=True)
        host_queue.push(entry)
        self._open[ticket] = entry

    def drop(self, ticket: Ticket, watcher: Watcher) -> Exception | None:
        """Remove a watcher. If none is left, forget the ticket. Return any error of the pace."""
        entry = self._open.get(ticket)
        if entry is None or watcher not in entry.watchers:
            return None
        if len(entry.watchers) == 1:
            entry.watchers = ()
        else:
            entry.watchers = tuple(other for other in entry.watchers if other is not watcher)
        # While a poll is in flight, its entry stays, so that a new watcher can use the reply.
        if entry.watchers or not entry.is_queued:
            return None
        del self._open[ticket]
        entry.host_queue.mark_stale(entry)
        return learn_end(self.policy, entry, None)

    def nudge(self, ticket: Ticket, now: float, gap: float, *, is_hint: bool) -> bool:
        """
        Make an open ticket due now. Keep hints, such as webhooks, at least `gap` seconds apart.

        Args:
            ticket: The ticket. If it is not open, nothing happens.
            now: The current time.
            gap: The minimum number of seconds between two due times that hints set.
            is_hint: Whether this call is a hint that the ticket has probably just ended. If a poll
                is in flight when a hint comes, another poll follows soon.

        Returns:
            Whether the ticket is due sooner than before.
        """
        if (entry := self._open.get(ticket)) is None:
            return False
        webhook = entry.webhook = entry.webhook or WebhookState()
        if not entry.is_queued:
            webhook.nudged_in_flight = webhook.nudged_in_flight or is_hint
            return False
        due = max(now, webhook.last_hint_due + gap) if is_hint else now
        if entry.due <= due:
            return False
        if is_hint:
            webhook.last_hint_due = due
        # A queue cannot move an entry. So queue a copy, and let the old entry become stale.
        replacement = self._open[ticket] = copy(entry)
        entry.watchers = ()
        entry.host_queue.mark_stale(entry)
        self._requeue(replacement, due)
        return True

    def last(self, ticket: Ticket) -> Processing | None:
        """Return the latest reply for a ticket; None if it is not open or has no reply yet."""
        entry = self._open.get(ticket)
        return as_processing(entry.last, ticket) if entry and entry.last else None

    def last_error(self, ticket: Ticket) -> TransientError | None:
        """Return the latest poll error of the ticket, or else of its host; None for no error."""
        if (entry := self._open.get(ticket)) is None:
            return None
        if entry.poll_failures:
            return entry.poll_failures.last_error
        return entry.host_queue.health.last_error

    def next_poll_at(self) -> float | None:
        """Return the time at which `take` may return an entry; None if no entry is queued."""
        return self.hosts.next_poll_at()

    def take(self, now: float) -> Entry | None:
        """Remove and return the next entry, to poll it. Return None if no poll may start now."""
        self._check_stall(now)
        return self.hosts.take(now)

    def return_unpolled(self, entry: Entry, now: float) -> None:
        """Queue an entry that was taken but not polled. It is due a little later."""
        self.hosts.finish_poll(entry, now, is_answered=False)
        entry.host_queue.return_unpolled(entry)
        if self._is_open(entry):
            self._requeue(entry, now + self.policy.limits.floor)

    def feed(
        self,
        entry: Entry,
        result: Reply | CachedProcessing | ModelsLabError,
        now: float,
        jitter: float,
    ) -> Effects:
        """Record the result of one poll, and return what it changed."""
        self._check_stall(now)
        self.hosts.finish_poll(entry, now, is_answered=not isinstance(result, TransportError))
        if not isinstance(result, ModelsLabError):
            if not entry.host_queue.health.is_answering:
                entry.host_queue.record_answer(now)
            entry.poll_failures = None
            if not (entry.watchers or self._is_open(entry)):
                return NO_EFFECTS
            due = react_to_reply(self.policy, entry, result, jitter, self._floats)
            if isinstance(due, _FINAL_REPLIES):
                pace_error = learn_end(self.policy, entry, due)
                return Effects(self._complete(entry, due, now), pace_error=pace_error)
            self._requeue(entry, max(due, now))
            return NO_EFFECTS
        reaction = react_to_failure(self.hosts, entry, result, now, jitter)
        if not self._is_open(entry):
            return Effects(paused=reaction.paused)
        if reaction.retry_at is not None:
            self._requeue(entry, reaction.retry_at)
            return Effects(paused=reaction.paused)
        return Effects(self._complete(entry, _unresolved(entry, result), now), reaction.paused)

    def end_unresolved(self, entry: Entry, error: ModelsLabError, now: float) -> Completion | None:
        """End a ticket whose poll raised an unexpected error. Return None if it was not open."""
        self.hosts.finish_poll(entry, now, is_answered=False)
        if not self._is_open(entry) or self._open.get(entry.ticket) is not entry:
            return None
        entry.host_queue.mark_stale(entry)
        return self._complete(entry, _unresolved(entry, error), now)

    def pop_refused(self, limit: int, now: float) -> list[Completion]:
        """Complete tickets that the server refused, but no more than `limit` of them."""
        return [
            self._complete(entry, _unresolved(entry, error), now)
            for entry, error in self.hosts.pop_refused(limit)
        ]

    def close(
        self,
        error: ClientClosed,
        limit: int,
        now: float,
        left: AbstractSet[Watcher] = _NO_WATCHERS,
    ) -> list[Completion]:
        """
        End at most `limit` open tickets, and stop all polls. Call this until no ticket is open.

        The watchers in `left` get no outcome, because their callers have stopped waiting. A ticket
        that has only such watchers is forgotten, which is faster than ending the ticket.
        """
        if self._closing is None:
            # Copy the entries into a list, because a dict whose first keys were deleted is slow to
            # iterate.
            self._closing = list(reversed(self._open.values()))
            self.hosts.clear()
        completions: list[Completion] = []
        for _ in range(min(_MAX_SCANNED_PER_CLOSE, len(self._closing))):
            if len(completions) == limit:
                break
            entry = self._closing.pop()
            if left:
                entry.watchers = tuple(each for each in entry.watchers if each not in left)
            if self._is_open(entry):
                completions.append(self._complete(entry, _unresolved(entry, error), now))
        return completions

    def abandon(self) -> list[Watcher]:
        """Forget all tickets, and return their watchers."""
        watchers = [watcher for entry in self._open.values() for watcher in entry.watchers]
        self._open.clear()
        self.hosts.clear()
        return watchers

    def _check_stall(self, now: float) -> None:
        if now - self._checked_at > _MIN_STALL_S:
            self.hosts.note_stall(now, _MIN_STALL_S)
        self._checked_at = now

    def _requeue(self, entry: Entry, due: float) -> None:
        entry.due = due
        entry.host_queue.push(entry)

    def _complete(self, entry: Entry, outcome: Outcome, now: float) -> Completion:
        watchers, entry.watchers = entry.watchers, ()
        del self._open[entry.ticket]
        if not self._open:
            self._sole_watcher = ()
        return Completion(outcome, watchers, entry.polls, now - entry.added, bool(entry.last))

    def _is_open(self, entry: Entry) -> bool:
        """Return whether an entry has a watcher. If it has none, forget the entry."""
        if entry.watchers:
            return True
        if self._open.get(entry.ticket) is entry:
            del self._open[entry.ticket]
        return False


def _unresolved(entry: Entry, error: ModelsLabError) -> Unresolved:
    last = as_processing(entry.last, entry.ticket) if entry.last else None
    return Unresolved(ticket=entry.ticket, cause=error.with_ticket(entry.ticket), last=last)
