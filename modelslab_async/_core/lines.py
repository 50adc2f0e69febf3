"""Line: who is to be looked at, in the order of due times. Nothing that it does takes long."""

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from attrs import define, field

# So many entries that nobody watches may stay, and so many are cleared away with each one more.
_FEW = 64
_BROOM = 8
# Each standstill leaves one behind until all that was in line then has gone.
_MOST_HEAPS = 8
# A gap between two of those that stood still is no longer than this: so few looks are no burst.
_LONGEST_GAP = 0.1
# A timer that rings late is made up for within this time.
_SLACK = 0.05


class Waited(Protocol):
    """What can be lined up: somebody waits for it, or nobody does any more."""

    @property
    def watchers(self) -> Sequence[object]: ...

    def __lt__(self, other: Any, /) -> bool:
        """Whether this one goes first where both are due at once."""
        ...


E = TypeVar("E", bound=Waited)
Item: TypeAlias = tuple[float, E]


@define(eq=False)
class Line(Generic[E]):
    """
    Entries by their due times, with gaps between those that stood in line at a standstill.

    There are several heaps, most of the time one. What is pushed goes into the last one; the others
    are what was in line at a standstill. They share one step, the step that there is between two
    looks at one of them: so many looks in so much time are what there would be without a
    standstill. The last heap goes on as always.

    Where too many are not wanted any more, or there are too many heaps, the first one is emptied
    into the last one from its end, which leaves a heap as long as it lasts.
    """

    _heaps: list[list[Item[E]]] = field(factory=lambda: [[]])
    _unwanted: int = 0
    _turn: float = -math.inf
    _sharing: float = math.inf
    _sweeping: bool = False

    def __len__(self) -> int:
        return sum(map(len, self._heaps))

    def push(self, due: float, entry: E) -> None:
        """Line an entry up."""
        heappush(self._heaps[-1], (due, entry))
        if self._sweeping:
            self._sweep()

    def forget(self) -> None:
        """Count an entry that nobody watches; clear some away once they are the most."""
        self._unwanted += 1
        if not self._sweeping and self._unwanted > _FEW and self._unwanted * 2 > len(self):
            self._sweeping = True
            self._heaps.append([])
        if self._sweeping:
            self._sweep()

    def when(self) -> float | None:
        """When the next one may go; None if there is none."""
        self._clear()
        if len(self._heaps) > 1:
            return min(map(self._moment, filter(None, self._heaps)), default=None)
        return self._moment(self._heaps[0]) if self._heaps[0] else None

    def due(self, now: float) -> float:
        """When the most overdue of those that may go was due. Only once `when` has come."""
        return self._first(now)[0][0]

    def pop(self, now: float, step: Callable[[E], float]) -> E:
        """The most overdue of those that may go. Only once `when` has come."""
        heap = self._first(now)
        entry = heappop(heap)[1]
        if heap is not self._heaps[-1]:
            gap = min(step(entry) / self._sharing, _LONGEST_GAP)
            self._turn = max(self._turn, now - _SLACK) + gap
        return entry

    def resume(self, now: float) -> None:
        """After a standstill: what is in line goes out bit by bit."""
        self._turn = now
        self._sharing = max(1, len(self) - self._unwanted)
        self._heaps.append([])
        self._sweeping = self._sweeping or len(self._heaps) > _MOST_HEAPS

    def drain(self) -> list[Item[E]]:
        """Take all out, in no order."""
        items = [item for heap in self._heaps for item in heap]
        self._heaps = [[]]
        self._unwanted = 0
        return items

    def _clear(self) -> None:
        """See that each heap begins with one that somebody watches, and that few are empty."""
        for heap in self._heaps:
            while heap and not heap[0][1].watchers:
                heappop(heap)
                self._unwanted -= 1
        if len(self._heaps) > 1:
            self._heaps = [heap for heap in self._heaps[:-1] if heap] + self._heaps[-1:]
        if len(self._heaps) == 1:
            self._sharing = math.inf
            self._sweeping = False

    def _first(self, now: float) -> list[Item[E]]:
        if len(self._heaps) == 1:
            return self._heaps[0]
        return min(
            (heap for heap in self._heaps if heap and self._moment(heap) <= now),
            key=lambda heap: heap[0],
        )

    def _moment(self, heap: list[Item[E]]) -> float:
        due = heap[0][0]
        return due if heap is self._heaps[-1] else max(due, self._turn)

    def _sweep(self) -> None:
        """Move a few from the end of the first heap to the last one, if they are wanted still."""
        first, last = self._heaps[0], self._heaps[-1]
        for _ in range(min(_BROOM, len(first))):
            item = first.pop()
            if item[1].watchers:
                heappush(last, item)
            else:
                self._unwanted -= 1
        if not first:
            del self._heaps[0]
        self._sweeping = len(self._heaps) > 1
