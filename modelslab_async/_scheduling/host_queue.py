"""
HostQueue: the open tickets of one API key at one host, and when the next poll may start.

A pause applies to all these tickets. Families take turns, so that a long queue of one family does
not delay another family.
"""

import math

from attrs import define, field, frozen

from .._models.errors import ModelsLabError, TransientError
from .._models.key_kind import Tier
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._parsing.reply import CachedProcessing
from .family_queue import FamilyQueue
from .host_health import HostHealth
from .pace_protocol import RetryLimits
from .watcher_protocol import Watcher

_PROBE_INTERVAL_S = 1.0
_MAX_PROBE_DOUBLINGS = 5
_NEVER = -math.inf


@frozen(weakref_slot=False)
class PollFailures:
    """How many polls of one ticket failed in a row, and the latest error."""

    failures: int
    last_error: TransientError


@define(eq=False, weakref_slot=False)
class WebhookState:
    """
    What is known about the webhooks for one ticket.

    Attributes:
        expects_webhook: Whether a webhook will report the ticket's end, so that polls can be rarer.
        nudged_in_flight: Whether a webhook or `Client.nudge` asked for another poll while a poll
            was in flight.
        last_hint_due: The due time that the ticket got from the latest webhook or `Client.nudge`.
    """

    expects_webhook: bool = False
    nudged_in_flight: bool = False
    last_hint_due: float = -math.inf


@define(eq=False, weakref_slot=False)
class Entry:
    """
    One open ticket, with one or more watchers.

    A million entries must fit into memory. So data that few entries need is in separate objects,
    and entries share the float objects of their times.

    Attributes:
        due: The time at which the next poll is due, or at which the poll in flight was due.
        poll_started: The time at which the poll in flight started; -inf if no poll is in flight.
        last_running: The time of the latest poll that saw the job running. If no poll did, it is
            the time at which the ticket was added.
        expected_done: The time at which the job ends if the server's first eta is right; None for
            no eta.
    """

    ticket: Ticket
    host_queue: "HostQueue"
    added: float
    due: float
    watchers: tuple[Watcher, ...]
    last_running: float
    expected_done: float | None = None
    poll_started: float = _NEVER
    polls: int = 0
    poll_failures: PollFailures | None = None
    webhook: WebhookState | None = None
    last: Processing | CachedProcessing | None = None

    @property
    def is_queued(self) -> bool:
        """Whether the ticket is in the queue. If false, a poll of the ticket is in flight."""
        return self.poll_started == _NEVER

    @property
    def eta(self) -> float | None:
        """The age in seconds at which the server expects the job to be done; None for no eta."""
        return None if self.expected_done is None else self.expected_done - self.added

    @property
    def failures(self) -> int:
        """The number of failed polls in a row."""
        return self.poll_failures.failures if self.poll_failures else 0


@define(eq=False)
class PendingRefusal:
    """
    A refusal by the server, and the tickets that still have to be ended because of it.

    Ending a million tickets at once would block the event loop, so a few are ended at a time.

    Attributes:
        error: The error of the refusal.
        entries: The entries of the tickets that have not ended yet.
        was_in_flight: Whether the polls of these entries were in flight when the refusal came. If
            true, some entries may be back in the queue by now. If false, they were in the queue,
            and have already been removed from it.
    """

    error: ModelsLabError
    entries: list[Entry]
    was_in_flight: bool


@define(eq=False)
class HostQueue:
    """
    The open tickets of one API key at one host, in one queue for each family.

    The next poll is for the family that has waited longest for a poll. Within the family, it is for
    the most overdue ticket.
    """

    tier: Tier
    host: str
    limits: RetryLimits
    health: HostHealth = field(factory=HostHealth)
    _probed_at: float = -math.inf
    _in_flight: set[Entry] = field(factory=set[Entry], repr=False)
    _pending_refusals: list[PendingRefusal] = field(factory=list[PendingRefusal], repr=False)
    _queues: dict[str, FamilyQueue[Entry]] = field(
        factory=dict[str, FamilyQueue[Entry]], repr=False
    )
    # The next due time is cached, because each poll needs it several times.
    _next_due: float | None = None
    _is_next_due_known: bool = True

    def push(self, entry: Entry) -> None:
        """
        Queue an entry, to be polled at its due time.

        Raises:
            ValueError: The due time is NaN, which would break the order of the queue.
        """
        if entry.due != entry.due:  # Only NaN differs from itself.
            raise ValueError("the pace gave nan for the seconds until the next poll")
        entry.poll_started = _NEVER
        queue = self._queues.get(entry.ticket.family)
        if queue is None:
            queue = self._queues[entry.ticket.family] = FamilyQueue()
        queue.push(entry)
        if queue.has_backlog:
            self._is_next_due_known = False
        elif self._is_next_due_known and (self._next_due is None or entry.due < self._next_due):
            self._next_due = entry.due

    def mark_stale(self, entry: Entry) -> None:
        """Record that an entry has lost its last watcher. The queue drops the entry later."""
        if entry.is_queued:
            self._queues[entry.ticket.family].mark_stale()
            self._is_next_due_known = False

    def next_poll_at(self) -> float | None:
        """Return the earliest known time at which a poll may start; None if nothing is queued."""
        due = self._next_due if self._is_next_due_known else self._find_next_due()
        if due is None:
            return None
        due = max(due, self.health.paused_until)
        if self.health.is_proven or not self._in_flight:
            return due
        # Double the delay after each probe without an answer, because the host is probably down.
        doublings = min(len(self._in_flight) - 1, _MAX_PROBE_DOUBLINGS)
        return max(due, self._probed_at + _PROBE_INTERVAL_S * (1 << doublings))

    def take(self, now: float) -> Entry:
        """
        Remove and return the next entry, to poll it.

        Call this only if the time from `next_poll_at` has come.
        """
        if len(self._queues) == 1:
            [queue] = self._queues.values()
            entry = queue.pop(now, self._step)
            self._next_due = queue.next_due()
        else:
            entry = self._pop_in_turn(now)
        entry.poll_started = self._probed_at = now
        entry.polls += 1
        self._in_flight.add(entry)
        return entry

    def return_unpolled(self, entry: Entry) -> None:
        """Record that an entry from `take` was not polled after all."""
        self._in_flight.discard(entry)
        entry.polls -= 1

    def finish_poll(self, entry: Entry) -> None:
        """Record that the poll of an entry has ended, with or without a reply."""
        self._in_flight.discard(entry)

    def record_answer(self, now: float) -> None:
        """Record an answer. If it ends a pause, spread out the polls that the pause delayed."""
        if self.health.record_answer():
            self._spread_backlog(now)

    def note_stall(self, now: float, seconds: float) -> None:
        """Spread out the polls that became due while the process was suspended."""
        next_due = self._find_next_due() if self.health.is_proven else None
        if next_due is not None and next_due < now - seconds:
            self._spread_backlog(now)

    @property
    def is_idle(self) -> bool:
        """Whether no ticket is in the queue and no poll is in flight."""
        return not self._in_flight and self._find_next_due() is None

    def refuse_open(self, error: ModelsLabError, family: str | None) -> None:
        """
        Mark the open tickets of one family, or of all families, as refused.

        `pop_refused` returns them, a few at a time.
        """
        self._pending_refusals = [refusal for refusal in self._pending_refusals if refusal.entries]
        in_flight = [entry for entry in self._in_flight if family in (None, entry.ticket.family)]
        queued = [
            entry
            for name, queue in self._queues.items()
            if family in (None, name)
            for entry in queue.drain()
        ]
        self._is_next_due_known = False
        self._pending_refusals += [
            PendingRefusal(error, in_flight, was_in_flight=True),
            PendingRefusal(error, queued, was_in_flight=False),
        ]

    @property
    def has_pending_refusals(self) -> bool:
        """Whether there are refused tickets that `pop_refused` has not returned yet."""
        return any(refusal.entries for refusal in self._pending_refusals)

    def pop_refused(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """Return up to `limit` refused entries that have a watcher, each with its error."""
        refusal = next(refusal for refusal in self._pending_refusals if refusal.entries)
        some = refusal.entries[-limit:]
        del refusal.entries[-limit:]
        for entry in some:
            if refusal.was_in_flight and entry.watchers:
                self.mark_stale(entry)
            elif not refusal.was_in_flight and not entry.watchers:
                # This entry had already left the queue when `mark_stale` counted it. So undo the
                # count.
                self._queues[entry.ticket.family].unmark_stale()
        return [(entry, refusal.error) for entry in some if entry.watchers]

    def _find_next_due(self) -> float | None:
        """Return the earliest due time of all families; None if nothing is queued."""
        if not self._is_next_due_known:
            earliest: float | None = None
            for queue in self._queues.values():
                due = queue.next_due()
                if due is not None and (earliest is None or due < earliest):
                    earliest = due
            self._next_due = earliest
            self._is_next_due_known = True
        return self._next_due

    def _pop_in_turn(self, now: float) -> Entry:
        """Remove and return the most overdue entry of the family that has waited longest."""
        family = next(name for name, queue in self._queues.items() if _is_due(queue, now))
        queue = self._queues[family] = self._queues.pop(family)
        self._is_next_due_known = False
        return queue.pop(now, self._step)

    def _step(self, entry: Entry, now: float) -> float:
        return self.limits.step(now - entry.added, 0.0)

    def _spread_backlog(self, now: float) -> None:
        for queue in self._queues.values():
            queue.spread_backlog(now)
        self._is_next_due_known = False


def _is_due(queue: FamilyQueue[Entry], now: float) -> bool:
    due = queue.next_due()
    return due is not None and due <= now
