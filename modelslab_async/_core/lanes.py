"""Lane: the open tickets of one key at one host, and whether they may be looked at now."""

import math
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Protocol, TypeAlias

from attrs import define, field

from .errors import LookFault, ModelsLabError
from .families import Tier
from .outcomes import Outcome
from .replies import Processing
from .tickets import Ticket

_OUTAGE = 10
_FEW = 64
_LONGEST_GAP = 120.0
_PROBE_PATIENCE = 1.0
_sequence = count()


class Watcher(Protocol):
    """Somebody who waits for a ticket. The schedule hands watchers back, it never calls them."""

    def hear(self, news: Processing | Outcome) -> None:
        """Take a change of a watched ticket, or how it ended."""

    def fail(self, error: BaseException) -> None:
        """Take the exception that broke the poller."""


@define(eq=False)
class Entry:
    """
    One open ticket: one entry, however many watchers.

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
    eta: float | None = None
    running: float = 0.0
    fault: LookFault | None = None
    last: Processing | None = None


_Heap: TypeAlias = list[tuple[float, int, Entry]]


@define(eq=False)
class Doom:
    """
    A refusal, and whom it meets: everything that was open when it came, or one family of that.

    The entries are ended a few at a time, since ending a million at once would hold the event loop.
    """

    error: ModelsLabError
    family: str | None
    entries: _Heap

    def meets(self, entry: Entry) -> bool:
        """Whether this refusal is this entry's too."""
        return self.family is None or self.family == entry.ticket.family


@define(eq=False)
class Lane:
    """
    The tickets of one key at one host share one fate: they are refused, slowed or cut off together.

    A lane that has not been answered yet, or not since it was paused, is unproven: it lets one look
    out at a time. So a bad key costs one request however many tickets wait, and a server that is
    down is asked by one of them.
    """

    tier: Tier
    host: str
    paused_until: float = -math.inf
    proven: bool = False
    fault: LookFault | None = None
    silence: float = 0.0
    _paused_at: float = -math.inf
    _probed_at: float = -math.inf
    _faulted_at: float = math.inf
    _setbacks: int = 0
    _streak: int = 0
    _stale: int = 0
    _flying: set[Entry] = field(factory=set[Entry], repr=False)
    _dooms: list[Doom] = field(factory=list[Doom], repr=False)
    _heap: _Heap = field(factory=_Heap, repr=False)

    def push(self, entry: Entry) -> None:
        """Line an entry up by its due time."""
        entry.lined_up = True
        heappush(self._heap, (entry.due, next(_sequence), entry))

    def forget(self, entry: Entry) -> None:
        """Let go of an entry that nobody watches; clear such ones away once they are the most."""
        if not entry.lined_up:
            return
        entry.lined_up = False
        self._stale += 1
        if self._stale > _FEW and self._stale * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].watchers]
            heapify(self._heap)
            self._stale = 0

    def next_look(self) -> float | None:
        """When the next look may go out, as far as is known now; None if nothing is lined up."""
        while self._heap and not self._heap[0][2].watchers:
            heappop(self._heap)
            self._stale -= 1
        if not self._heap:
            return None
        due = max(self._heap[0][0], self.paused_until)
        if self.proven or not self._flying:
            return due
        return max(due, self._probed_at + _PROBE_PATIENCE)

    @property
    def due(self) -> float:
        """When the first in line was due. Only after `next_look` said that there is one."""
        return self._heap[0][0]

    def take(self, now: float) -> Entry:
        """Let the most overdue entry out. Only after `next_look` said that it may go."""
        entry = heappop(self._heap)[2]
        entry.began = self._probed_at = now
        entry.lined_up = False
        entry.looks += 1
        self._flying.add(entry)
        return entry

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

    def answered(self) -> None:
        """The server spoke: nothing is wrong with the key, the network or the host."""
        self.proven = True
        self.spoke()
        self._streak = self._setbacks = 0

    def doom(self, error: ModelsLabError, family: str | None) -> None:
        """End what is open now, or one family of it: `reap` hands it out."""
        self._dooms = [doom for doom in self._dooms if doom.entries]
        doom = Doom(error, family, self._heap)
        doom.entries.extend((0.0, 0, entry) for entry in self._flying if doom.meets(entry))
        self._dooms.append(doom)
        self._heap = []
        self._stale = 0

    @property
    def doomed(self) -> bool:
        """Whether there is something to reap."""
        return any(doom.entries for doom in self._dooms)

    def reap(self, limit: int) -> list[tuple[Entry, ModelsLabError]]:
        """Some of the doomed entries, each with its refusal; the others go back in line."""
        doom = next(doom for doom in self._dooms if doom.entries)
        some = doom.entries[-limit:]
        del doom.entries[-limit:]
        watched = [item for item in some if item[2].watchers]
        for item in watched:
            if not doom.meets(item[2]):
                heappush(self._heap, item)
        return [(entry, doom.error) for _, _, entry in watched if doom.meets(entry)]

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
        self._paused_at = now
        self.paused_until = max(self.paused_until, now + seconds)
