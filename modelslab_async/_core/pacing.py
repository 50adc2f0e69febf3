"""Pace: when to look next, and when to stop asking. Pure arithmetic; time and chance are given."""

from typing import Self

from attrs import field, frozen
from attrs.validators import and_, ge, instance_of, le

_seconds = and_(instance_of((int, float)), ge(0.0))
_positive = and_(_seconds, ge(0.001))
_BACKOFF_CEILING = 60.0


@frozen(kw_only=True)
class Pace:
    """
    The rule that says when a ticket is looked at.

    The first look is due at once. Each next one is due after `share` of the time the job has
    already run, but after no less than `floor` and no more than `ceiling` seconds. So a job that
    ran T seconds is noticed within `max(floor, share * T)` and one round trip, and the number of
    looks grows with the logarithm of T until the ceiling is reached.

    A known eta puts the next look off, until `floor / share` or `ceiling` seconds at the most: an
    eta that is wrong costs no more than that.

    Args:
        floor: The seconds from one look at a young job to the next.
        share: Which part of a job's age may pass before it is looked at again.
        ceiling: The most seconds between two looks at a ticket.
        jitter: Which part of each step is left to chance. Chance only ever shortens a step.
        faults: How many looks in a row may go wrong before a ticket's wait ends as `Unresolved`.
        outage: For how many seconds a host may answer nothing at all before every wait for it ends.
        grace: Seconds for which "request not found" is taken for "not known yet".
    """

    floor: float = field(default=1.0, validator=_positive)
    share: float = field(default=0.1, validator=_seconds)
    ceiling: float = field(default=300.0, validator=_positive)
    jitter: float = field(default=0.1, validator=and_(_seconds, le(1.0)))
    faults: int = field(default=10, validator=and_(instance_of(int), ge(1)))
    outage: float = field(default=3600.0, validator=_seconds)
    grace: float = field(default=5.0, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.ceiling < self.floor:
            raise ValueError(f"ceiling ({self.ceiling}) is less than floor ({self.floor})")

    @classmethod
    def fixed(cls, seconds: float) -> Self:
        """The same step every time, as a hand-written loop would do it."""
        return cls(floor=seconds, share=0.0, ceiling=seconds, jitter=0.0)

    def first(self, eta: float | None, chance: float) -> float:
        """Seconds until the first look, `chance` being a number from 0 to 1."""
        if not eta or not self.share:
            return 0.0
        # Many tickets submitted together share an eta; chance parts them.
        spread = self.floor * self.jitter * chance
        return min(eta + spread, self.floor / self.share, self.ceiling)

    def step(self, age: float, chance: float) -> float:
        """Seconds from one look to the next, at a job that has run for `age` seconds."""
        step = min(max(self.floor, self.share * age), self.ceiling)
        return step * (1.0 - self.jitter * chance)

    def backoff(self, setbacks: int, chance: float) -> float:
        """Seconds to leave alone what has gone wrong `setbacks` times in a row."""
        longest = max(self.floor, _BACKOFF_CEILING)
        return min(self.floor * 2.0 ** min(setbacks - 1, 30), longest) * (1.0 - 0.5 * chance)
