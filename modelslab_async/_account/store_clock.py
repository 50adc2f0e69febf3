"""StoreClock: tells the time of a distant store by the clock of this machine. It sends nothing."""

import math

from attrs import define

# Two clocks may drift apart by this much in a second, while their system adjusts one of them.
_DRIFT = 0.0005


@define
class StoreClock:
    """
    The time of a store, from its time in each reply.

    The store's clock minus ours lies between `theirs - received` and `theirs - sent`. The
    interval of each reply narrows what is known. A reply that contradicts it means that a clock
    was set, and starts anew. The time is the earliest possible one, so that a moment which the
    store granted is never used too early.
    """

    _least: float = -math.inf
    _most: float = math.inf
    _seen_at: float = 0.0

    def observe(self, *, sent: float, received: float, theirs: float) -> None:
        """Learn from one reply. `sent` and `received` are on our clock."""
        drift = _DRIFT * max(0.0, received - self._seen_at)
        least = max(self._least - drift, theirs - received)
        most = min(self._most + drift, theirs - sent)
        if least > most:
            least, most = theirs - received, theirs - sent
        self._least, self._most, self._seen_at = least, most, received

    def at(self, ours: float) -> float:
        """Return the store's time at a moment on our clock."""
        return ours + self._least
