"""Crowd: who stands in line, family by family. Families take turns, so that none waits for all."""

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from .._models.ticket import Ticket
from .due_heap import QueueEntry
from .ready_queue import ReadyQueue


class FamilyEntry(QueueEntry, Protocol):
    """What stands in line: an entry that belongs to a family."""

    @property
    def ticket(self) -> Ticket: ...


M = TypeVar("M", bound=FamilyEntry)


@define(eq=False)
class FairQueue(Generic[M]):
    """
    A line for each family, the one that was served the longest ago first.

    Where more is due than may go, each family gets the same share as long as it can use it; within
    a family the most overdue goes first.
    """

    _queues: dict[str, ReadyQueue[M]] = field(factory=dict[str, ReadyQueue[M]])

    def push(self, entry: M) -> None:
        """Line a member up by its due time."""
        queue = self._queues.get(entry.ticket.family)
        if queue is None:
            queue = self._queues[entry.ticket.family] = ReadyQueue()
        queue.push(entry.due, entry)

    def mark_stale(self, entry: M) -> None:
        """Count a member in line that nobody watches."""
        self._queues[entry.ticket.family].mark_stale()

    def unmark_stale(self, entries: Sequence[M]) -> None:
        """Count some no more that were taken out, and forgotten after that."""
        for entry in entries:
            self._queues[entry.ticket.family].unmark_stale()

    def next_due(self) -> float | None:
        """When the first one may go; None if nobody stands in line."""
        due_times = [
            next_due
            for queue in self._queues.values()
            if (next_due := queue.next_due()) is not None
        ]
        return min(due_times, default=None)

    def pop(self, now: float, step: Callable[[M], float]) -> M:
        """Whose turn it is. Only once `when` has come."""
        family, queue = next(each for each in self._queues.items() if _is_due(each[1], now))
        if len(self._queues) > 1:
            self._queues[family] = self._queues.pop(family)
        return queue.pop(now, step)

    def spread_backlog(self, now: float) -> None:
        """After a standstill: what is in line goes out bit by bit."""
        for queue in self._queues.values():
            queue.spread_backlog(now)

    def drain(self, family: str | None) -> list[M]:
        """Take all out that somebody watches, or those of one family, in no order."""
        queues = [queue for name, queue in self._queues.items() if family in (None, name)]
        return [entry for queue in queues for entry in queue.drain()]


def _is_due(queue: ReadyQueue[M], now: float) -> bool:
    next_due = queue.next_due()
    return next_due is not None and next_due <= now
