"""GrantedPollTimes: lets polls of one key start only at times that an account granted."""

import math
from collections import deque
from collections.abc import Callable, Iterable

from attrs import Factory, define

from .account_reports import MAX_LATENESS_S


@define(eq=False)
class GrantedPollTimes:
    """
    Limits polls to the times that an account granted to this client. It replaces `RateLimiter`.

    A time that is not used within `MAX_LATENESS_S` expires. When none is left, the client asks for
    twice as many as last time, so that a busy client asks rarely. If some expired unused, it asks
    for as many as last time.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when a poll wants to start and no time is left.

    Attributes:
        wanted: The number of times to ask for; 0 unless a poll waits for a time.
        is_limited: Whether polls need a granted time. The account's first answer may change it.
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
            # If all times expired unused, the account answered too late. More times would reach
            # further into the future.
            is_partly_lost = 0 < self._used < self._granted
            self.wanted = self._granted if is_partly_lost else max(1, 2 * self._granted)
            self.on_empty()
        return math.inf

    def record(self, _now: float) -> None:
        """Consume the next time, if polls need one, because a poll starts now."""
        if self.is_limited:
            self._times.popleft()
            self._used += 1

    def grant(self, times: Iterable[float]) -> None:
        """Add times that the account granted, on the event loop's clock."""
        self._times.extend(times)
        self._granted, self._used, self.wanted = len(self._times), 0, 0
