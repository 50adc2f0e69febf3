"""Lane: the open tickets of one key at one host, and whether they may be looked at now."""

import math
from typing import Protocol

from attrs import define, field, frozen

from .._models.errors import ModelsLabError, TransientError
from .._models.outcomes import Outcome
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import CachedProcessing
from .fair_queue import FairQueue
from .policy import RetryLimits

_FAILURES_BEFORE_PAUSE = 10
_MAX_SILENCE_GAP_S = 120.0
_PROBE_INTERVAL_S = 1.0
_MAX_PROBE_DOUBLINGS = 5
_NEVER = -math.inf


class Watcher(Protocol):
    """
    Somebody who waits for a ticket. The schedule hands watchers back, it never calls them.

    Attributes:
        wants_updates: Whether every change is to be heard, or only how it ended.
    """

    @property
    def wants_updates(self) -> bool: ...

    def notify(self, update: Processing | Outcome) -> None:
        """Take a change of a watched ticket, or how it ended."""

    def fail(self, error: BaseException) -> None:
        """Take the exception that broke the poller."""


@frozen(weakref_slot=False)
class PollFailures:
    """The looks at one ticket that went wrong in a row: how many, and how the last one did."""

    failures: int
    last_error: TransientError


@define(eq=False, weakref_slot=False)
class WebhookState:
    """
    What a webhook has to do with one ticket.

    Attributes:
        expects_webhook: Whether a webhook is to tell of its end.
        nudged_in_flight: Whether one came while the ticket was looked at.
        last_nudge_due: When the ticket was, or will be, looked at because one came.
    """

    expects_webhook: bool = False
    nudged_in_flight: bool = False
    last_nudge_due: float = -math.inf


@define(eq=False, weakref_slot=False)
class Entry:
    """
    One open ticket: one entry, however many watchers.

    A million of them fit into memory: what few tickets have stands in objects of its own, and many
    entries share one number of each moment.

    Attributes:
        due: When it is to be looked at, or was to be if that is going on.
        poll_started: When the look that is going on began.
        last_running: When it was last seen running, or else when it was added.
        expected_done: When the server first said that it would be over, if it did.
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
        """Whether no look is going on."""
        return self.poll_started == _NEVER

    @property
    def eta(self) -> float | None:
        """The age at which the server said that it would be over."""
        return None if self.expected_done is None else self.expected_done - self.added

    @property
    def failures(self) -> int:
        """How many looks in a row went wrong."""
        return self.poll_failures.failures if self.poll_failures else 0


@define(eq=False)
class PendingRefusal:
    """
    A refusal, and whom it meets: everything that was open when it came, or one family of that.

    The entries are ended a few at a time, since ending a million at once would hold the event loop.
    """

    error: ModelsLabError
    entries: list[Entry]
    # Who was looked at when it came may be back in line by now; who stood in line is taken out.
    in_flight: bool


@define(eq=False)
class HostQueue:
    """
    The tickets of one key at one host share one fate: they are refused, slowed or cut off together.

    A lane that has not been answered yet, or not since it was paused, is unproven: it lets one look
    out at a time, and rarer and rarer ones beside those that hang. So a bad key costs one request
    however many tickets wait, and a server that is down is asked by one of them. What fell due
    meanwhile goes out bit by bit afterwards.
    """

    tier: Tier
    host: str
    limits: RetryLimits
    paused_until: float = -math.inf
    is_proven: bool = False
    last_error: TransientError | None = None
    silent_s: float = 0.0
    _paused_at: float = -math.inf
    _probed_at: float = -math.inf
    _failed_at: float = math.inf
    _pause_streak: int = 0
    _failure_streak: int = 0
    _was_paused: bool = False
    _in_flight: set[Entry] = field(factory=set[Entry], repr=False)
    _pending_refusals: list[PendingRefusal] = field(factory=list[PendingRefusal], repr=False)
    _fair_queue: FairQueue[Entry] = field(factory=FairQueue[Entry], repr=False)

    def push(self, entry: Entry) -> None:
        """Line an entry up by its due time."""
        entry.poll_started = _NEVER
        self._fair_queue.push(entry)

    def mark_stale(self, entry: Entry) -> None:
        """Let go of an entry that nobody watches."""
        if entry.is_queued:
            self._fair_queue.mark_stale(entry)

    def next_poll_at(self) -> float | None:
        """When the next look may go out, as far as is known now; None if nothing is lined up."""
        due = self._fair_queue.next_due()
        if due is None:
            return None
        next_due = max(due, self.paused_until)
        if self.is_proven or not self._in_flight:
            return next_due
        # The more of them hang, the less another one would tell.
        doublings = min(len(self._in_flight) - 1, _MAX_PROBE_DOUBLINGS)
        return max(next_due, self._probed_at + _PROBE_INTERVAL_S * (1 << doublings))

    def take(self, now: float) -> Entry:
        """Let the entry out whose turn it is. Only after `next_look` said that it may go."""
        entry = self._fair_queue.pop(now, lambda entry: self.limits.step(now - entry.added, 0.0))
        entry.poll_started = self._probed_at = now
        entry.polls += 1
        self._in_flight.add(entry)
        return entry

    def note_stall(self, now: float, seconds: float) -> None:
        """For so long nothing was looked at, though nothing was wrong: the machine slept."""
        next_due = self._fair_queue.next_due() if self.is_proven else None
        if next_due is not None and next_due < now - seconds:
            self._fair_queue.spread_backlog(now)

    def return_unpolled(self, entry: Entry) -> None:
        """Take an entry back that was let out and not looked at."""
        self._in_flight.discard(entry)
        entry.polls -= 1

    def finish_poll(self, entry: Entry) -> None:
        """Take an entry back whose look is over, however it ended."""
        self._in_flight.discard(entry)

    def reset_silence(self) -> None:
        """The server said something, if only no: it is not silent."""
        self.silent_s = 0.0
        self._failed_at = math.inf
        self.last_error = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is looked at and nothing lined up."""
        return not self._in_flight and self.next_poll_at() is None

    def record_answer(self, now: float) -> None:
        """The server spoke: nothing is wrong with the key, the network or the host."""
        if self._was_paused:
            self._was_paused = False
            self._fair_queue.spread_backlog(now)
        self.is_proven = True
        self.reset_silence()
        self._failure_streak = self._pause_streak = 0

    def refuse_open(self, error: ModelsLabError, family: str | None) -> None:
        """End what is open now, or one family of it: `reap` hands it out."""
        self._pending_refusals = [refusal for refusal in self._pending_refusals if refusal.entries]
        refused = [entry for entry in self._in_flight if family in (None, entry.ticket.family)]
        is_queued = self._fair_queue.drain(family)
        self._pending_refusals += [
            PendingRefusal(error, refused, in_flight=True),
            PendingRefusal(error, is_queued, in_flight=False),
        ]

    @property
    def has_pending_refusals(self) -> bool:
        """Whether there is something to reap."""
        return any(refusal.entries for refusal in self._pending_refusals)

    def pop_refused(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """Some of the doomed entries, each with its refusal."""
        refusal = next(refusal for refusal in self._pending_refusals if refusal.entries)
        some = refusal.entries[-limit:]
        del refusal.entries[-limit:]
        watched = [entry for entry in some if entry.watchers]
        if refusal.in_flight:
            for entry in watched:
                self.mark_stale(entry)
        else:
            self._fair_queue.unmark_stale([entry for entry in some if not entry.watchers])
        return [(entry, refusal.error) for entry in watched]

    def record_failure(self, poll_started: float, now: float) -> int:
        """Count a look that went wrong; say how many pauses in a row that makes, 0 for none."""
        # Time that passed without a look, as while a machine sleeps, is no silence of the server.
        self.silent_s += min(max(0.0, now - self._failed_at), _MAX_SILENCE_GAP_S)
        self._failed_at = now
        self._failure_streak += 1
        if self.is_proven and self._failure_streak < _FAILURES_BEFORE_PAUSE:
            return 0
        return self.record_pause(poll_started)

    def record_pause(self, poll_started: float) -> int:
        """Count a pause, unless the look began before the last pause: it says nothing new."""
        if poll_started < self._paused_at:
            return 0
        self._pause_streak += 1
        return self._pause_streak

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing out for some seconds, and then one look alone."""
        self.is_proven = False
        self._was_paused = True
        self._paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)
