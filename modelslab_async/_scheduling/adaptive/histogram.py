"""
Intervals: how long jobs took, as far as looks can tell. A small histogram that forgets.

A look sees a job running or over, so that all one ever knows is an interval: it ended after the
last look that saw it running, and not after the first that saw it over. What is kept is how often
each interval was seen, in bins that grow by a twentieth; what is asked for is the distribution that
makes it all the most likely (Turnbull 1976), smoothed (Silverman and others 1990).
"""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from attrs import Factory, define, field

_A_HUNDREDFOLD = 94
_GROWTH = 100.0 ** (1.0 / _A_HUNDREDFOLD)
_SHORTEST = 0.01
_BINS = 330
_MEMORY = 500.0
_FORGOTTEN = 1e-3
# All jobs together weigh no more than the memory, and the last one weighs one.
_HEAVIEST = _MEMORY + 2.0
_LATEST = 0.99
_ROUNDS = 10
# A bin lends to its neighbours until they hold together what so many jobs would.
_COMPANY = 10.0
# Half a job is thought to take longer than any that was seen, up to twenty times as long.
_UNSEEN = 0.5
_BEYOND = round(math.log(20.0) / math.log(_GROWTH))
# A job that nobody saw over is thought to take up to twice as long as it was seen to run.
_TWICE = round(math.log(2.0) / math.log(_GROWTH))
_NOTHING = 1e-9

# There is an edge at 1, to the digit: an honest eta is over just before it.
EDGES: tuple[float, ...] = (
    0.0,
    *(100.0 ** (number / _A_HUNDREDFOLD - 1.0) for number in range(_BINS)),
)


def place(length: float) -> int:
    """The edge that is nearest to a length."""
    if length <= _SHORTEST / 2:
        return 0
    number = round(math.log(min(length, EDGES[-1]) / _SHORTEST) / math.log(_GROWTH))
    return max(1 + number, 1)


_ONE = place(1.0)
_JUST_BEFORE = 3


@define(eq=False)
class Intervals:
    """How often each interval was seen, the older the less."""

    count: int = 0
    _seen: dict[tuple[int, int], float] = Factory(dict)
    _weight: float = field(default=1.0, repr=False)

    def add(self, running: float, over: float | None) -> None:
        """Count one job, last seen running and first seen over; None if it was not seen over."""
        high = _BINS if over is None else max(place(over), 1)
        key = min(place(running), high - 1), high
        # To let the newer weigh more is to let the older weigh less.
        self._weight *= 1.0 + 1.0 / _MEMORY
        self._seen[key] = self._seen.get(key, 0.0) + self._weight
        self.count += 1

    def density(self, believed: float = 0.0) -> list[float]:
        """
        How likely it is that a job ends in each of the bins, from the first on.

        Args:
            believed: How likely it is thought, for want of better knowledge, to end just before 1.
        """
        self._forget()
        ends = (low + _TWICE if high == _BINS else high for low, high in self._seen)
        top = min(max(ends), _BINS)
        chances = [(EDGES[k + 1] - EDGES[k]) * (EDGES[k] + EDGES[k + 1]) for k in range(top)]
        if believed and top >= _ONE:
            chances = _raised(_scaled(chances), believed)
        for _ in range(_ROUNDS):
            chances = _scaled(_blurred(self._explained(chances)))
        if believed:
            # What is blurred over 1 would have a second look follow the one at an honest eta.
            chances = _scaled(self._explained(chances))
        return self._lent(chances)

    def to_list(self) -> list[tuple[int, int, float]]:
        """What is kept, for JSON."""
        self._forget()
        return [(low, high, round(weight, 4)) for (low, high), weight in self._seen.items()]

    @classmethod
    def from_list(cls, count: int, seen: Iterable[tuple[int, int, float]]) -> "Intervals":
        """
        Take back what `to_list` gave.

        Raises:
            ValueError: These are no intervals.
        """
        found = {(int(low), int(high)): float(weight) for low, high, weight in seen}
        for (low, high), weight in found.items():
            if not (0 <= low < high <= _BINS and _FORGOTTEN / 2 < weight <= _HEAVIEST):
                raise ValueError(f"no interval: from {low} to {high}, seen {weight} times")
        if count < 0 or (found and max(found.values()) < _LATEST):
            raise ValueError("no count of jobs: too few, or the last one weighs less than one")
        return cls(int(count) if found else 0, found)

    def _forget(self) -> None:
        weights = {key: weight / self._weight for key, weight in self._seen.items()}
        self._seen = {key: weight for key, weight in weights.items() if weight > _FORGOTTEN}
        self._weight = 1.0

    def _explained(self, chances: Sequence[float]) -> list[float]:
        """Each interval shared out among its bins, as they are likely by themselves."""
        top, below = len(chances), [0.0, *accumulate(chances)]
        factors = [0.0] * (top + 1)
        for (low, high), weight in self._seen.items():
            end = min(high, top)
            if (mass := below[end] - below[low]) > _NOTHING**2:
                factors[low] += weight / mass
                factors[end] -= weight / mass
        # Sums of what is taken away again leave crumbs, and some are less than nothing.
        shares = zip(chances, accumulate(factors), strict=False)
        return [max(0.0, chance * factor) for chance, factor in shares]

    def _lent(self, chances: Sequence[float]) -> list[float]:
        """Spread each bin's mass over as many neighbours as it needs for company."""
        top, below = len(chances), [0.0, *accumulate(chances)]
        full = min(_BINS, top + _BEYOND)
        jobs = sum(self._seen.values())
        company = min(0.5, _COMPANY / jobs)
        slopes, width = [0.0] * (full + 1), 0
        for here, mass in enumerate(chances):
            if mass < _NOTHING:
                continue
            while _within(below, here, width) < company:
                width += 1
            while width and _within(below, here, width - 1) >= company:
                width -= 1
            _raise(slopes, max(0, here - width), min(full, here + width + 1), mass)
        if full > top:
            _raise(slopes, top, full, _UNSEEN / jobs)
        return _scaled([max(0.0, height) for height in accumulate(slopes[:-1])])


def _within(below: Sequence[float], here: int, width: int) -> float:
    return below[min(len(below) - 1, here + width + 1)] - below[max(0, here - width)]


def _raise(slopes: list[float], low: int, high: int, mass: float) -> None:
    slopes[low] += mass / (high - low)
    slopes[high] -= mass / (high - low)


def _raised(chances: Sequence[float], share: float) -> list[float]:
    """Have so much of the whole lie just before 1."""
    low = _ONE - _JUST_BEFORE
    peak = [share / _JUST_BEFORE if low <= k < _ONE else 0.0 for k in range(len(chances))]
    return [(1.0 - share) * chance + more for chance, more in zip(chances, peak, strict=True)]


def _blurred(values: Sequence[float]) -> list[float]:
    rows = zip([values[0], *values], values, [*values[1:], values[-1]], strict=False)
    return [(left + 2.0 * middle + right) / 4.0 for left, middle, right in rows]


def _scaled(values: Sequence[float]) -> list[float]:
    total = sum(values)
    return [value / total for value in values]
