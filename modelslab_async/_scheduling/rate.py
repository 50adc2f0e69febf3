"""Rate: how many looks one key may have in a second: spread evenly, and never more in any."""

from collections import deque
from math import ceil

from attrs import define, field

# A timer that rings late may be made up for within this time, so that lateness costs no looks.
_SLACK = 0.05


@define(eq=False)
class Rate:
    """
    Lets looks pass one by one, `rate` in a second.

    They are spaced evenly; where the loop was late, the next ones follow faster. But any second
    sees no more than the rate. Of a rate that is no whole number, any time in which it makes the
    next whole number sees no more than that: with 2.5 it is 3 in any 1.2 seconds.
    """

    rate: float
    _slot: float = 0.0
    _passed: deque[float] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._passed = deque(maxlen=ceil(self.rate))

    @property
    def opens(self) -> float:
        """When the next look may pass."""
        most = ceil(self.rate)
        if len(self._passed) < most:
            return self._slot
        return max(self._slot, self._passed[0] + most / self.rate)

    def passed(self, now: float) -> None:
        """Count a look that goes out now."""
        self._passed.append(now)
        self._slot = max(self._slot, now - _SLACK) + 1.0 / self.rate
