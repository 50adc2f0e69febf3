"""
IntervalHistogram: estimates the distribution of job durations.

The duration of a job is known only as an interval: from the last poll that saw the job running to
the first poll that saw it done. `docs/explanation/pacing.md` explains the estimate.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from attrs import Factory, define, field

_BINS_PER_HUNDREDFOLD = 94
_GROWTH = 100.0 ** (1.0 / _BINS_PER_HUNDREDFOLD)
_FIRST_EDGE = 0.01
_BINS = 330
_MEMORY_JOBS = 500.0
_MIN_WEIGHT = 1e-3
# A saved interval that weighs more than this is invalid, because all jobs together weigh at most
# `_MEMORY_JOBS` + 1. The newest job weighs 1, and older jobs weigh less.
_MAX_WEIGHT = _MEMORY_JOBS + 2.0
_MIN_LATEST_WEIGHT = 0.99
_EM_ROUNDS = 10
# Smoothing spreads the probability of a bin over the bins around it. It uses the smallest range of
# bins in which this many jobs ended.
_SMOOTHING_JOBS = 10.0
# The next job may take longer than all known jobs. So the distribution includes this many assumed
# jobs that take up to 20 times as long as the longest known job.
_UNSEEN_JOBS = 0.5
_UNSEEN_BINS = round(math.log(20.0) / math.log(_GROWTH))
# The number of bins between any age and twice that age. If a job was never seen done, the
# distribution goes on for this many bins after the last poll that saw the job running.
_BINS_PER_DOUBLING = round(math.log(2.0) / math.log(_GROWTH))
_EPSILON = 1e-9

# The edges of the bins. From 0.01 on, each edge is 5 % higher than the edge before it. One edge is
# exactly 1. Durations may be divided by the eta of their jobs, and then 1 stands for the eta. The
# eta must be an edge, because many jobs end just before it.
EDGES: tuple[float, ...] = (
    0.0,
    *(100.0 ** (number / _BINS_PER_HUNDREDFOLD - 1.0) for number in range(_BINS)),
)


def nearest_edge(length: float) -> int:
    """Return the index of the bin edge that is nearest to a duration."""
    if length <= _FIRST_EDGE / 2:
        return 0
    number = round(math.log(min(length, EDGES[-1]) / _FIRST_EDGE) / math.log(_GROWTH))
    return max(1 + number, 1)


_EDGE_OF_ONE = nearest_edge(1.0)
_BINS_BEFORE_ONE = 3


@define(eq=False)
class IntervalHistogram:
    """Counts the jobs that ended in each interval of time. Older jobs count less."""

    count: int = 0
    _weights: dict[tuple[int, int], float] = Factory(dict)
    _newest_weight: float = field(default=1.0, repr=False)

    def add(self, last_running: float, first_done: float | None) -> None:
        """Count a job. `first_done` is None if the job was never seen done."""
        high = _BINS if first_done is None else max(nearest_edge(first_done), 1)
        key = min(nearest_edge(last_running), high - 1), high
        # Make old jobs count less by raising the weight of each new job. This is faster than
        # reducing all old weights.
        self._newest_weight *= 1.0 + 1.0 / _MEMORY_JOBS
        self._weights[key] = self._weights.get(key, 0.0) + self._newest_weight
        self.count += 1

    def density(self, eta_prior: float = 0.0) -> list[float]:
        """
        Return, for each bin, the probability that a job ends in it.

        The list ends with the last bin in which a job may end.

        Args:
            eta_prior: The prior probability that a job ends just before its eta.
        """
        self._decay()
        ends = (low + _BINS_PER_DOUBLING if high == _BINS else high for low, high in self._weights)
        top = min(max(ends), _BINS)
        probabilities = [(EDGES[k + 1] - EDGES[k]) * (EDGES[k] + EDGES[k + 1]) for k in range(top)]
        if eta_prior and top >= _EDGE_OF_ONE:
            probabilities = _with_eta_prior(_normalized(probabilities), eta_prior)
        for _ in range(_EM_ROUNDS):
            probabilities = _normalized(_smoothed(self._redistributed(probabilities)))
        if eta_prior:
            # Smoothing has moved some probability past the eta. Move this probability back.
            # Otherwise, plans would add a poll after a correct eta.
            probabilities = _normalized(self._redistributed(probabilities))
        return self._kernel_smoothed(probabilities)

    def to_list(self) -> list[tuple[int, int, float]]:
        """Return each interval with the weight of its jobs, as JSON values."""
        self._decay()
        return [(low, high, round(weight, 4)) for (low, high), weight in self._weights.items()]

    @classmethod
    def from_list(cls, count: int, seen: Iterable[tuple[int, int, float]]) -> "IntervalHistogram":
        """
        Restore a histogram from its `count` and from what `to_list` returned.

        Raises:
            ValueError: The values did not come from `to_list`.
        """
        found = {(int(low), int(high)): float(weight) for low, high, weight in seen}
        for (low, high), weight in found.items():
            if not (0 <= low < high <= _BINS and _MIN_WEIGHT / 2 < weight <= _MAX_WEIGHT):
                raise ValueError(f"invalid interval: from {low} to {high}, weight {weight}")
        if count < 0 or (found and max(found.values()) < _MIN_LATEST_WEIGHT):
            raise ValueError("invalid count of jobs, or the latest job weighs less than 1")
        return cls(int(count) if found else 0, found)

    def _decay(self) -> None:
        weights = {key: weight / self._newest_weight for key, weight in self._weights.items()}
        self._weights = {key: weight for key, weight in weights.items() if weight > _MIN_WEIGHT}
        self._newest_weight = 1.0

    def _redistributed(self, probabilities: Sequence[float]) -> list[float]:
        """Spread each interval's weight over its bins, in proportion to their `probabilities`."""
        top, cumulative = len(probabilities), [0.0, *accumulate(probabilities)]
        factors = [0.0] * (top + 1)
        for (low, high), weight in self._weights.items():
            end = min(high, top)
            if (mass := cumulative[end] - cumulative[low]) > _EPSILON**2:
                factors[low] += weight / mass
                factors[end] -= weight / mass
        # Rounding errors may make a sum slightly negative.
        shares = zip(probabilities, accumulate(factors), strict=False)
        return [max(0.0, probability * factor) for probability, factor in shares]

    def _kernel_smoothed(self, probabilities: Sequence[float]) -> list[float]:
        """
        Spread the probability of each bin evenly over the bins around it.

        The more jobs ended nearby, the fewer bins share the probability.
        """
        top, cumulative = len(probabilities), [0.0, *accumulate(probabilities)]
        all_bins = min(_BINS, top + _UNSEEN_BINS)
        jobs = sum(self._weights.values())
        min_mass = min(0.5, _SMOOTHING_JOBS / jobs)
        slopes, width = [0.0] * (all_bins + 1), 0
        for edge, mass in enumerate(probabilities):
            if mass < _EPSILON:
                continue
            while _mass_around(cumulative, edge, width) < min_mass:
                width += 1
            while width and _mass_around(cumulative, edge, width - 1) >= min_mass:
                width -= 1
            _spread_mass(slopes, max(0, edge - width), min(all_bins, edge + width + 1), mass)
        if all_bins > top:
            _spread_mass(slopes, top, all_bins, _UNSEEN_JOBS / jobs)
        return _normalized([max(0.0, height) for height in accumulate(slopes[:-1])])


def _mass_around(cumulative: Sequence[float], edge: int, width: int) -> float:
    return cumulative[min(len(cumulative) - 1, edge + width + 1)] - cumulative[max(0, edge - width)]


def _spread_mass(slopes: list[float], low: int, high: int, mass: float) -> None:
    slopes[low] += mass / (high - low)
    slopes[high] -= mass / (high - low)


def _with_eta_prior(probabilities: Sequence[float], share: float) -> list[float]:
    """Move the fraction `share` of each bin's probability to the bins just before the eta."""
    low = _EDGE_OF_ONE - _BINS_BEFORE_ONE
    peak = [
        share / _BINS_BEFORE_ONE if low <= k < _EDGE_OF_ONE else 0.0
        for k in range(len(probabilities))
    ]
    return [
        (1.0 - share) * probability + more
        for probability, more in zip(probabilities, peak, strict=True)
    ]


def _smoothed(values: Sequence[float]) -> list[float]:
    rows = zip([values[0], *values], values, [*values[1:], values[-1]], strict=False)
    return [(left + 2.0 * middle + right) / 4.0 for left, middle, right in rows]


def _normalized(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total for value in values]
