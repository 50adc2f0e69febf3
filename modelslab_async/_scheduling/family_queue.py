"""
FamilyQueue: orders the tickets of one family by the due times of their polls.

After a pause, many tickets are overdue. The queue spreads their polls, so that the host gets no
burst. `docs/explanation/architecture.md` explains the queue.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

from attrs import define, field

# A queue of at least this length rounds due times up, so that many entries share one due time.
_MIN_SIZE_TO_ROUND = 4096
_BUCKETS_PER_S = 128
_MIN_STALE_TO_SWEEP = 64
_SWEPT_PER_CALL = 8
_MAX_HEAPS = 8
# The maximum gap, in seconds, between two polls while a backlog is worked off. Polls this far apart
# are no burst, so a longer gap would gain nothing.
_MAX_BACKLOG_GAP_S = 0.1
# If a timer fires late, the next polls of a backlog start without gaps, to catch up. They catch up
# on at most this many seconds of the delay.
_MAX_CATCH_UP_S = 0.05


class QueueEntry(Protocol):
    """An entry of the queue. An entry without watchers is stale: the queue drops it, unpolled."""

    due: float

    @property
    def watchers(self) -> Sequence[object]: ...


E = TypeVar("E", bound=QueueEntry)


@define(eq=False)
class DueHeap(Generic[E]):
    """
    Entries in order of their due times, and of their arrival if the due times are equal.

    The heap contains each due time once, and a bucket holds all entries with that due time. So a
    push is fast, and an entry takes only eight bytes, in its bucket. In a long queue, due times are
    rounded up to the next 1/128 s, so that more entries share a bucket.

    Attributes:
        next_due: The due time of the first entry; None if the heap is empty.
    """

    next_due: float | None = field(default=None, init=False)
    _due_times: list[float] = field(factory=list[float])
    _buckets: dict[float, list[E] | deque[E]] = field(factory=dict[float, list[E] | deque[E]])
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def push(self, due: float, entry: E) -> None:
        """Add an entry, and set its due time. In a long queue, the due time is rounded up."""
        if self._count >= _MIN_SIZE_TO_ROUND and math.isfinite(due):
            due = math.ceil(due * _BUCKETS_PER_S) / _BUCKETS_PER_S
        self._count += 1
        bucket = self._buckets.get(due)
        if bucket is None:
            heappush(self._due_times, due)
            self._buckets[due] = [entry]
            self.next_due = self._due_times[0]
            entry.due = due
            return
        # Entries with equal due times share one float object, which saves 24 bytes for each entry.
        entry.due = bucket[0].due
        bucket.append(entry)

    def peek(self) -> E:
        """Return the first entry without removing it. The heap must not be empty."""
        return self._buckets[self._due_times[0]][0]

    def pop(self) -> E:
        """Remove and return the first entry. The heap must not be empty."""
        self._count -= 1
        bucket = self._buckets[self._due_times[0]]
        if len(bucket) == 1:
            del self._buckets[heappop(self._due_times)]
            self.next_due = self._due_times[0] if self._due_times else None
            return bucket[0]
        if isinstance(bucket, list):
            # Make only the first bucket a deque: a deque pops fast at its front, but takes more
            # memory than a list.
            bucket = self._buckets[self._due_times[0]] = deque(bucket)
        return bucket.popleft()

    def pop_any(self) -> E:
        """Remove and return any entry. This is faster than `pop`. The heap must not be empty."""
        # Removing the last item of the list keeps the rest in heap order.
        bucket = self._buckets[self._due_times[-1]]
        entry = bucket.pop()
        if not bucket:
            del self._buckets[self._due_times.pop()]
            self.next_due = self._due_times[0] if self._due_times else None
        self._count -= 1
        return entry

    def drain(self) -> list[E]:
        """Remove and return all entries, in no particular order."""
        entries = [entry for bucket in self._buckets.values() for entry in bucket]
        self._due_times, self._buckets, self._count, self.next_due = [], {}, 0, None
        return entries


@define(eq=False)
class FamilyQueue(Generic[E]):
    """
    The queued tickets of one family, with gaps between the polls of a backlog.

    New entries go into the last heap. When a pause ends, the queue adds a new last heap, and the
    entries in the older heaps are the backlog. The queue also adds a heap when it begins to sweep
    out stale entries, which have lost their last watcher.
    """

    _heaps: list[DueHeap[E]] = field(factory=lambda: [DueHeap[E]()])
    _stale: int = 0
    _backlog_due: float = -math.inf
    _backlog_size: float = math.inf
    _is_sweeping: bool = False
    # The next due time is cached, because each poll needs it several times.
    _next_due: float | None = None
    _is_next_due_known: bool = True

    def __len__(self) -> int:
        if len(self._heaps) == 1:
            return len(self._heaps[0])
        return sum(map(len, self._heaps))

    @property
    def has_backlog(self) -> bool:
        """Whether a pause has left a backlog, or a sweep of stale entries has begun."""
        return len(self._heaps) > 1

    def push(self, entry: E) -> None:
        """Add an entry, to be polled at its due time."""
        self._heaps[-1].push(entry.due, entry)
        if len(self._heaps) > 1:
            self._is_next_due_known = False
            if self._is_sweeping:
                self._sweep()
        elif self._is_next_due_known and (self._next_due is None or entry.due < self._next_due):
            self._next_due = entry.due

    def mark_stale(self) -> None:
        """Count one more stale entry. If most entries are stale, begin a sweep that drops them."""
        self._is_next_due_known = False
        self._stale += 1
        if (
            not self._is_sweeping
            and self._stale > _MIN_STALE_TO_SWEEP
            and self._stale * 2 > len(self)
        ):
            self._is_sweeping = True
            self._heaps.append(DueHeap())
        if self._is_sweeping:
            self._sweep()

    def unmark_stale(self) -> None:
        """Undo a call of `mark_stale` for an entry that had already left the queue."""
        self._stale -= 1

    def next_due(self) -> float | None:
        """Return the time at which the next entry may be polled; None if the queue is empty."""
        if not self._is_next_due_known:
            self._next_due = self._find_next_due()
            self._is_next_due_known = True
        return self._next_due

    def pop(self, now: float, step: Callable[[E, float], float]) -> E:
        """
        Remove and return the most overdue entry. Call this only if an entry is due.

        Args:
            now: The current time.
            step: Returns the seconds from one poll of an entry to the next. If the entry is part
                of a backlog, the polls of the backlog are spread over this time.
        """
        if len(self._heaps) == 1:
            [heap] = self._heaps
            entry = heap.pop()
            # If no entry is stale, the new head of the heap is the next entry to poll.
            self._next_due = heap.next_due
            self._is_next_due_known = not self._stale
            return entry
        heap = self._most_overdue_heap(now)
        entry = heap.pop()
        self._is_next_due_known = False
        if heap is not self._heaps[-1]:
            gap = min(step(entry, now) / self._backlog_size, _MAX_BACKLOG_GAP_S)
            self._backlog_due = max(self._backlog_due, now - _MAX_CATCH_UP_S) + gap
        return entry

    def spread_backlog(self, now: float) -> None:
        """Turn all queued entries into a backlog, because none was polled for a while."""
        self._is_next_due_known = False
        self._backlog_due = now
        self._backlog_size = max(1, len(self) - self._stale)
        self._heaps.append(DueHeap())
        self._is_sweeping = self._is_sweeping or len(self._heaps) > _MAX_HEAPS

    def drain(self) -> list[E]:
        """Remove all entries. Return the entries that have a watcher, in no particular order."""
        entries = [entry for heap in self._heaps for entry in heap.drain()]
        watched = [entry for entry in entries if entry.watchers]
        self._stale -= len(entries) - len(watched)
        self._heaps = [DueHeap()]
        self._is_next_due_known = False
        self._end_backlog_if_single()
        return watched

    def _find_next_due(self) -> float | None:
        if len(self._heaps) == 1:
            if self._stale:
                self._drop_stale_head(self._heaps[0])
            return self._heaps[0].next_due
        for heap in self._heaps:
            self._drop_stale_head(heap)
        self._heaps = [*filter(len, self._heaps[:-1]), self._heaps[-1]]
        self._end_backlog_if_single()
        due_times = [
            next_due for heap in self._heaps if (next_due := self._next_due_of(heap)) is not None
        ]
        return min(due_times, default=None)

    def _drop_stale_head(self, heap: DueHeap[E]) -> None:
        while len(heap) and not heap.peek().watchers:
            heap.pop()
            self._stale -= 1

    def _end_backlog_if_single(self) -> None:
        if len(self._heaps) == 1:
            self._backlog_size = math.inf
            self._is_sweeping = False

    def _most_overdue_heap(self, now: float) -> DueHeap[E]:
        ready = [
            heap
            for heap in self._heaps
            if (due := self._next_due_of(heap)) is not None and due <= now
        ]
        return min(ready, key=lambda heap: heap.peek().due)

    def _next_due_of(self, heap: DueHeap[E]) -> float | None:
        due = heap.next_due
        if due is None or heap is self._heaps[-1]:
            return due
        return max(due, self._backlog_due)

    def _sweep(self) -> None:
        """Move a few entries from the oldest heap to the last heap, but drop stale entries."""
        oldest, current = self._heaps[0], self._heaps[-1]
        for _ in range(min(_SWEPT_PER_CALL, len(oldest))):
            entry = oldest.pop_any()
            if entry.watchers:
                current.push(entry.due, entry)
            else:
                self._stale -= 1
        if not len(oldest):
            del self._heaps[0]
        self._end_backlog_if_single()
