"""UnansweredPolls: whether the network holds polls back. It sends nothing and reads no clock."""

import math

from attrs import Factory, define

# Until the first answer comes, a poll is overdue after this many seconds.
_FIRST_PATIENCE_S = 0.25
# Later, the time after which a poll is overdue depends on earlier answers. It is never shorter.
_MIN_PATIENCE_S = 0.05
# The constants of RFC 6298, which computes a timeout from the times of earlier answers. The first
# two are the weights of the newest answer in the mean time and in the mean deviation. The timeout
# is the mean time plus this many deviations: https://www.rfc-editor.org/rfc/rfc6298
_TIME_WEIGHT = 0.125
_DEVIATION_WEIGHT = 0.25
_DEVIATIONS = 4.0
_PROBE_INTERVAL_S = 1.0
_MAX_PROBE_DOUBLINGS = 5


@define(eq=False)
class UnansweredPolls:
    """
    The polls in flight that started after every answered poll, and so may be stuck.

    A network that is cut keeps the requests, and delivers them all at once when it is back. With
    the polls of other clients, they would exceed the rate. So when the oldest of these polls is
    overdue, no further poll starts until one is answered, apart from probes that get rarer.
    """

    _counts: dict[float, int] = Factory(dict[float, int])
    _probes: int = 0
    _answer_s: float = 0.0
    _deviation_s: float = 0.0
    _patience_s: float = _FIRST_PATIENCE_S

    def allowed_at(self, now: float) -> float:
        """Return when the next poll may start; -inf while no poll is overdue."""
        if not self._is_overdue(now):
            return -math.inf
        last = next(reversed(self._counts))
        return last + _PROBE_INTERVAL_S * (1 << min(self._probes, _MAX_PROBE_DOUBLINGS))

    def add(self, now: float) -> None:
        """Record that a poll starts now."""
        self._probes += self._is_overdue(now)
        self._counts[now] = self._counts.get(now, 0) + 1

    def remove(self, started: float, now: float, *, is_answered: bool) -> None:
        """Record that a poll has ended. It started at the time `started`."""
        if is_answered:
            self._record_time(now - started)
            self._probes = 0
            # The network delivers requests again. So if an earlier poll still has no answer, the
            # reason is not the network.
            while self._counts and (oldest := next(iter(self._counts))) <= started:
                del self._counts[oldest]
        elif (count := self._counts.pop(started, 0)) > 1:
            self._counts[started] = count - 1

    def _is_overdue(self, now: float) -> bool:
        return bool(self._counts) and now > next(iter(self._counts)) + self._patience_s

    def _record_time(self, seconds: float) -> None:
        if self._answer_s:
            change = abs(seconds - self._answer_s)
            self._deviation_s += _DEVIATION_WEIGHT * (change - self._deviation_s)
            self._answer_s += _TIME_WEIGHT * (seconds - self._answer_s)
        else:
            self._answer_s, self._deviation_s = seconds, seconds / 2.0
        # Not much more than the usual time, because all polls meanwhile may arrive at once.
        margin_s = min(_DEVIATIONS * self._deviation_s, self._answer_s)
        self._patience_s = max(_MIN_PATIENCE_S, self._answer_s + margin_s)
