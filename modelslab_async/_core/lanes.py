"""Lane: the open tickets of one key at one host, and whether they may be looked at now."""

import math
from typing import Protocol

from attrs import define, field

from .errors import LookFault, ModelsLabError
from .families import Tier
from .lines import Item, Line
from .outcomes import Outcome
from .pending import Pending
from .replies import Processing
from .rules import Limits
from .tickets import Ticket

_OUTAGE = 10
_LONGEST_GAP = 120.0
_PROBE_PATIENCE = 1.0


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


@define(eq=False, weakref_slot=False)
class Entry:
    """
    One open ticket: one entry, however many watchers. A million of them fit into memory.

    Its `eta` is the age at which the server first said that it would be over, and `running` the
    age at which it was last seen running.
    """

    ticket: Ticket
    lane: "Lane"
    added: float
    due: float
    watchers: tuple[Watcher, ...]
    began: float = 0.0
    looks: int = 0
    faults: int = 0
    lined_up: bool = False
    calm: bool = False
    nudged: bool = False
    heeded: float = -math.inf
    eta: float | None = None
    running: float = 0.0
    fault: LookFault | None = None
    last: Processing | Pending | None = None

    def __lt__(self, other: "Entry") -> bool:
        return self.added < other.added


@define(eq=False)
class Doom:
    """
    A refusal, and whom it meets: everything that was open when it came, or one family of that.

    The entries are ended a few at a time, since ending a million at once would hold the event loop.
    """

    error: ModelsLabError
    family: str | None
    entries: list[Item[Entry]]

    def meets(self, entry: Entry) -> bool:
        """Whether this refusal is this entry's too."""
        return self.family is None or self.family == entry.ticket.family


@define(eq=False)
class Lane:
    """
    The tickets of one key at one host share one fate: they are refused, slowed or cut off together.

    A lane that has not been answered yet, or not since it was paused, is unproven: it lets one look
    out at a time. So a bad key costs one request however many tickets wait, and a server that is
    down is asked by one of them. What fell due meanwhile goes out bit by bit afterwards.
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
    _line: Line[Entry] = field(factory=Line[Entry], repr=False)

    def push(self, entry: Entry) -> None:
        """Line an entry up by its due time."""
        entry.lined_up = True
        self._line.push(entry.due, entry)

    def forget(self, entry: Entry) -> None:
        """Let go of an entry that nobody watches."""
        if entry.lined_up:
            entry.lined_up = False
            self._line.forget()

    def next_look(self) -> float | None:
        """When the next look may go out, as far as is known now; None if nothing is lined up."""
        due = self._line.when()
        if due is None:
            return None
        when = max(due, self.paused_until)
        if self.proven or not self._flying:
            return when
        return max(when, self._probed_at + _PROBE_PATIENCE)

    def due(self, now: float) -> float:
        """When the most overdue entry was due. Only after `next_look` said that it may go."""
        return self._line.due(now)

    def take(self, now: float) -> Entry:
        """Let the most overdue entry out. Only after `next_look` said that it may go."""
        entry = self._line.pop(now, lambda entry: self.pace.step(now - entry.added, 0.0))
        entry.began = self._probed_at = now
        entry.lined_up = False
        entry.looks += 1
        self._flying.add(entry)
        return entry

    def stood_still(self, now: float, seconds: float) -> None:
        """For so long nothing was looked at, though nothing was wrong: the machine slept."""
        when = self._line.when() if self.proven else None
        if when is not None and when < now - seconds:
            self._line.resume(now)

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
            self._line.resume(now)
        self.proven = True
        self.spoke()
        self._streak = self._setbacks = 0

    def doom(self, error: ModelsLabError, family: str | None) -> None:
        """End what is open now, or one family of it: `reap` hands it out."""
        self._dooms = [doom for doom in self._dooms if doom.entries]
        doom = Doom(error, family, self._line.drain())
        doom.entries.extend((0.0, entry) for entry in self._flying if doom.meets(entry))
        self._dooms.append(doom)

    @property
    def doomed(self) -> bool:
        """Whether there is something to reap."""
        return any(doom.entries for doom in self._dooms)

    def reap(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """Some of the doomed entries, each with its refusal; the others go back in line."""
        doom = next(doom for doom in self._dooms if doom.entries)
        some = doom.entries[-limit:]
        del doom.entries[-limit:]
        watched = [item for item in some if item[1].watchers]
        for item in watched:
            if not doom.meets(item[1]):
                self._line.push(*item)
        return [(entry, doom.error) for _, entry in watched if doom.meets(entry)]

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
