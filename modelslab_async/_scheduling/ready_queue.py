"""Line: who is to be looked at, in the order of due times. Nothing that it does takes long."""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

from .due_heap import DueHeap, QueueEntry

# So many entries that nobody watches may stay, and so many are cleared away with each one more.
_MIN_STALE_TO_SWEEP = 64
_SWEPT_PER_CALL = 8
# Each standstill leaves one behind until all that was in line then has gone.
_MAX_QUEUES = 8
# A gap between two of those that stood still is no longer than this: so few looks are no burst.
_MAX_BACKLOG_GAP_S = 0.1
# A timer that rings late is made up for within this time.
_MAX_CATCH_UP_S = 0.05

E = TypeVar("E", bound=QueueEntry)


@define(eq=False)
class ReadyQueue(Generic[E]):
    """
    Entries by their due times, with gaps between those that stood in line at a standstill.

    There are several queues, most of the time one. What is pushed goes into the last one; the
    others are what was in line at a standstill. They share one step, the step that there is between
    two looks at one of them: so many looks in so much time are what there would be without a
    standstill. The last queue goes on as always.

    Where too many are not wanted any more, or there are too many queues, the first one is emptied
    into the last one, a few at a time.
    """

    _queues: list[DueHeap[E]] = field(factory=lambda: [DueHeap[E]()])
    _stale: int = 0
    _backlog_due: float = -math.inf
    _backlog_size: float = math.inf
    _is_sweeping: bool = False

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def push(self, due: float, entry: E) -> None:
        """Line an entry up."""
        self._queues[-1].push(due, entry)
        if self._is_sweeping:
            self._sweep()

    def mark_stale(self) -> None:
        """Count an entry that nobody watches; clear some away once they are the most."""
        self._stale += 1
        if (
            not self._is_sweeping
            and self._stale > _MIN_STALE_TO_SWEEP
            and self._stale * 2 > len(self)
        ):
            self._is_sweeping = True
            self._queues.append(DueHeap())
        if self._is_sweeping:
            self._sweep()

    def unmark_stale(self) -> None:
        """Count one no more that was taken out, and forgotten after that."""
        self._stale -= 1

    def next_due(self) -> float | None:
        """When the next one may go; None if there is none."""
        if len(self._queues) == 1:
            self._drop_stale_head(self._queues[0])
            return self._queues[0].next_due()
        self._prune()
        due_times = [
            next_due for queue in self._queues if (next_due := self._next_due_of(queue)) is not None
        ]
        return min(due_times, default=None)

    def pop(self, now: float, step: Callable[[E], float]) -> E:
        """The most overdue of those that may go. Only once `when` has come."""
        queue = self._next_queue(now)
        entry = queue.pop()
        if queue is not self._queues[-1]:
            gap = min(step(entry) / self._backlog_size, _MAX_BACKLOG_GAP_S)
            self._backlog_due = max(self._backlog_due, now - _MAX_CATCH_UP_S) + gap
        return entry

    def spread_backlog(self, now: float) -> None:
        """After a standstill: what is in line goes out bit by bit."""
        self._backlog_due = now
        self._backlog_size = max(1, len(self) - self._stale)
        self._queues.append(DueHeap())
        self._is_sweeping = self._is_sweeping or len(self._queues) > _MAX_QUEUES

    def drain(self) -> list[E]:
        """Take all out that somebody watches, in no order."""
        entries = [entry for queue in self._queues for entry in queue.drain()]
        watched = [entry for entry in entries if entry.watchers]
        self._stale -= len(entries) - len(watched)
        self._queues = [DueHeap()]
        self._end_backlog_if_single()
        return watched

    def _drop_stale_head(self, queue: DueHeap[E]) -> None:
        """See that a queue begins with one that somebody watches."""
        while len(queue) and not queue.peek().watchers:
            queue.pop()
            self._stale -= 1

    def _prune(self) -> None:
        """See that each queue begins with one that somebody watches, and that few are empty."""
        for queue in self._queues:
            self._drop_stale_head(queue)
        self._queues = [*filter(len, self._queues[:-1]), self._queues[-1]]
        self._end_backlog_if_single()

    def _end_backlog_if_single(self) -> None:
        """Where one queue is left, nothing is made up for and nothing moved any more."""
        if len(self._queues) == 1:
            self._backlog_size = math.inf
            self._is_sweeping = False

    def _next_queue(self, now: float) -> DueHeap[E]:
        """Whose first one goes next."""
        if len(self._queues) == 1:
            return self._queues[0]
        ready = [
            queue
            for queue in self._queues
            if (due := self._next_due_of(queue)) is not None and due <= now
        ]
        return min(ready, key=lambda queue: queue.peek().due)

    def _next_due_of(self, queue: DueHeap[E]) -> float | None:
        due = queue.next_due()
        if due is None or queue is self._queues[-1]:
            return due
        return max(due, self._backlog_due)

    def _sweep(self) -> None:
        """Move a few of the first queue to the last one, if they are wanted still."""
        first, last = self._queues[0], self._queues[-1]
        for _ in range(min(_SWEPT_PER_CALL, len(first))):
            entry = first.pop_any()
            if entry.watchers:
                last.push(entry.due, entry)
            else:
                self._stale -= 1
        if not len(first):
            del self._queues[0]
        self._end_backlog_if_single()
