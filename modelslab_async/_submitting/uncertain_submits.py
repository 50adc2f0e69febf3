"""Doubts: submits that may have started work, and so may hold a place that nobody hears of."""

from collections import deque

from attrs import Factory, define

# How long the work of an endpoint is taken to last while none of it has ended here.
_DEFAULT_DURATION_S = 120.0
# However long it lasts, nobody keeps a place for longer for work that may not be there.
_MAX_DURATION_S = 600.0
_DURATIONS_KEPT = 8


@define(eq=False)
class UncertainSubmits:
    """
    Counts the submits of which nobody knows whether they started work.

    Each counts for as long as the longest of the last eight of its endpoint took, ten minutes at
    the most, and for two minutes where none has ended here.

    Attributes:
        count: How many count.
    """

    count: int = 0
    _submit_times: dict[str, deque[float]] = Factory(dict)
    _durations: dict[str, deque[float]] = Factory(dict)

    def add(self, endpoint: str, now: float) -> None:
        """A submit may have started work at this endpoint."""
        self._submit_times.setdefault(endpoint, deque()).append(now)
        self.count += 1

    def record_duration(self, endpoint: str, seconds: float) -> None:
        """Work of this endpoint took so long."""
        self._durations.setdefault(endpoint, deque(maxlen=_DURATIONS_KEPT)).append(seconds)

    def expire(self, now: float) -> float | None:
        """Stop counting those whose work would be over; says when the next one would be."""
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
