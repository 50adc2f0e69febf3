"""JobHistory: how long earlier jobs took, and when to poll a running job next."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from attrs import Factory, define

from .histogram import EDGES, IntervalHistogram, nearest_edge
from .learned_steps_budget import LearnedStepsBudget
from .planner import best_next_edges

_REPLAN_DIVISOR = 16
_MAX_JOBS_PER_PLAN = 100
_COST_RATIO = 1.5
_MAX_COST = 1e9


@define(eq=False)
class JobHistory:
    """
    How long jobs took, in seconds or in multiples of their etas, and when to poll a running job.

    Attributes:
        min_jobs: The number of jobs that must be known before `next_poll_age` returns an age.
        eta_prior: The prior probability that a job ends just before its eta.
        intervals: Counts the intervals in which jobs ended.
        budget: Limits the extra cost of the steps that are computed from this history.
    """

    min_jobs: int = 20
    eta_prior: float = 0.0
    intervals: IntervalHistogram = Factory(IntervalHistogram)
    budget: LearnedStepsBudget = Factory(LearnedStepsBudget)
    _density: list[float] = Factory(list)
    _cumulative: list[float] = Factory(list)
    _plans: dict[int, list[int]] = Factory(dict)
    _planned_count: int = 0

    def add(self, last_running: float, first_done: float | None) -> None:
        """Add one job that was last seen running and first seen done at these ages."""
        self.intervals.add(last_running, first_done)

    def next_poll_age(self, age: float, cost: float) -> float | None:
        """
        Return the age for the next poll of a job that is running at `age`.

        Return None if fewer than `min_jobs` jobs are known, or if all known jobs ended at much
        lower ages.
        """
        count = self.intervals.count
        if count < self.min_jobs:
            return None
        # Planning blocks the event loop for several milliseconds, so make a new plan only after
        # enough new jobs.
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
        """Return the estimated fraction of jobs that end before this age."""
        edge = bisect_right(EDGES, age) - 1
        if edge >= len(self._density):
            return 1.0
        within = (age - EDGES[edge]) / (EDGES[edge + 1] - EDGES[edge])
        return self._cumulative[edge] + self._density[edge] * within

    def to_dict(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return {
            "count": self.intervals.count,
            "seen": self.intervals.to_list(),
            "allowed": round(self.budget.allowed, 4),
            "spent": round(self.budget.spent, 4),
        }

    def restore(self, saved: Mapping[str, Any]) -> "JobHistory":
        """
        Return a history with the same settings, and with the data from `to_dict`.

        Raises:
            ValueError: The data did not come from `to_dict`.
        """
        allowed, spent = float(saved["allowed"]), float(saved["spent"])
        if not (0.0 <= allowed < math.inf and -math.inf < spent < math.inf):
            raise ValueError(f"invalid budget: {allowed} allowed and {spent} spent")
        seen = IntervalHistogram.from_list(saved["count"], saved["seen"])
        return JobHistory(self.min_jobs, self.eta_prior, seen, LearnedStepsBudget(allowed, spent))

    def _plan(self, cost: int) -> list[int]:
        if cost not in self._plans:
            self._plans[cost] = best_next_edges(EDGES, self._density, _COST_RATIO**cost)
        return self._plans[cost]
