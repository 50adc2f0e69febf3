"""SubmitPriorityQueue: waiting submits, lowest number first."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from attrs import Factory, define

from .._models.error_copies import own_copy

Waiter: TypeAlias = asyncio.Future[Exception | None]
"""Resolves to None when the submit is admitted, or to the error that rejects it."""


@define(eq=False)
class SubmitPriorityQueue:
    """A queue of waiting submits, lowest number first. It skips cancelled submits."""

    _heap: list[tuple[int, int, Waiter]] = Factory(list)
    # Orders entries with equal numbers, because the heap cannot compare futures.
    _sequence: "count[int]" = Factory(count)

    def __bool__(self) -> bool:
        while self._heap and self._heap[0][2].done():
            heappop(self._heap)
        return bool(self._heap)

    def __len__(self) -> int:
        # The length includes cancelled submits that the queue has not skipped yet.
        return len(self._heap) if self else 0

    def add(self, number: int) -> Waiter:
        """Add a submit. Return the future that resolves when the submit is admitted or rejected."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        heappush(self._heap, (number, next(self._sequence), waiter))
        return waiter

    def admit_first(self) -> int | None:
        """Admit the submit with the lowest number. Return the number; None if no submit waits."""
        if not self:
            return None
        number, _, waiter = heappop(self._heap)
        waiter.set_result(None)
        return number

    def reject_all(self, error: Exception) -> None:
        """Reject every submit that waits now."""
        heap, self._heap = self._heap, []
        for _, _, waiter in heap:
            if not waiter.done():
                waiter.set_result(own_copy(error))


def is_admitted(waiter: Waiter) -> bool:
    """Whether a submit was admitted, even if its task was cancelled just afterwards."""
    return waiter.done() and not waiter.cancelled() and waiter.result() is None
