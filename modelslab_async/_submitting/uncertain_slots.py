"""UncertainSlots: counts the slots of submits that may have started work."""

from collections import deque

from attrs import Factory, define

# The assumed duration of work at an endpoint where no work has ended yet.
DEFAULT_DURATION_S = 120.0
# The maximum time for which a submit that may have started work holds a slot.
_MAX_DURATION_S = 600.0
_DURATIONS_KEPT = 8
# If the first poll shows that work has ended, and polls began more than this many seconds after the
# submit, the duration of the work is unknown: it may have ended long before.
_MAX_UNOBSERVED_S = DEFAULT_DURATION_S


@define(eq=False)
class UncertainSlots:
    """
    Counts submits that may or may not have started work. Each holds a slot while it is counted.

    Each submit is counted for a limited time. This is the longest duration of the eight most recent
    generations at its endpoint, but at most ten minutes. If no generation has ended at the endpoint
    yet, the time is two minutes. A generation whose end was noticed late does not count.

    Attributes:
        count: The number of submits that are counted now.
    """

    count: int = 0
    _submit_times: dict[str, deque[float]] = Factory(dict)
    _durations: dict[str, deque[float]] = Factory(dict)

    def add(self, endpoint: str, now: float) -> None:
        """Count a submit that may have started work at this endpoint."""
        self._submit_times.setdefault(endpoint, deque()).append(now)
        self.count += 1

    def record_end(self, endpoint: str, age: float, *, observed: float) -> None:
        """
        Record that a generation at an endpoint has ended.

        Args:
            endpoint: The name of the endpoint.
            age: The seconds from its submit to the poll that showed its end.
            observed: The seconds for which polls watched for the end of the work.
        """
        if age - observed <= _MAX_UNOBSERVED_S:
            self.record_duration(endpoint, age)

    def record_duration(self, endpoint: str, seconds: float) -> None:
        """Record how long a generation took at an endpoint."""
        self._durations.setdefault(endpoint, deque(maxlen=_DURATIONS_KEPT)).append(seconds)

    def expire(self, now: float) -> float | None:
        """
        Stop counting each submit that has been counted for long enough.

        Return the time at which to call this method again; None if no submit is counted any more.
        """
        for endpoint, submit_times in self._submit_times.items():
            duration = self._assumed_duration(endpoint)
            while submit_times and submit_times[0] + duration <= now:
                submit_times.popleft()
                self.count -= 1
        return min(self.expiries(), default=None)

    def expiries(self) -> list[float]:
        """
        Return the times at which the counted submits release their slots.

        `record_duration` may change these times.
        """
        return [
            submitted_at + self._assumed_duration(endpoint)
            for endpoint, submit_times in self._submit_times.items()
            for submitted_at in submit_times
        ]

    def _assumed_duration(self, endpoint: str) -> float:
        return min(max(self._durations.get(endpoint, (DEFAULT_DURATION_S,))), _MAX_DURATION_S)
