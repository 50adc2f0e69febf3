"""Learning: a pace that finds out how long the jobs of each family take. No clock, no chance."""

import math
from collections.abc import Mapping
from typing import Any

from attrs import Factory, define, field
from attrs.validators import and_, gt, instance_of, lt

from .inspecting import best_next
from .intervals import EDGES, Intervals, place
from .rules import Limits, Plain

_ENOUGH = 20
_OFTEN = 16
_SELDOM = 100
_JITTER = 0.02
_COSTS = 1.5
# No eta of a service is shorter; to divide by one that is nearly nothing makes no sense.
_SHORTEST_ETA = 0.01
FACTOR = 20.0
"""How many times shorter or longer than the plain pace's a learned step may be."""


@define(eq=False)
class Experience:
    """What was seen of one kind of jobs, and when to look at the next one."""

    intervals: Intervals = Factory(Intervals)
    _density: list[float] = Factory(list)
    _plans: dict[int, list[int]] = Factory(dict)
    _planned: int = 0

    def add(self, running: float, over: float | None) -> None:
        """Hear of one job."""
        self.intervals.add(running, over)

    def after(self, age: float, cost: float) -> float | None:
        """The age of the next look; None if too little is known of jobs so old."""
        count = self.intervals.count
        if count < _ENOUGH:
            return None
        # To plan takes milliseconds, so it is done anew for each sixteenth that is learned more.
        if not self._density or count >= self._planned + min(count // _OFTEN, _SELDOM):
            self._density, self._planned = self.intervals.density(), count
            self._plans.clear()
        plan = self._plan(round(math.log(cost, _COSTS)))
        here = place(age)
        if here >= len(plan) - 1:
            return None
        return max(EDGES[plan[here]], age + EDGES[here + 1] - EDGES[here])

    def _plan(self, cost: int) -> list[int]:
        if cost not in self._plans:
            self._plans[cost] = best_next(EDGES, self._density, _COSTS**cost)
        return self._plans[cost]


@define(eq=False)
class Lessons:
    """The steps of one family: learned where enough is known, else those of the plain pace."""

    plain: Plain
    look: float
    ages: Experience = Factory(Experience)
    ratios: Experience = Factory(Experience)

    def first(self, eta: float | None, chance: float, *, fresh: bool = False) -> float:
        """Seconds until the first look."""
        if fresh or eta:
            return self.step(0.0, chance, eta=eta)
        return self.plain.first(eta, chance)

    def step(self, age: float, chance: float, *, eta: float | None = None) -> float:
        """Seconds from one look to the next, given the age at which it should be over."""
        if eta and eta >= _SHORTEST_ETA:
            after = self.ratios.after(age / eta, self.look / eta)
            moment = after and after * eta
        else:
            moment = self.ages.after(age, self.look)
        if moment is None:
            return self.plain.step(age, chance, eta=eta)
        step = moment * (1.0 + _JITTER * (chance - 0.5)) - age
        usual = self.plain.longest(age)
        return min(max(step, usual / FACTOR), usual * FACTOR, self.plain.ceiling)

    def learn(self, running: float, over: float | None, eta: float | None) -> None:
        """Hear of a job. One that was over at the first look, or never looked at, tells nothing."""
        if over == 0.0 or (over is None and running == 0.0):
            return
        self.ages.add(running, over)
        if eta and eta >= _SHORTEST_ETA:
            self.ratios.add(running / eta, None if over is None else over / eta)


@define(eq=False)
class Learned:
    """
    A pace that learns how long the jobs of each family take, and how wrong their etas are.

    It begins as the plain pace. After twenty jobs of a family it looks when, for jobs as they were
    of late, looks and lateness cost the least together. A step is never more than 20 times as long
    as the plain pace's at that age, nor less than a twentieth of it.

    Make it with `Pace.learned`. Give it to one client, or to all clients of one event loop.

    Args:
        plain: The pace to begin with, and to keep to in trouble.
        look: What a look costs: as much as a result that is noticed so many seconds late.
    """

    plain: Plain
    look: float = field(
        default=1.0, validator=and_(instance_of((int, float)), gt(0.0), lt(math.inf))
    )
    _families: dict[str, Lessons] = field(factory=dict[str, Lessons], repr=False)

    @property
    def limits(self) -> Limits:
        """The plain pace: trouble is met as ever."""
        return self.plain

    def of(self, family: str, /) -> Lessons:
        """The steps of one family."""
        lessons = self._families.get(family)
        if lessons is None:
            lessons = self._families[family] = Lessons(self.plain, self.look)
        return lessons

    @property
    def has_learned(self) -> bool:
        """Whether it has heard of a job."""
        return any(lessons.ages.intervals.count for lessons in self._families.values())

    def to_dict(self) -> dict[str, Any]:
        """What was learned, for JSON. It names families, and no ticket, key or time of day."""
        return {
            "version": 1,
            "families": {
                name: {"ages": _kept(lessons.ages), "ratios": _kept(lessons.ratios)}
                for name, lessons in self._families.items()
            },
        }

    def recall(self, saved: Mapping[str, Any]) -> None:
        """
        Go on from what `to_dict` gave, in place of what was learned since.

        Raises:
            ValueError: It is nothing that `to_dict` gave.
        """
        try:
            if saved["version"] != 1:
                raise ValueError(f"its version is {saved['version']!r}")  # noqa: TRY301
            self._families = {
                name: Lessons(self.plain, self.look, _back(each["ages"]), _back(each["ratios"]))
                for name, each in saved["families"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                "expected what to_dict() of a learned pace gave, in version 1, "
                f"got something else: {error!r}; leave it out to learn anew"
            ) from error


def _kept(experience: Experience) -> dict[str, Any]:
    kept = experience.intervals
    return {"count": kept.count, "seen": kept.to_list()}


def _back(saved: Mapping[str, Any]) -> Experience:
    return Experience(Intervals.from_list(saved["count"], saved["seen"]))
