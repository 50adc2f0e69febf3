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

    Each time is used within `MAX_LATENESS_S`, or lost. When none is left, twice as many are asked
    for as were granted before, so that a busy client asks seldom. If some of those were lost, no
    more are asked for than before.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when there is no time left and a poll wants to start.

    Attributes:
        wanted: The number of times to ask for; 0 unless a poll waits for a time.
        is_limited: Whether polls need a time. The first answer of the account may change it.
    """

    clock: Callable[[], float]
    on_empty: Callable[[], object]
    wanted: int = 0
    is_limited: bool = True
    _times: deque[float] = Factory(deque)
    _granted: int = 0
    _used: int = 0

    @property
    def next_allowed(self) -> float:
        """When the next poll may start; infinity until the account has granted a time."""
        if not self.is_limited:
            return -math.inf
        lost_before = self.clock() - MAX_LATENESS_S
        while self._times and self._times[0] < lost_before:
            self._times.popleft()
        if self._times:
            return self._times[0]
        if not self.wanted:
            # If all were lost, the answer came too late for them. More times reach further ahead.
            is_partly_lost = 0 < self._used < self._granted
            self.wanted = self._granted if is_partly_lost else max(1, 2 * self._granted)
            self.on_empty()
        return math.inf

    def record(self, _now: float) -> None:
        """Use up the next time, if polls need one, because a poll starts now."""
        if self.is_limited:
            self._times.popleft()
            self._used += 1

    def grant(self, times: Iterable[float]) -> None:
        """Replace the times that are over by new ones, on the clock of the event loop."""
        self._times.extend(times)
        self._granted, self._used, self.wanted = len(self._times), 0, 0
