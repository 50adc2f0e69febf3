"""Experience: what was seen of one kind of jobs, and when to look at the next one."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from attrs import Factory, define

from .budget import TrialBudget
from .histogram import EDGES, IntervalHistogram, nearest_edge
from .planner import best_next_edges

_REPLAN_DIVISOR = 16
_MAX_JOBS_PER_PLAN = 100
_COST_RATIO = 1.5
_MAX_COST = 1e9


@define(eq=False)
class JobHistory:
    """
    How long jobs took, in seconds or in etas, and what it has cost to go by that.

    Attributes:
        min_jobs: How many jobs must be known before it says anything.
        eta_prior: How far it is believed, before anything is known, that jobs end at 1.
    """

    min_jobs: int = 20
    eta_prior: float = 0.0
    intervals: IntervalHistogram = Factory(IntervalHistogram)
    budget: TrialBudget = Factory(TrialBudget)
    _density: list[float] = Factory(list)
    _cumulative: list[float] = Factory(list)
    _plans: dict[int, list[int]] = Factory(dict)
    _planned_count: int = 0

    def add(self, last_running: float, first_done: float | None) -> None:
        """Hear of one job."""
        self.intervals.add(last_running, first_done)

    def next_poll_age(self, age: float, cost: float) -> float | None:
        """The age of the next look; None if too little is known of jobs so old."""
        count = self.intervals.count
        if count < self.min_jobs:
            return None
        # To plan takes milliseconds, so it is done anew for each sixteenth that is learned more.
        if not self._density or count >= self._planned_count + min(
            count // _REPLAN_DIVISOR, _MAX_JOBS_PER_PLAN
        ):
            self._density, self._planned_count = self.intervals.density(self.eta_prior), count
            self._cumulative = [0.0, *accumulate(self._density)]
            self._plans.clear()
        plan = self._plan(round(math.log(min(max(cost, 1.0 / _MAX_COST), _MAX_COST), _COST_RATIO)))
        edge = nearest_edge(age)
        if edge >= len(plan) - 1:
            return None
        return EDGES[plan[edge]]

    def fraction_done(self, age: float) -> float:
        """Which part of the jobs is over by that age."""
        edge = bisect_right(EDGES, age) - 1
        if edge >= len(self._density):
            return 1.0
        within = (age - EDGES[edge]) / (EDGES[edge + 1] - EDGES[edge])
        return self._cumulative[edge] + self._density[edge] * within

    def to_dict(self) -> dict[str, Any]:
        """What is kept of it, for JSON."""
        return {
            "count": self.intervals.count,
            "seen": self.intervals.to_list(),
            "allowed": round(self.budget.allowed, 4),
            "spent": round(self.budget.spent, 4),
        }

    def restore(self, saved: Mapping[str, Any]) -> "JobHistory":
        """
        One of the same kind that goes on from what `to_dict` gave.

        Raises:
            ValueError: These are no intervals, or no sums.
        """
        allowed, spent = float(saved["allowed"]), float(saved["spent"])
        if not (0.0 <= allowed < math.inf and -math.inf < spent < math.inf):
            raise ValueError(f"no sums: {allowed} allowed and {spent} spent")
        seen = IntervalHistogram.from_list(saved["count"], saved["seen"])
        return JobHistory(self.min_jobs, self.eta_prior, seen, TrialBudget(allowed, spent))

    def _plan(self, cost: int) -> list[int]:
        if cost not in self._plans:
            self._plans[cost] = best_next_edges(EDGES, self._density, _COST_RATIO**cost)
        return self._plans[cost]
