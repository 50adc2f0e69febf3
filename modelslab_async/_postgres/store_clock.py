"""StoreClock: estimates the time on a database server's clock."""

import math

from attrs import define

# The maximum drift between two clocks, in seconds per second, while NTP adjusts one of them.
_DRIFT = 0.0005


@define
class StoreClock:
    """
    Estimates the time on a server's clock from the time in each of its replies.

    A reply contains the server's time `theirs`. The client sent the request at `sent` and received
    the reply at `received`, both on its own clock. So the server's clock is ahead of the client's
    clock by at least `theirs - received` and at most `theirs - sent`. Further replies narrow this
    interval. If a later reply contradicts the interval, one of the clocks must have been adjusted,
    so the estimate starts over.

    `at` returns the earliest time that the server's clock may show, so that a client never polls
    too early.
    """

    _least: float = -math.inf
    _most: float = math.inf
    _seen_at: float = 0.0

    def observe(self, *, sent: float, received: float, theirs: float) -> None:
        """
        Update the estimate after a reply that contained the server's time `theirs`.

        `sent` and `received` are the times of the request and of the reply on the client's clock.
        """
        drift = _DRIFT * max(0.0, received - self._seen_at)
        least = max(self._least - drift, theirs - received)
        most = min(self._most + drift, theirs - sent)
        if least > most:
            least, most = theirs - received, theirs - sent
        self._least, self._most, self._seen_at = least, most, received

    def at(self, ours: float) -> float:
        """Return the earliest time that the server's clock may show at the client's time `ours`."""
        return ours + self._least
