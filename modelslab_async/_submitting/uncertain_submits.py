"""UncertainSubmits: counts submits that may have started work. It never asks about them."""

from collections import deque

from attrs import Factory, define

# How long work is assumed to last at an endpoint where none has ended yet.
_DEFAULT_DURATION_S = 120.0
# The longest time that an uncertain submit holds a slot.
_MAX_DURATION_S = 600.0
_DURATIONS_KEPT = 8


@define(eq=False)
class UncertainSubmits:
    """
    Counts the submits that may or may not have started work, and so may hold slots.

    Each counts for the longest of the last eight durations at its endpoint, and for ten minutes at
    most. At an endpoint where no work has ended yet it counts for two minutes.

    Attributes:
        count: How many count now.
    """

    count: int = 0
    _submit_times: dict[str, deque[float]] = Factory(dict)
    _durations: dict[str, deque[float]] = Factory(dict)

    def add(self, endpoint: str, now: float) -> None:
        """Count a submit to an endpoint."""
        self._submit_times.setdefault(endpoint, deque()).append(now)
        self.count += 1

    def record_duration(self, endpoint: str, seconds: float) -> None:
        """Learn how long a piece of work took at an endpoint."""
        self._durations.setdefault(endpoint, deque(maxlen=_DURATIONS_KEPT)).append(seconds)

    def expire(self, now: float) -> float | None:
        """Stop counting submits whose work would be over; return when the next one will be."""
        expiries = []
        for endpoint, submit_times in self._submit_times.items():
            duration = min(
                max(self._durations.get(endpoint, (_DEFAULT_DURATION_S,))), _MAX_DURATION_S
            )
            while submit_times and submit_times[0] + duration <= now:
                submit_times.popleft()
                self.count -= 1
            if submit_times:
                expiries.append(submit_times[0] + duration)
        return min(expiries, default=None)
