"""GrantedPollTimes: lets polls of one key start only at times that an account granted."""

import math
from collections import deque
from collections.abc import Callable, Iterable

from attrs import Factory, define

from .account_messages import MAX_LATENESS_S
from .stalled_polls import StalledPolls


@define(eq=False)
class GrantedPollTimes:
    """
    Lets polls start only at granted times. A client with an account uses it as its rate limiter.

    A granted time expires if no poll uses it within `MAX_LATENESS_S`. When no times are left, the
    client asks for twice as many as before, so that a busy client asks less often. If some of the
    times expired unused, the client asks for the same number again.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when a poll has to wait because no granted time is left.

    Attributes:
        wanted: The number of times to ask for; 0 unless a poll waits for a time.
        is_limited: Whether polls need a granted time. Each answer of the account sets it.
    """

    clock: Callable[[], float]
    on_empty: Callable[[], object]
    wanted: int = 0
    is_limited: bool = True
    _times: deque[float] = Factory(deque)
    _granted: int = 0
    _used: int = 0
    _unanswered: StalledPolls = Factory(StalledPolls)

    @property
    def next_allowed(self) -> float:
        """When the next poll may start; infinity while no granted time is left."""
        if not self.is_limited:
            return -math.inf
        now = self.clock()
        if (probe_at := self._unanswered.allowed_at(now)) > now:
            return probe_at
        lost_before = now - MAX_LATENESS_S
        while self._times and self._times[0] < lost_before:
            self._times.popleft()
        if self._times:
            return self._times[0]
        if not self.wanted:
            # If all times expired unused, the account answered too late. Ask for more times then,
            # because some of them may still be in the future when the next answer comes.
            is_partly_lost = 0 < self._used < self._granted
            self.wanted = self._granted if is_partly_lost else max(1, 2 * self._granted)
            self.on_empty()
        return math.inf

    def record(self, now: float) -> None:
        """Use up the next granted time, because a poll starts now."""
        if self.is_limited:
            self._times.popleft()
            self._used += 1
            self._unanswered.add(now)

    def finish(self, started: float, now: float, *, is_answered: bool) -> None:
        """Record that a poll has ended. It started at the time `started`."""
        self._unanswered.remove(started, now, is_answered=is_answered)

    def grant(self, times: Iterable[float]) -> None:
        """Add poll times that the account granted. They are on the event loop's clock."""
        self._times.extend(times)
        self._granted, self._used, self.wanted = len(self._times), 0, 0
