"""DueHeap: entries by due time, the most overdue first. It never drops an entry by itself."""

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import ceil, isfinite
from typing import Generic, Protocol, TypeVar

from attrs import define, field

# From this size on, due times are rounded up to buckets, so that many entries share one number.
_MIN_SIZE_TO_ROUND = 4096
_BUCKETS_PER_S = 128


class QueueEntry(Protocol):
    """What can be queued. An entry without watchers is stale: it is dropped instead of polled."""

    due: float

    @property
    def watchers(self) -> Sequence[object]: ...


E = TypeVar("E", bound=QueueEntry)


@define(eq=False)
class DueHeap(Generic[E]):
    """
    Entries by due time, and by arrival where the due time is the same.

    The heap holds the distinct due times; each has a bucket with its entries. So an entry of a long
    queue takes eight bytes, and a push costs the same at any length. In a long queue an entry may
    become due up to 1/128 s later than its pace said.
    """

    _due_times: list[float] = field(factory=list[float])
    _buckets: dict[float, list[E] | deque[E]] = field(factory=dict[float, list[E] | deque[E]])
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def push(self, due: float, entry: E) -> None:
        """Add an entry, and set its `due`."""
        if self._count >= _MIN_SIZE_TO_ROUND and isfinite(due):
            due = ceil(due * _BUCKETS_PER_S) / _BUCKETS_PER_S
        self._count += 1
        bucket = self._buckets.get(due)
        if bucket is None:
            heappush(self._due_times, due)
            self._buckets[due] = [entry]
            entry.due = due
            return
        # All entries of a bucket share one float object, which saves 24 bytes each.
        entry.due = bucket[0].due
        bucket.append(entry)

    def next_due(self) -> float | None:
        """The due time of the first entry; None if there is none."""
        return self._due_times[0] if self._due_times else None

    def peek(self) -> E:
        """The first entry. The heap must not be empty."""
        return self._buckets[self._due_times[0]][0]

    def pop(self) -> E:
        """Remove the first entry. The heap must not be empty."""
        self._count -= 1
        bucket = self._buckets[self._due_times[0]]
        if len(bucket) == 1:
            del self._buckets[heappop(self._due_times)]
            return bucket[0]
        if isinstance(bucket, list):
            # A deque pops fast at its front but is large, so only the first bucket becomes one.
            bucket = self._buckets[self._due_times[0]] = deque(bucket)
        return bucket.popleft()

    def pop_any(self) -> E:
        """Remove the entry that is cheapest to remove. The heap must not be empty."""
        # Removing the end of a heap's list leaves the heap in order.
        bucket = self._buckets[self._due_times[-1]]
        entry = bucket.pop()
        if not bucket:
            del self._buckets[self._due_times.pop()]
        self._count -= 1
        return entry

    def drain(self) -> list[E]:
        """Remove all entries, in no particular order."""
        entries = [entry for bucket in self._buckets.values() for entry in bucket]
        self._due_times, self._buckets, self._count = [], {}, 0
        return entries
