"""Experience: what was seen of one kind of jobs, and when to look at the next one."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from attrs import Factory, define

from .budget import Purse
from .histogram import EDGES, Intervals, place
from .planner import best_next

_OFTEN = 16
_SELDOM = 100
_COSTS = 1.5
_DEAREST = 1e9


@define(eq=False)
class Experience:
    """
    How long jobs took, in seconds or in etas, and what it has cost to go by that.

    Attributes:
        enough: How many jobs must be known before it says anything.
        believed: How far it is believed, before anything is known, that jobs end at 1.
    """

    enough: int = 20
    believed: float = 0.0
    intervals: Intervals = Factory(Intervals)
    purse: Purse = Factory(Purse)
    _density: list[float] = Factory(list)
    _below: list[float] = Factory(list)
    _plans: dict[int, list[int]] = Factory(dict)
    _planned: int = 0

    def add(self, running: float, over: float | None) -> None:
        """Hear of one job."""
        self.intervals.add(running, over)

    def after(self, age: float, cost: float) -> float | None:
        """The age of the next look; None if too little is known of jobs so old."""
        count = self.intervals.count
        if count < self.enough:
            return None
        # To plan takes milliseconds, so it is done anew for each sixteenth that is learned more.
        if not self._density or count >= self._planned + min(count // _OFTEN, _SELDOM):
            self._density, self._planned = self.intervals.density(self.believed), count
            self._below = [0.0, *accumulate(self._density)]
            self._plans.clear()
        plan = self._plan(round(math.log(min(max(cost, 1.0 / _DEAREST), _DEAREST), _COSTS)))
        here = place(age)
        if here >= len(plan) - 1:
            return None
        return EDGES[plan[here]]

    def share(self, age: float) -> float:
        """Which part of the jobs is over by that age."""
        here = bisect_right(EDGES, age) - 1
        if here >= len(self._density):
            return 1.0
        within = (age - EDGES[here]) / (EDGES[here + 1] - EDGES[here])
        return self._below[here] + self._density[here] * within

    def to_dict(self) -> dict[str, Any]:
        """What is kept of it, for JSON."""
        return {
            "count": self.intervals.count,
            "seen": self.intervals.to_list(),
            "allowed": round(self.purse.allowed, 4),
            "spent": round(self.purse.spent, 4),
        }

    def recall(self, saved: Mapping[str, Any]) -> "Experience":
        """
        One of the same kind that goes on from what `to_dict` gave.

        Raises:
            ValueError: These are no intervals, or no sums.
        """
        allowed, spent = float(saved["allowed"]), float(saved["spent"])
        if not (0.0 <= allowed < math.inf and -math.inf < spent < math.inf):
            raise ValueError(f"no sums: {allowed} allowed and {spent} spent")
        seen = Intervals.from_list(saved["count"], saved["seen"])
        return Experience(self.enough, self.believed, seen, Purse(allowed, spent))

    def _plan(self, cost: int) -> list[int]:
        if cost not in self._plans:
            self._plans[cost] = best_next(EDGES, self._density, _COSTS**cost)
        return self._plans[cost]
