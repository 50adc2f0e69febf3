"""Sightings: between which looks a job ended, and what other looks at it would have cost."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from attrs import frozen

_NOTHING = 1e-9


def walk(step: Callable[[float], float], until: float) -> list[float]:
    """The moments of the looks at a job, up to the first that is not before `until`."""
    moments = [step(0.0)]
    while moments[-1] < until:
        moments.append(moments[-1] + step(moments[-1]))
    return moments


@frozen
class Sighting:
    """
    What is known of one job's end.

    Attributes:
        running: The age when it was last seen running.
        over: The age when it was first seen over.
        share: Which part of all jobs is over by an age.
    """

    running: float
    over: float
    share: Callable[[float], float]

    def aligned(self, moments: Sequence[float], slack: Callable[[float], float]) -> list[float]:
        """The same moments, but those that only chance parts from a real look are that look."""
        found = list[float]()
        for moment in moments:
            found.append(self._aligned(moment, slack(moment)))
            if found[-1] >= self.over:
                break
        return found

    def tells(self, moments: Sequence[float]) -> bool:
        """Whether it is certain which of these looks would have found the job over."""
        return not any(self.running < moment < self.over for moment in moments)

    def cost(self, moments: Sequence[float], look: float) -> float:
        """What these looks cost on average, together with the age at which they find it over."""
        total, low = 0.0, self.running
        for number in range(bisect_right(moments, self.running), len(moments)):
            high = min(moments[number], self.over)
            total += self._part(low, high) * ((number + 1) * look + moments[number])
            low = high
        return total

    def _aligned(self, moment: float, near: float) -> float:
        if moment > self.running and abs(moment - self.over) <= near:
            return max(moment, self.over)
        return min(moment, self.running) if abs(moment - self.running) <= near else moment

    def _part(self, low: float, high: float) -> float:
        among = self.share(self.over) - self.share(self.running)
        if among > _NOTHING:
            return (self.share(high) - self.share(low)) / among
        return (high - low) / (self.over - self.running)
