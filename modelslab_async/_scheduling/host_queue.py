"""Lane: the open tickets of one key at one host, and whether they may be looked at now."""

import math
from typing import Protocol

from attrs import define, field, frozen

from .._models.errors import LookFault, ModelsLabError
from .._models.outcomes import Outcome
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.tier import Tier
from .._parsing.reply_cache import Pending
from .fair_queue import Crowd
from .policy import Limits

_OUTAGE = 10
_LONGEST_GAP = 120.0
_PROBE_PATIENCE = 1.0
_MOST_DOUBLINGS = 5
_NEVER = -math.inf


class Watcher(Protocol):
    """
    Somebody who waits for a ticket. The schedule hands watchers back, it never calls them.

    Attributes:
        follows: Whether every change is to be heard, or only how it ended.
    """

    @property
    def follows(self) -> bool: ...

    def hear(self, news: Processing | Outcome) -> None:
        """Take a change of a watched ticket, or how it ended."""

    def fail(self, error: BaseException) -> None:
        """Take the exception that broke the poller."""


@frozen(weakref_slot=False)
class Trouble:
    """The looks at one ticket that went wrong in a row: how many, and how the last one did."""

    faults: int
    fault: LookFault


@define(eq=False, weakref_slot=False)
class Hook:
    """
    What a webhook has to do with one ticket.

    Attributes:
        calm: Whether a webhook is to tell of its end.
        nudged: Whether one came while the ticket was looked at.
        heeded: When the ticket was, or will be, looked at because one came.
    """

    calm: bool = False
    nudged: bool = False
    heeded: float = -math.inf


@define(eq=False, weakref_slot=False)
class Entry:
    """
    One open ticket: one entry, however many watchers.

    A million of them fit into memory: what few tickets have stands in objects of its own, and many
    entries share one number of each moment.

    Attributes:
        due: When it is to be looked at, or was to be if that is going on.
        began: When the look that is going on began.
        running: When it was last seen running, or else when it was added.
        over: When the server first said that it would be over, if it did.
    """

    ticket: Ticket
    lane: "Lane"
    added: float
    due: float
    watchers: tuple[Watcher, ...]
    running: float
    over: float | None = None
    began: float = _NEVER
    looks: int = 0
    trouble: Trouble | None = None
    hook: Hook | None = None
    last: Processing | Pending | None = None

    @property
    def lined_up(self) -> bool:
        """Whether no look is going on."""
        return self.began == _NEVER

    @property
    def eta(self) -> float | None:
        """The age at which the server said that it would be over."""
        return None if self.over is None else self.over - self.added

    @property
    def faults(self) -> int:
        """How many looks in a row went wrong."""
        return self.trouble.faults if self.trouble else 0


@define(eq=False)
class Doom:
    """
    A refusal, and whom it meets: everything that was open when it came, or one family of that.

    The entries are ended a few at a time, since ending a million at once would hold the event loop.
    """

    error: ModelsLabError
    entries: list[Entry]
    # Who was looked at when it came may be back in line by now; who stood in line is taken out.
    flying: bool


@define(eq=False)
class Lane:
    """
    The tickets of one key at one host share one fate: they are refused, slowed or cut off together.

    A lane that has not been answered yet, or not since it was paused, is unproven: it lets one look
    out at a time, and rarer and rarer ones beside those that hang. So a bad key costs one request
    however many tickets wait, and a server that is down is asked by one of them. What fell due
    meanwhile goes out bit by bit afterwards.
    """

    tier: Tier
    host: str
    pace: Limits
    paused_until: float = -math.inf
    proven: bool = False
    fault: LookFault | None = None
    silence: float = 0.0
    _paused_at: float = -math.inf
    _probed_at: float = -math.inf
    _faulted_at: float = math.inf
    _setbacks: int = 0
    _streak: int = 0
    _halted: bool = False
    _flying: set[Entry] = field(factory=set[Entry], repr=False)
    _dooms: list[Doom] = field(factory=list[Doom], repr=False)
    _crowd: Crowd[Entry] = field(factory=Crowd[Entry], repr=False)

    def push(self, entry: Entry) -> None:
        """Line an entry up by its due time."""
        entry.began = _NEVER
        self._crowd.push(entry)

    def forget(self, entry: Entry) -> None:
        """Let go of an entry that nobody watches."""
        if entry.lined_up:
            self._crowd.forget(entry)

    def next_look(self) -> float | None:
        """When the next look may go out, as far as is known now; None if nothing is lined up."""
        due = self._crowd.when()
        if due is None:
            return None
        when = max(due, self.paused_until)
        if self.proven or not self._flying:
            return when
        # The more of them hang, the less another one would tell.
        doublings = min(len(self._flying) - 1, _MOST_DOUBLINGS)
        return max(when, self._probed_at + _PROBE_PATIENCE * (1 << doublings))

    def take(self, now: float) -> Entry:
        """Let the entry out whose turn it is. Only after `next_look` said that it may go."""
        entry = self._crowd.pop(now, lambda entry: self.pace.step(now - entry.added, 0.0))
        entry.began = self._probed_at = now
        entry.looks += 1
        self._flying.add(entry)
        return entry

    def stood_still(self, now: float, seconds: float) -> None:
        """For so long nothing was looked at, though nothing was wrong: the machine slept."""
        when = self._crowd.when() if self.proven else None
        if when is not None and when < now - seconds:
            self._crowd.resume(now)

    def put_back(self, entry: Entry) -> None:
        """Take an entry back that was let out and not looked at."""
        self._flying.discard(entry)
        entry.looks -= 1

    def back(self, entry: Entry) -> None:
        """Take an entry back whose look is over, however it ended."""
        self._flying.discard(entry)

    def spoke(self) -> None:
        """The server said something, if only no: it is not silent."""
        self.silence = 0.0
        self._faulted_at = math.inf
        self.fault = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is looked at and nothing lined up."""
        return not self._flying and self.next_look() is None

    def answered(self, now: float) -> None:
        """The server spoke: nothing is wrong with the key, the network or the host."""
        if self._halted:
            self._halted = False
            self._crowd.resume(now)
        self.proven = True
        self.spoke()
        self._streak = self._setbacks = 0

    def doom(self, error: ModelsLabError, family: str | None) -> None:
        """End what is open now, or one family of it: `reap` hands it out."""
        self._dooms = [doom for doom in self._dooms if doom.entries]
        met = [entry for entry in self._flying if family in (None, entry.ticket.family)]
        lined_up = self._crowd.drain(family)
        self._dooms += [Doom(error, met, flying=True), Doom(error, lined_up, flying=False)]

    @property
    def doomed(self) -> bool:
        """Whether there is something to reap."""
        return any(doom.entries for doom in self._dooms)

    def reap(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """Some of the doomed entries, each with its refusal."""
        doom = next(doom for doom in self._dooms if doom.entries)
        some = doom.entries[-limit:]
        del doom.entries[-limit:]
        watched = [entry for entry in some if entry.watchers]
        if doom.flying:
            for entry in watched:
                self.forget(entry)
        else:
            self._crowd.strike([entry for entry in some if not entry.watchers])
        return [(entry, doom.error) for entry in watched]

    def faulted(self, began: float, now: float) -> int:
        """Count a look that went wrong; say how many pauses in a row that makes, 0 for none."""
        # Time that passed without a look, as while a machine sleeps, is no silence of the server.
        self.silence += min(max(0.0, now - self._faulted_at), _LONGEST_GAP)
        self._faulted_at = now
        self._streak += 1
        if self.proven and self._streak < _OUTAGE:
            return 0
        return self.set_back(began)

    def set_back(self, began: float) -> int:
        """Count a pause, unless the look began before the last pause: it says nothing new."""
        if began < self._paused_at:
            return 0
        self._setbacks += 1
        return self._setbacks

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing out for some seconds, and then one look alone."""
        self.proven = False
        self._halted = True
        self._paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)
