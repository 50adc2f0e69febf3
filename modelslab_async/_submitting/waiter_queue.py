"""WaiterQueue: submits that wait, lowest number first. It never decides when one is admitted."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from attrs import Factory, define

from .._models.errors import ModelsLabError

Waiter: TypeAlias = asyncio.Future[ModelsLabError | None]
"""Resolves to None when the submit is admitted, or to the error that rejects it."""


@define(eq=False)
class WaiterQueue:
    """A priority queue of waiting submits. Submits that were cancelled are skipped."""

    _heap: list[tuple[int, int, Waiter]] = Factory(list)
    # Two waiters may have the same number, and futures have no order.
    _sequence: "count[int]" = Factory(count)

    def __bool__(self) -> bool:
        while self._heap and self._heap[0][2].done():
            heappop(self._heap)
        return bool(self._heap)

    def add(self, number: int) -> Waiter:
        """Add a submit. The caller awaits the waiter that this returns."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        heappush(self._heap, (number, next(self._sequence), waiter))
        return waiter

    def admit_first(self) -> int | None:
        """Admit the first submit, and return its number; None if there is none."""
        if not self:
            return None
        number, _, waiter = heappop(self._heap)
        waiter.set_result(None)
        return number

    def reject_all(self, error: ModelsLabError) -> None:
        """Reject every submit that waits now."""
        heap, self._heap = self._heap, []
        for _, _, waiter in heap:
            if not waiter.done():
                waiter.set_result(error)


def is_admitted(waiter: Waiter) -> bool:
    """Whether a submit was admitted. A cancelled task may learn of it only here."""
    return waiter.done() and not waiter.cancelled() and waiter.result() is None
