"""RateLimiter: limits how many polls with one API key start in a second."""

from collections import deque
from collections.abc import Callable
from math import ceil
from typing import Final, Protocol, TypeAlias

from attrs import define, field

from .._models.key_kind import Tier

# If a timer fires late, the next polls come faster, to catch up on at most this many seconds.
_MAX_CATCH_UP_S = 0.05
# At most this many starts of polls are kept, with 32 bytes each.
_MAX_STARTS = 65_536


class PollRate(Protocol):
    """Says when the next poll with one API key may start."""

    @property
    def next_allowed(self) -> float:
        """The time at which the next poll may start; infinity while that time is unknown."""
        ...

    def record(self, now: float, /) -> None:
        """Count a poll that starts now."""
        ...

    def finish(self, started: float, now: float, /, *, is_answered: bool) -> None:
        """Record the end of a poll that started at the time `started`."""
        ...


PollRates: TypeAlias = Callable[[Tier], PollRate | None]
"""Returns the poll rate of a key; None if polls with the key are not limited."""


@define(eq=False)
class RateLimiter:
    """
    Allows `rate` polls a second, at even intervals.

    If a timer fires late, the next polls come faster. Even then, at most `n` polls start within
    `n / rate` seconds, where `n` is the rate, rounded up: 3 polls in 1.2 seconds for a rate of 2.5.
    Above 65,536 polls a second, the rate is divided by the smallest integer that brings `n` to
    65,536 or less, so that memory stays bounded.
    """

    rate: float
    _next_even: float = 0.0
    _recent: deque[float] = field(init=False)
    _window_s: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        parts = max(1, ceil(self.rate / _MAX_STARTS))
        most = ceil(self.rate / parts)
        self._recent = deque(maxlen=most)
        self._window_s = most / self.rate

    @property
    def next_allowed(self) -> float:
        """The time at which the next poll may start."""
        recent = self._recent
        if len(recent) != recent.maxlen:
            return self._next_even
        return max(self._next_even, recent[0] + self._window_s)

    def record(self, now: float) -> None:
        """Count a poll that starts now."""
        self._recent.append(now)
        self._next_even = max(self._next_even, now - _MAX_CATCH_UP_S) + 1.0 / self.rate

    def finish(self, _started: float, _now: float, *, is_answered: bool) -> None:
        """Do nothing when a poll ends, because only the starts of polls are limited."""


def even_poll_rates(rate: float | None) -> PollRates:
    """Return `PollRates` that allow each API key `rate` polls a second. None means no limit."""
    return lambda _: None if rate is None else RateLimiter(rate)


NO_POLL_RATES: Final = even_poll_rates(None)
