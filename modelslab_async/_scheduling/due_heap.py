"""Queue: entries by their due times, the most overdue first. One more costs next to nothing."""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import ceil, isfinite
from typing import Generic, Protocol, TypeVar

from attrs import define, field

# In a crowd of more than so many, all that fall due in one such part of a second share a moment.
_MIN_SIZE_TO_ROUND = 4096
_BUCKETS_PER_S = 128


class QueueEntry(Protocol):
    """What can be lined up: somebody waits for it, or nobody does any more."""

    due: float

    @property
    def watchers(self) -> Sequence[object]: ...


E = TypeVar("E", bound=QueueEntry)


@define(eq=False)
class DueHeap(Generic[E]):
    """
    Entries by their due times.

    Those that are due at one moment stand in one place, in the order they came; a heap holds the
    moments alone. So in a crowd an entry takes eight bytes, and its turn takes no longer than in
    a small company. An entry in a crowd may be due later by a part of a second than was said.
    """

    _due_times: list[float] = field(factory=list[float])
    _buckets: dict[float, list[E] | deque[E]] = field(factory=dict[float, list[E] | deque[E]])
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def push(self, due: float, entry: E) -> None:
        """Line an entry up, and tell it when it is due."""
        if self._count >= _MIN_SIZE_TO_ROUND and isfinite(due):
            due = ceil(due * _BUCKETS_PER_S) / _BUCKETS_PER_S
        self._count += 1
        bucket = self._buckets.get(due)
        if bucket is None:
            heappush(self._due_times, due)
            self._buckets[due] = [entry]
            entry.due = due
            return
        # A million entries hold the moments that they share once.
        entry.due = bucket[0].due
        bucket.append(entry)

    def next_due(self) -> float | None:
        """When the first one is due; None if there is none."""
        return self._due_times[0] if self._due_times else None

    def peek(self) -> E:
        """Who goes next. Only if there is one."""
        return self._buckets[self._due_times[0]][0]

    def pop(self) -> E:
        """Let the one go who goes next. Only if there is one."""
        self._count -= 1
        bucket = self._buckets[self._due_times[0]]
        if len(bucket) == 1:
            del self._buckets[heappop(self._due_times)]
            return bucket[0]
        if isinstance(bucket, list):
            # A deque is quick at its front, and large: only a place that is let out becomes one.
            bucket = self._buckets[self._due_times[0]] = deque(bucket)
        return bucket.popleft()

    def pop_any(self) -> E:
        """Let one go, but who goes next only if nobody else is there. Only if there is one."""
        # The end of a heap can go without a change of the others.
        bucket = self._buckets[self._due_times[-1]]
        entry = bucket.pop()
        if not bucket:
            del self._buckets[self._due_times.pop()]
        self._count -= 1
        return entry

    def drain(self) -> list[E]:
        """Take all out, in no order."""
        entries = [entry for bucket in self._buckets.values() for entry in bucket]
        self._due_times, self._buckets, self._count = [], {}, 0
        return entries
