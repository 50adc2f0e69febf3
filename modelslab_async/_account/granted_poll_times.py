"""GrantedPollTimes: lets polls with one API key start only when a shared account allows it."""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable

from attrs import Factory, define, frozen

from .network_stall_backoff import StalledPolls
from .poll_permit_rules import MAX_LATENESS_S
from .report_and_answer_types import PollResult

# If a response comes more than this many seconds later than usual, the network may have delayed the
# poll. So the client reports a later start. Smaller delays do no harm, because the account keeps a
# little more time between polls than the rate requires (see `HELD_BACK_SHARE`).
_MAX_UNREPORTED_DELAY_S = 0.02
# If a poll was slow but not overdue (see `StalledPolls`), the client reports a start at most this
# many seconds after the real start. The maximum is low, because a slow server may have caused the
# delay instead of the network.
_MAX_REPORTED_DELAY_S = 0.1
# Usually, the client reports a poll only after the poll has ended. If a poll takes longer than this
# many seconds, the client reports its start earlier. Until then, the account assumes the latest
# possible start, which may delay the next poll for no reason.
_MAX_UNREPORTED_S = 0.3


@frozen
class _GrantedTime:
    """A granted poll time, on the event loop's clock and on the account's clock."""

    when: float
    granted: float

    def result(self, moment: float, *, is_open: bool = False) -> PollResult:
        """
        Return the `PollResult` of this granted time, which a poll has used.

        Args:
            moment: The time at which the poll counts towards the rate, on the event loop's clock.
                It is the start of the poll, or later if the network may have delayed the poll.
            is_open: Whether the poll is still in flight.
        """
        rests_from = self.granted + max(0.0, moment - self.when)
        return PollResult(self.granted, rests_from, is_open)


@define(eq=False)
class GrantedPollTimes:
    """
    The rate limiter of a client with a shared account. Polls start only at granted times.

    A granted time expires if no poll uses it within `MAX_LATENESS_S`. When no granted time is left,
    the client asks for new times. If polls used all the old times, the client asks for twice as
    many, so that a busy client asks less often. If all of them expired, it also asks for twice as
    many. If polls used only some of them, it asks for the same number again.

    Args:
        clock: Returns the time of the event loop.
        on_empty: Called when a poll has to wait because no granted time is left.

    Attributes:
        wanted: The number of poll times to ask for; 0 if no poll waits for one.
        is_limited: Whether polls need a granted time. Each answer of the account updates this.
    """

    clock: Callable[[], float]
    on_empty: Callable[[], object]
    wanted: int = 0
    is_limited: bool = True
    _times: deque[_GrantedTime] = Factory(deque)
    _results: deque[PollResult] = Factory(deque)
    _reported: int = 0
    _in_flight: dict[float, list[_GrantedTime]] = Factory(dict[float, list[_GrantedTime]])
    _reported_starts: set[float] = Factory(set[float])
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
        self._remove_expired(now)
        if self._times:
            return self._times[0].when
        if not self.wanted:
            # If all times expired, the account's answer came too late. So ask for more times. The
            # last of them are further in the future, so the client can use them even if the next
            # answer is late too.
            is_partly_lost = 0 < self._used < self._granted
            self.wanted = self._granted if is_partly_lost else max(1, 2 * self._granted)
            self.on_empty()
        return math.inf

    @property
    def has_open_times(self) -> bool:
        """Whether some granted times are unused, in use, or not reported to the account yet."""
        return bool(self._times or self._in_flight or self._results)

    def record(self, now: float) -> None:
        """Use up the next granted time, because a poll starts now."""
        if self.is_limited:
            self._in_flight.setdefault(now, []).append(self._times.popleft())
            self._used += 1
            self._unanswered.add(now)

    def finish(self, started: float, now: float, *, is_answered: bool) -> None:
        """Record the end of a poll that started at the time `started`."""
        if (times := self._in_flight.get(started)) is not None:
            time = times.pop()
            if not times:
                del self._in_flight[started]
                self._reported_starts.discard(started)
            delay_s = self._unanswered.extra_seconds(now - started)
            if self._unanswered.is_late(now - started):
                # The network may have delivered the poll only now, so the poll counts from now on.
                moment = now
            elif delay_s > _MAX_UNREPORTED_DELAY_S:
                moment = started + min(delay_s, _MAX_REPORTED_DELAY_S)
            else:
                moment = started
            self._results.append(time.result(moment))
        self._unanswered.remove(started, now, is_answered=is_answered)

    def report_results(self) -> tuple[PollResult, ...]:
        """
        Return the poll results to send to the account.

        These are the results that the account does not know yet, and every poll that the network
        may be holding back. Such a poll may still reach the server at any moment. So each call
        reports it again, as if it started now.
        """
        now = self.clock()
        self._remove_expired(now)
        held_back = self._unanswered.held_back(now)
        self._add_starts(now - _MAX_UNREPORTED_S, set(held_back))
        self._reported = len(self._results)
        held_back_results = [
            time.result(now, is_open=True)
            for started in held_back
            for time in self._in_flight.get(started, ())
        ]
        return (*self._results, *held_back_results)

    def report_last_results(self) -> tuple[PollResult, ...]:
        """Return the results for the final report. After that report, the client starts no poll."""
        now = self.clock()
        unused = [PollResult(time.granted, rests_from=None) for time in self._times]
        self._times.clear()
        cancelled = [time.result(now) for times in self._in_flight.values() for time in times]
        return (*self._results, *unused, *cancelled)

    def forget_reported(self) -> None:
        """Forget the results from the latest `report_results`. The account knows them now."""
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

    def _remove_expired(self, now: float) -> None:
        """Remove the granted times that are too old for a poll, and add a result for each."""
        lost_before = now - MAX_LATENESS_S
        while self._times and self._times[0].when < lost_before:
            self._results.append(PollResult(self._times.popleft().granted, rests_from=None))

    def _add_starts(self, started_before: float, held_back: Collection[float]) -> None:
        """
        Add one result for each poll in flight that started before `started_before`.

        Skip polls for which this method has already added a result. Also skip the polls in
        `held_back`, which the network may be delaying.
        """
        for started, times in self._in_flight.items():
            if started > started_before:
                return
            if started not in self._reported_starts and started not in held_back:
                self._reported_starts.add(started)
                self._results.extend(time.result(started, is_open=True) for time in times)
