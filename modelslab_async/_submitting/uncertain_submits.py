"""Doubts: submits that may have started work, and so may hold a place that nobody hears of."""

from collections import deque

from attrs import Factory, define

# How long the work of an endpoint is taken to last while none of it has ended here.
_UNKNOWN = 120.0
# However long it lasts, nobody keeps a place for longer for work that may not be there.
_LONGEST = 600.0
_FEW = 8


@define(eq=False)
class Doubts:
    """
    Counts the submits of which nobody knows whether they started work.

    Each counts for as long as the longest of the last eight of its endpoint took, ten minutes at
    the most, and for two minutes where none has ended here.

    Attributes:
        count: How many count.
    """

    count: int = 0
    _since: dict[str, deque[float]] = Factory(dict)
    _took: dict[str, deque[float]] = Factory(dict)

    def add(self, endpoint: str, now: float) -> None:
        """A submit may have started work at this endpoint."""
        self._since.setdefault(endpoint, deque()).append(now)
        self.count += 1

    def learn(self, endpoint: str, seconds: float) -> None:
        """Work of this endpoint took so long."""
        self._took.setdefault(endpoint, deque(maxlen=_FEW)).append(seconds)

    def forget(self, now: float) -> float | None:
        """Stop counting those whose work would be over; says when the next one would be."""
        ends = []
        for endpoint, since in self._since.items():
            lasts = min(max(self._took.get(endpoint, (_UNKNOWN,))), _LONGEST)
            while since and since[0] + lasts <= now:
                since.popleft()
                self.count -= 1
            if since:
                ends.append(since[0] + lasts)
        return min(ends, default=None)
