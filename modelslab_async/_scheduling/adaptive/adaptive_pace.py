"""Learning: a pace that finds out how long the jobs of each family take. No clock, no chance."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import Factory, define, field
from attrs.validators import and_, gt, instance_of, lt

from ..policy import Limits, Plain
from .histogram import EDGES
from .history import Experience
from .replay import Sighting, walk

_VERSION = 2
_JITTER = 0.02
# A look may be so much of a step, or of its age, away from where another chance has it.
_SLACK_OF_STEP = 0.1
_SLACK_OF_AGE = 0.025
# While it is tried whether etas are wrong, a look must be worth twice what it costs.
_TRIED = 2.0
# No eta of a service is shorter; to divide by one that is nearly nothing makes no sense.
_SHORTEST_ETA = 0.01
_OF_ETAS = partial(Experience, enough=50, believed=0.6)
FACTOR = 20.0
"""How many times shorter or longer than the plain pace's a learned step may be."""


@define(eq=False)
class Lessons:
    """The steps of one family: learned where that has not cost too much, else the plain pace's."""

    plain: Plain
    look: float
    ages: Experience = Factory(Experience)
    ratios: Experience = Factory(_OF_ETAS)

    def first(self, eta: float | None, chance: float, *, fresh: bool = False) -> float:
        """Seconds until the first look."""
        if fresh or eta:
            return self.step(0.0, chance, eta=eta)
        return self.plain.first(eta, chance)

    def step(self, age: float, chance: float, *, eta: float | None = None) -> float:
        """Seconds from one look to the next, given the age at which it should be over."""
        step = self._learned(age, chance, eta)
        if step is None or not self._may(age, eta):
            return self.plain.step(age, chance, eta=eta)
        return step

    def learn(self, running: float, over: float | None, eta: float | None) -> None:
        """Hear of a job. One that was over at the first look, or never looked at, tells nothing."""
        if over == 0.0 or (over is None and running == 0.0):
            return
        if over is not None and running < over < EDGES[-1]:
            self._account(running, over, eta)
        self.ages.add(running, over)
        kind, unit = self._kind(eta)
        if kind is self.ratios:
            kind.add(running / unit, None if over is None else over / unit)

    def _kind(self, eta: float | None) -> tuple[Experience, float]:
        """What it goes by with that eta, and how many seconds that counts as one."""
        if eta and eta >= _SHORTEST_ETA:
            return self.ratios, eta
        return self.ages, 1.0

    def _learned(self, age: float, chance: float, eta: float | None) -> float | None:
        kind, unit = self._kind(eta)
        look = self.look
        if kind is self.ratios and not kind.purse.proves(look):
            look *= _TRIED
        after = kind.after(age / unit, look / unit)
        if after is None:
            return None
        moment, usual = after * unit, self.plain.longest(age)
        if kind is self.ratios:
            # A look just before an eta that is honest would be for nothing.
            moment += chance * min(_JITTER * moment, _SLACK_OF_STEP * usual)
            usual = max(usual, self.plain.step(age, 0.0, eta=eta))
        else:
            moment *= 1.0 + _JITTER * (chance - 0.5)
        return min(max(moment - age, usual / FACTOR), usual * FACTOR, self.plain.ceiling)

    def _may(self, age: float, eta: float | None) -> bool:
        """Whether a learned step can be afforded."""
        kind, _ = self._kind(eta)
        # No look but the first has its step at such an age, so that here a job begins.
        begins = age < self.plain.longest(0.0) / FACTOR
        if kind is self.ratios and begins and not kind.purse.proves(self.look):
            return kind.purse.lend(self.look)
        return kind.purse.affords

    def _account(self, running: float, over: float, eta: float | None) -> None:
        """Count what the plain pace's looks at a job cost, and the learned ones' beside them."""
        kind, unit = self._kind(eta)
        seen = Sighting(running, over, lambda age: kind.share(age / unit))
        mine = seen.aligned(walk(lambda age: self._replayed(age, eta), over), self._slack)
        theirs = walk(lambda age: self.plain.step(age, 0.5, eta=eta), over)
        usual = seen.cost(seen.aligned(theirs, self._slack), self.look)
        more = seen.cost(mine, self.look) - usual if seen.tells(mine) else None
        kind.purse.hear(max(self.look, usual - over), more, self.look)

    def _replayed(self, age: float, eta: float | None) -> float:
        step = self._learned(age, 0.5, eta)
        return self.plain.step(age, 0.5, eta=eta) if step is None else step

    def _slack(self, moment: float) -> float:
        return max(_SLACK_OF_AGE * moment, _SLACK_OF_STEP * self.plain.longest(moment))


@define(eq=False)
class Learned:
    """
    A pace that learns how long the jobs of each family take, and how wrong their etas are.

    It begins as the plain pace. After twenty jobs of a family, fifty with an eta, it looks when,
    for jobs as they were of late, looks and lateness cost the least together. It counts what that
    costs beside the plain pace, to which it goes back where it does not pay. A step is never more
    than 20 times as long as the plain pace's at that age and eta, nor less than a twentieth of it.

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
            "version": _VERSION,
            "families": {
                name: {"ages": lessons.ages.to_dict(), "ratios": lessons.ratios.to_dict()}
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
            if saved["version"] != _VERSION:
                raise ValueError(f"its version is {saved['version']!r}")  # noqa: TRY301
            self._families = {
                name: self._recalled(each) for name, each in saved["families"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"expected what to_dict() of a learned pace gave, in version {_VERSION}, "
                f"got something else: {error!r}; leave it out to learn anew"
            ) from error

    def _recalled(self, saved: Mapping[str, Any]) -> Lessons:
        blank = Lessons(self.plain, self.look)
        ages, ratios = blank.ages.recall(saved["ages"]), blank.ratios.recall(saved["ratios"])
        return Lessons(self.plain, self.look, ages, ratios)
