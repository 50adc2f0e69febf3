"""GrantedPollTimes: says when the next poll of one key may start, by times that were granted."""

import math
from collections import deque
from collections.abc import Callable, Iterable

from attrs import Factory, define

from .account_reports import MAX_LATENESS_S


@define(eq=False)
class GrantedPollTimes:
    """
    The poll times that an account granted to this client, in place of a `RateLimiter`.

    Each time is used within 20 ms, or lost. If all times are used, more are asked for: twice as
    many as before, so that a busy client asks seldom.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when there is no time left and a poll wants to start.

    Attributes:
        wanted: The number of times to ask for; 0 while some are left.
    """

    clock: Callable[[], float]
    on_empty: Callable[[], object]
    wanted: int = 0
    _times: deque[float] = Factory(deque)
    _next_wanted: int = 1
    _lost: int = 0

    @property
    def next_allowed(self) -> float:
        """When the next poll may start; infinity until the account has granted a time."""
        lost_before = self.clock() - MAX_LATENESS_S
        while self._times and self._times[0] < lost_before:
            self._times.popleft()
            self._lost += 1
        if self._times:
            return self._times[0]
        if not self.wanted:
            self._next_wanted = max(1, self._next_wanted // 2) if self._lost else self._next_wanted
            self._lost = 0
            self.wanted = self._next_wanted
            self.on_empty()
        return math.inf

    def record(self, _now: float) -> None:
        """Use up the next time, because a poll starts now."""
        self._times.popleft()

    def grant(self, times: Iterable[float]) -> None:
        """Add times, on the clock of the event loop."""
        self._times.extend(times)
        if self.wanted:
            self.wanted = 0
            self._next_wanted *= 2
