"""Pace: when to look next, and when to stop asking. Pure arithmetic; time and chance are given."""

from collections.abc import Mapping
from typing import Any, Self

from attrs import field, frozen
from attrs.validators import and_, ge, instance_of, le

from .adaptive.adaptive_pace import AdaptivePace

_seconds = and_(instance_of((int, float)), ge(0.0))
_positive = and_(_seconds, ge(0.001))
_MAX_BACKOFF_S = 60.0


@frozen(kw_only=True)
class Pace:
    """
    The rule that says when a ticket is looked at.

    The first look is due at once, or after one step where the work was submitted just now. A step
    is `floor` at first, and longer by `rise` of the time that the job has already run, up to
    `stride`; from where `share` of that time is more, it is that, up to `ceiling`. So a job that
    ran T seconds is noticed within `max(min(floor + rise * T, stride), share * T)` and one round
    trip, and in the long run the number of looks grows with the logarithm of T.

    A known eta is waited for in one step, but for no longer than `patience` seconds or the time
    that the job has already run, if that is more: an eta that is too long costs no more than that.

    Args:
        floor: The seconds from one look at a young job to the next.
        growth: Which part of a job's age is added to that.
        growth_cap: The seconds at which a step rises no more.
        age_fraction: Which part of a job's age a step is at least, once it has run for long.
        ceiling: The most seconds between two looks at a ticket.
        max_eta_wait: The most seconds that an eta puts a look off at first; 0 to heed no eta.
        jitter: Which part of each step is left to chance. Chance shortens a step, or lets it end
            a little after the eta.
        max_failures: How many looks in a row may go wrong before a ticket's wait ends as `Unresolved`.
        outage: For how many seconds a host may answer nothing at all before every wait for it ends.
        grace: Seconds for which "request not found" is taken for "not known yet".
    """

    floor: float = field(default=2.5, validator=_positive)
    growth: float = field(default=0.3, validator=_seconds)
    growth_cap: float = field(default=9.5, validator=_seconds)
    age_fraction: float = field(default=0.05, validator=_seconds)
    ceiling: float = field(default=300.0, validator=_positive)
    max_eta_wait: float = field(default=75.0, validator=_seconds)
    jitter: float = field(default=0.1, validator=and_(_seconds, le(1.0)))
    max_failures: int = field(default=10, validator=and_(instance_of(int), ge(1)))
    outage: float = field(default=3600.0, validator=_seconds)
    grace: float = field(default=5.0, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.ceiling < self.floor:
            raise ValueError(f"ceiling ({self.ceiling}) is less than floor ({self.floor})")

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """The same step every time, as a hand-written loop would do it."""
        return cls(
            floor=seconds,
            growth=0.0,
            age_fraction=0.0,
            ceiling=seconds,
            max_eta_wait=0.0,
            jitter=0.0,
        )

    @staticmethod
    def adaptive(
        plain: "Pace | None" = None,
        *,
        poll_cost: float = 1.0,
        saved: Mapping[str, Any] | None = None,
    ) -> AdaptivePace:
        """
        A pace that begins as the plain one, and learns how long the jobs of each family take.

        Args:
            plain: The pace to begin with; the default one if None.
            poll_cost: What a look costs: as much as a result that is noticed so many seconds late.
            saved: What `Learned.to_dict` gave, to go on from there.

        Raises:
            ValueError: `look` is not above 0, or `saved` is nothing that `to_dict` gave.
        """
        adaptive = AdaptivePace(plain or Pace(), poll_cost)
        if saved is not None:
            adaptive.restore(saved)
        return adaptive

    @property
    def limits(self) -> Self:
        """Itself: a plain pace is its own rule for troubles too."""
        return self

    def for_family(self, _family: str, /) -> Self:
        """Itself: a plain pace is the same for every family."""
        return self

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """Nothing: a plain pace stays what it is."""

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """
        Seconds until the first look, `chance` being a number from 0 to 1.

        Args:
            eta: What the server said about the seconds left, if it said something.
            jitter: What parts tickets that were taken together.
            just_submitted: Whether the work was submitted just now, so that a look at once is for nothing.
        """
        if just_submitted or (eta and self.max_eta_wait):
            return self.step(0.0, jitter, eta=eta)
        return 0.0

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """
        Seconds from one look to the next.

        Args:
            age: For how many seconds the job has run.
            jitter: What parts tickets that were taken together.
            eta: The age at which the job should be over, if the server said so.
        """
        shortening = self.jitter * jitter
        if eta is None or eta <= age or not self.max_eta_wait:
            return self.base_step(age) * (1.0 - shortening)
        # Tickets submitted together share an eta; a look before it would be for nothing.
        longest_wait = min(max(self.max_eta_wait, age), self.ceiling) * (1.0 - shortening)
        return min(eta - age + self.base_step(eta) * shortening, longest_wait)

    def base_step(self, age: float) -> float:
        """The seconds of a step at that age, before chance shortens it."""
        grown = min(self.floor + self.growth * age, max(self.growth_cap, self.floor))
        return min(max(grown, self.age_fraction * age), self.ceiling)

    def backoff(self, failures: int, jitter: float) -> float:
        """Seconds to leave alone what has gone wrong `setbacks` times in a row."""
        limit = max(self.floor, _MAX_BACKOFF_S)
        return min(self.floor * 2.0 ** min(failures - 1, 30), limit) * (1.0 - 0.5 * jitter)
