"""Computes what polling a finished job would have cost if it had been polled at other times."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from attrs import frozen

_EPSILON = 1e-9


def simulate_polls(step: Callable[[float], float], until: float) -> list[float]:
    """
    Return the ages of a job at which a pace would poll it.

    The list ends with the first age that is at least `until`.
    """
    poll_ages = [step(0.0)]
    while poll_ages[-1] < until:
        poll_ages.append(poll_ages[-1] + step(poll_ages[-1]))
    return poll_ages


@frozen
class ObservedJob:
    """
    A finished job. It ended at an unknown time between two polls.

    Attributes:
        last_running: The age at which the job was last seen running.
        first_done: The age at which the job was first seen done.
        fraction_done: Returns the estimated fraction of jobs that end before an age.
    """

    last_running: float
    first_done: float
    fraction_done: Callable[[float], float]

    def aligned(
        self, poll_ages: Sequence[float], tolerance: Callable[[float], float]
    ) -> list[float]:
        """
        Return the ages of simulated polls, adjusted to the jitter of the real polls.

        An age slightly above `last_running` becomes `last_running`. An age slightly below
        `first_done` becomes `first_done`. The list ends with the first poll that sees the job
        done.
        """
        found = list[float]()
        for poll_age in poll_ages:
            found.append(self._aligned(poll_age, tolerance(poll_age)))
            if found[-1] >= self.first_done:
                break
        return found

    def is_conclusive(self, poll_ages: Sequence[float]) -> bool:
        """
        Whether the real polls show what simulated polls at these ages would have seen.

        They do not if a simulated poll is between `last_running` and `first_done`. The job ended at
        an unknown age in between, so this poll might have seen it running or done.
        """
        return not any(self.last_running < poll_age < self.first_done for poll_age in poll_ages)

    def cost(self, poll_ages: Sequence[float], poll_cost: float) -> float:
        """
        Return the expected cost of polls at these ages, in seconds.

        The cost is `poll_cost` for each poll, plus the age at the first poll that sees the job
        done.
        """
        total, low = 0.0, self.last_running
        for number in range(bisect_right(poll_ages, self.last_running), len(poll_ages)):
            high = min(poll_ages[number], self.first_done)
            total += self._fraction(low, high) * ((number + 1) * poll_cost + poll_ages[number])
            low = high
        return total

    def _aligned(self, poll_age: float, tolerance: float) -> float:
        if poll_age > self.last_running and abs(poll_age - self.first_done) <= tolerance:
            return max(poll_age, self.first_done)
        return (
            min(poll_age, self.last_running)
            if abs(poll_age - self.last_running) <= tolerance
            else poll_age
        )

    def _fraction(self, low: float, high: float) -> float:
        whole = self.fraction_done(self.first_done) - self.fraction_done(self.last_running)
        if whole > _EPSILON:
            return (self.fraction_done(high) - self.fraction_done(low)) / whole
        return (high - low) / (self.first_done - self.last_running)
