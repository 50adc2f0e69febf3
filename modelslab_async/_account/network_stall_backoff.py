"""StalledPolls: detects that the network is holding polls back."""

import math

from attrs import Factory, define

# Before the first answer, a poll is overdue after this many seconds.
_FIRST_PATIENCE_S = 0.25
# After the first answer, a poll is overdue after at least this many seconds. If the server usually
# answers more slowly, the time is longer.
_MIN_PATIENCE_S = 0.05
# The time after which a poll is overdue is computed as in RFC 6298: the average response time, plus
# four times its average deviation. Each weight is the share of the newest response in a moving
# average. https://www.rfc-editor.org/rfc/rfc6298
_TIME_WEIGHT = 0.125
_DEVIATION_WEIGHT = 0.25
_DEVIATIONS = 4.0
_MAX_RECORDED_PATIENCES = 4.0
_PROBE_INTERVAL_S = 1.0
_MAX_PROBE_DOUBLINGS = 3


@define(eq=False)
class StalledPolls:
    """
    Tracks the polls in flight, and slows down new polls while the network may hold polls back.

    When a network interruption ends, the server may receive all delayed polls at once. Together,
    they could exceed the rate. So once a poll is overdue, and no later poll has been answered, new
    polls start one by one, at growing intervals, until a poll is answered.

    This answer ends the stall. But older polls may still reach the server much later, because each
    connection decides on its own when to resend its data.
    """

    _counts: dict[float, int] = Factory(dict[float, int])
    _late: dict[float, int] = Factory(dict[float, int])
    _probes: int = 0
    _answer_s: float = 0.0
    _deviation_s: float = 0.0
    _patience_s: float = _FIRST_PATIENCE_S

    def allowed_at(self, now: float) -> float:
        """Return the time at which the next poll may start; -inf if polls are not slowed down."""
        if not self._is_overdue(now):
            return -math.inf
        last = next(reversed(self._counts))
        return last + _PROBE_INTERVAL_S * (1 << min(self._probes, _MAX_PROBE_DOUBLINGS))

    def held_back(self, now: float) -> list[float]:
        """Return the start times of the polls in flight that the network may be delaying."""
        if not self._is_overdue(now):
            return [*self._late]
        overdue = (started for started in self._counts if self.is_late(now - started))
        return [*self._late, *overdue]

    def is_late(self, seconds: float) -> bool:
        """Whether a poll without an answer is overdue after this many seconds."""
        return seconds > self._patience_s

    def extra_seconds(self, seconds: float) -> float:
        """Return by how many seconds this response time is longer than usual."""
        if not self._answer_s:
            return 0.0
        return max(0.0, seconds - self._answer_s - self._deviation_s)

    def add(self, now: float) -> None:
        """Record that a poll starts now."""
        self._probes += self._is_overdue(now)
        self._counts[now] = self._counts.get(now, 0) + 1

    def remove(self, started: float, now: float, *, is_answered: bool) -> None:
        """Record the end of a poll that started at the time `started`."""
        if is_answered:
            was_stalled = self._is_overdue(now)
            # If this poll is no longer in `_counts`, a later poll was answered first. Do not record
            # its response time, because the network may have delayed the poll by a minute. Record
            # every other response time, even a long one, because the server may be slow. But cap
            # the recorded time, because a long one would delay the detection of the next stall.
            if started in self._counts:
                limit_s = _MAX_RECORDED_PATIENCES * self._patience_s
                self._record_time(min(now - started, limit_s))
            # The answer shows that the network delivers requests again. So older polls without an
            # answer no longer indicate a stall: remove them from `_counts`. If this answer ends a
            # stall, move them to `_late`, because they may still reach the server.
            while self._counts and (oldest := next(iter(self._counts))) <= started:
                count = self._counts.pop(oldest)
                if was_stalled:
                    self._late[oldest] = count
        _subtract_one(self._counts, started)
        _subtract_one(self._late, started)
        if is_answered or not self._counts:
            self._probes = 0

    def _is_overdue(self, now: float) -> bool:
        return bool(self._counts) and self.is_late(now - next(iter(self._counts)))

    def _record_time(self, seconds: float) -> None:
        if self._answer_s:
            change = abs(seconds - self._answer_s)
            self._deviation_s += _DEVIATION_WEIGHT * (change - self._deviation_s)
            self._answer_s += _TIME_WEIGHT * (seconds - self._answer_s)
        else:
            self._answer_s, self._deviation_s = seconds, seconds / 2.0
        # Limit the margin to the average response time. With a larger margin, more polls would
        # start before a stall is noticed.
        margin_s = min(_DEVIATIONS * self._deviation_s, self._answer_s)
        self._patience_s = max(_MIN_PATIENCE_S, self._answer_s + margin_s)


def _subtract_one(counts: dict[float, int], started: float) -> None:
    if counts.get(started, 0) > 1:
        counts[started] -= 1
    else:
        counts.pop(started, None)
