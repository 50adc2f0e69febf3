"""Rate: how many looks one key may have in a second: spread evenly, and never more in any."""

from collections import deque
from math import ceil

from attrs import define, field

# A timer that rings late may be made up for within this time, so that lateness costs no looks.
_MAX_CATCH_UP_S = 0.05


@define(eq=False)
class RateLimiter:
    """
    Lets looks pass one by one, `rate` in a second.

    They are spaced evenly; where the loop was late, the next ones follow faster. But any second
    sees no more than the rate. Of a rate that is no whole number, any time in which it makes the
    next whole number sees no more than that: with 2.5 it is 3 in any 1.2 seconds.
    """

    rate: float
    _next_even: float = 0.0
    _recent: deque[float] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._recent = deque(maxlen=ceil(self.rate))

    @property
    def next_allowed(self) -> float:
        """When the next look may pass."""
        burst = ceil(self.rate)
        if len(self._recent) < burst:
            return self._next_even
        return max(self._next_even, self._recent[0] + burst / self.rate)

    def record(self, now: float) -> None:
        """Count a look that goes out now."""
        self._recent.append(now)
        self._next_even = max(self._next_even, now - _MAX_CATCH_UP_S) + 1.0 / self.rate
