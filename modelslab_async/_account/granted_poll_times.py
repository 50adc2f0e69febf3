"""GrantedPollTimes: lets polls of one key start only at times that an account granted."""

import math
from collections import deque
from collections.abc import Callable, Iterable

from attrs import Factory, define, frozen

from .network_stall_detection import StalledPolls
from .poll_permits import MAX_LATENESS_S
from .report_and_answer_types import PollResult

# The start of each poll is reported. If the answer comes later than usual by more than this many
# seconds, the poll is reported again, with a later start. `HELD_BACK_SHARE` covers smaller delays.
_MAX_UNREPORTED_DELAY_S = 0.02
# The maximum delay, in seconds, that is reported for a poll that was not overdue. The limit is low,
# because the cause may be a slow server instead of the network.
_MAX_REPORTED_DELAY_S = 0.1


@frozen
class _GrantedTime:
    """A granted poll time, on the event loop's clock and on the account's clock."""

    when: float
    granted: float

    def result(self, moment: float) -> PollResult:
        """Return the result for a poll that may have reached the server as late as `moment`."""
        return PollResult(self.granted, self.granted + max(0.0, moment - self.when))


@define(eq=False)
class GrantedPollTimes:
    """
    The rate limiter of a client with an account. It lets polls start only at granted times.

    A granted time expires if no poll uses it within `MAX_LATENESS_S`. When no times are left, the
    client asks for twice as many as before, so that a busy client asks less often. If some of the
    times expired unused, the client asks for the same number again.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when a poll has to wait because no granted time is left.

    Attributes:
        wanted: The number of times to ask for; 0 if no poll waits for a time.
        is_limited: Whether polls need a granted time. Each answer of the account sets it.
    """

    clock: Callable[[], float]
    on_empty: Callable[[], object]
    wanted: int = 0
    is_limited: bool = True
    _times: deque[_GrantedTime] = Factory(deque)
    _results: deque[PollResult] = Factory(deque)
    _reported: int = 0
    _in_flight: dict[float, list[_GrantedTime]] = Factory(dict[float, list[_GrantedTime]])
    _granted: int = 0
    _used: int = 0
    _unanswered: StalledPolls = Factory(StalledPolls)

    @property
    def next_allowed(self) -> float:
        """The time at which the next poll may start; infinity while no granted time is left."""
        if not self.is_limited:
            return -math.inf
        now = self.clock()
        if (probe_at := self._unanswered.allowed_at(now)) > now:
            return probe_at
        lost_before = now - MAX_LATENESS_S
        while self._times and self._times[0].when < lost_before:
            self._results.append(PollResult(self._times.popleft().granted, rests_from=None))
        if self._times:
            return self._times[0].when
        if not self.wanted:
            # If no time was used, the account answered too late. A larger number of times reaches
            # further into the future, so some can be used even if the next answer is late too.
            is_partly_lost = 0 < self._used < self._granted
            self.wanted = self._granted if is_partly_lost else max(1, 2 * self._granted)
            self.on_empty()
        return math.inf

    def record(self, now: float) -> None:
        """Use up the next granted time, because a poll starts now."""
        if self.is_limited:
            time = self._times.popleft()
            self._results.append(time.result(now))
            self._in_flight.setdefault(now, []).append(time)
            self._used += 1
            self._unanswered.add(now)

    def finish(self, started: float, now: float, *, is_answered: bool) -> None:
        """Record that a poll has ended. It started at the time `started`."""
        if (times := self._in_flight.get(started)) is not None:
            time = times.pop()
            if not times:
                del self._in_flight[started]
            delay_s = self._unanswered.extra_seconds(now - started)
            if self._unanswered.is_late(now - started):
                # The network may have held the poll back until now, so its permit rests from now.
                self._results.append(time.result(now))
            elif delay_s > _MAX_UNREPORTED_DELAY_S:
                moment = started + min(delay_s, _MAX_REPORTED_DELAY_S)
                self._results.append(time.result(moment))
        self._unanswered.remove(started, now, is_answered=is_answered)

    def report_results(self) -> tuple[PollResult, ...]:
        """
        Return the poll results that the account does not know yet.

        A poll that the network may hold back is reported again each time, because it may reach the
        server at any moment.
        """
        now = self.clock()
        held_back = [
            time.result(now)
            for started in self._unanswered.held_back(now)
            for time in self._in_flight.get(started, ())
        ]
        self._reported = len(self._results)
        return (*self._results, *held_back)

    def forget_reported(self) -> None:
        """Forget the results of the last `report_results`, because the account knows them now."""
        for _ in range(self._reported):
            self._results.popleft()
        self._reported = 0

    def grant(self, times: Iterable[float], account_offset: float) -> None:
        """
        Add poll times that the account granted.

        Args:
            times: The times on the account's clock.
            account_offset: The account's clock minus the clock of the event loop.
        """
        self._times.extend(_GrantedTime(granted - account_offset, granted) for granted in times)
        self._granted, self._used, self.wanted = len(self._times), 0, 0
