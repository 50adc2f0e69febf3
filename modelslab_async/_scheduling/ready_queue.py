"""Line: who is to be looked at, in the order of due times. Nothing that it does takes long."""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

from .due_heap import Queue, Waited

# So many entries that nobody watches may stay, and so many are cleared away with each one more.
_FEW = 64
_BROOM = 8
# Each standstill leaves one behind until all that was in line then has gone.
_MOST_QUEUES = 8
# A gap between two of those that stood still is no longer than this: so few looks are no burst.
_LONGEST_GAP = 0.1
# A timer that rings late is made up for within this time.
_SLACK = 0.05

E = TypeVar("E", bound=Waited)


@define(eq=False)
class Line(Generic[E]):
    """
    Entries by their due times, with gaps between those that stood in line at a standstill.

    There are several queues, most of the time one. What is pushed goes into the last one; the
    others are what was in line at a standstill. They share one step, the step that there is between
    two looks at one of them: so many looks in so much time are what there would be without a
    standstill. The last queue goes on as always.

    Where too many are not wanted any more, or there are too many queues, the first one is emptied
    into the last one, a few at a time.
    """

    _queues: list[Queue[E]] = field(factory=lambda: [Queue[E]()])
    _unwanted: int = 0
    _turn: float = -math.inf
    _sharing: float = math.inf
    _sweeping: bool = False

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def push(self, due: float, entry: E) -> None:
        """Line an entry up."""
        self._queues[-1].push(due, entry)
        if self._sweeping:
            self._sweep()

    def forget(self) -> None:
        """Count an entry that nobody watches; clear some away once they are the most."""
        self._unwanted += 1
        if not self._sweeping and self._unwanted > _FEW and self._unwanted * 2 > len(self):
            self._sweeping = True
            self._queues.append(Queue())
        if self._sweeping:
            self._sweep()

    def strike(self) -> None:
        """Count one no more that was taken out, and forgotten after that."""
        self._unwanted -= 1

    def when(self) -> float | None:
        """When the next one may go; None if there is none."""
        if len(self._queues) == 1:
            self._strip(self._queues[0])
            return self._queues[0].when()
        self._clear()
        moments = [when for queue in self._queues if (when := self._moment(queue)) is not None]
        return min(moments, default=None)

    def pop(self, now: float, step: Callable[[E], float]) -> E:
        """The most overdue of those that may go. Only once `when` has come."""
        queue = self._next(now)
        entry = queue.pop()
        if queue is not self._queues[-1]:
            gap = min(step(entry) / self._sharing, _LONGEST_GAP)
            self._turn = max(self._turn, now - _SLACK) + gap
        return entry

    def resume(self, now: float) -> None:
        """After a standstill: what is in line goes out bit by bit."""
        self._turn = now
        self._sharing = max(1, len(self) - self._unwanted)
        self._queues.append(Queue())
        self._sweeping = self._sweeping or len(self._queues) > _MOST_QUEUES

    def drain(self) -> list[E]:
        """Take all out that somebody watches, in no order."""
        entries = [entry for queue in self._queues for entry in queue.drain()]
        watched = [entry for entry in entries if entry.watchers]
        self._unwanted -= len(entries) - len(watched)
        self._queues = [Queue()]
        self._go_on()
        return watched

    def _strip(self, queue: Queue[E]) -> None:
        """See that a queue begins with one that somebody watches."""
        while len(queue) and not queue.first().watchers:
            queue.pop()
            self._unwanted -= 1

    def _clear(self) -> None:
        """See that each queue begins with one that somebody watches, and that few are empty."""
        for queue in self._queues:
            self._strip(queue)
        self._queues = [*filter(len, self._queues[:-1]), self._queues[-1]]
        self._go_on()

    def _go_on(self) -> None:
        """Where one queue is left, nothing is made up for and nothing moved any more."""
        if len(self._queues) == 1:
            self._sharing = math.inf
            self._sweeping = False

    def _next(self, now: float) -> Queue[E]:
        """Whose first one goes next."""
        if len(self._queues) == 1:
            return self._queues[0]
        ready = [
            queue
            for queue in self._queues
            if (moment := self._moment(queue)) is not None and moment <= now
        ]
        return min(ready, key=lambda queue: queue.first().due)

    def _moment(self, queue: Queue[E]) -> float | None:
        due = queue.when()
        if due is None or queue is self._queues[-1]:
            return due
        return max(due, self._turn)

    def _sweep(self) -> None:
        """Move a few of the first queue to the last one, if they are wanted still."""
        first, last = self._queues[0], self._queues[-1]
        for _ in range(min(_BROOM, len(first))):
            entry = first.some()
            if entry.watchers:
                last.push(entry.due, entry)
            else:
                self._unwanted -= 1
        if not len(first):
            del self._queues[0]
        self._go_on()
