"""Queue: entries by their due times, the most overdue first. One more costs next to nothing."""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import ceil, isfinite
from typing import Generic, Protocol, TypeVar

from attrs import define, field

# In a crowd of more than so many, all that fall due in one such part of a second share a moment.
_CROWD = 4096
_PARTS = 128


class Waited(Protocol):
    """What can be lined up: somebody waits for it, or nobody does any more."""

    due: float

    @property
    def watchers(self) -> Sequence[object]: ...


E = TypeVar("E", bound=Waited)


@define(eq=False)
class Queue(Generic[E]):
    """
    Entries by their due times.

    Those that are due at one moment stand in one place, in the order they came; a heap holds the
    moments alone. So in a crowd an entry takes eight bytes, and its turn takes no longer than in
    a small company. An entry in a crowd may be due later by a part of a second than was said.
    """

    _moments: list[float] = field(factory=list[float])
    _places: dict[float, list[E] | deque[E]] = field(factory=dict[float, list[E] | deque[E]])
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def push(self, due: float, entry: E) -> None:
        """Line an entry up, and tell it when it is due."""
        if self._count >= _CROWD and isfinite(due):
            due = ceil(due * _PARTS) / _PARTS
        self._count += 1
        place = self._places.get(due)
        if place is None:
            heappush(self._moments, due)
            self._places[due] = [entry]
            entry.due = due
            return
        # A million entries hold the moments that they share once.
        entry.due = place[0].due
        place.append(entry)

    def when(self) -> float | None:
        """When the first one is due; None if there is none."""
        return self._moments[0] if self._moments else None

    def first(self) -> E:
        """Who goes next. Only if there is one."""
        return self._places[self._moments[0]][0]

    def pop(self) -> E:
        """Let the one go who goes next. Only if there is one."""
        self._count -= 1
        place = self._places[self._moments[0]]
        if len(place) == 1:
            del self._places[heappop(self._moments)]
            return place[0]
        if isinstance(place, list):
            # A deque is quick at its front, and large: only a place that is let out becomes one.
            place = self._places[self._moments[0]] = deque(place)
        return place.popleft()

    def some(self) -> E:
        """Let one go, but who goes next only if nobody else is there. Only if there is one."""
        # The end of a heap can go without a change of the others.
        place = self._places[self._moments[-1]]
        entry = place.pop()
        if not place:
            del self._places[self._moments.pop()]
        self._count -= 1
        return entry

    def drain(self) -> list[E]:
        """Take all out, in no order."""
        entries = [entry for place in self._places.values() for entry in place]
        self._moments, self._places, self._count = [], {}, 0
        return entries
