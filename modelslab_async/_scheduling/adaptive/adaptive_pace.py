"""Learning: a pace that finds out how long the jobs of each family take. No clock, no chance."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import Factory, define, field
from attrs.validators import and_, gt, instance_of, lt

from ..pace_policy import PlainPace, RetryLimits
from .histogram import EDGES
from .history import JobHistory
from .replay import ObservedJob, simulate_polls

_VERSION = 2
_JITTER = 0.02
# A look may be so much of a step, or of its age, away from where another chance has it.
_STEP_TOLERANCE = 0.1
_AGE_TOLERANCE = 0.025
# While it is tried whether etas are wrong, a look must be worth twice what it costs.
_TRIAL_COST_FACTOR = 2.0
# No eta of a service is shorter; to divide by one that is nearly nothing makes no sense.
_MIN_ETA_S = 0.01
_EtaHistory = partial(JobHistory, min_jobs=50, eta_prior=0.6)
MAX_STEP_RATIO = 20.0
"""How many times shorter or longer than the plain pace's a learned step may be."""


@define(eq=False)
class AdaptiveFamilyPace:
    """The steps of one family: learned where that has not cost too much, else the plain pace's."""

    plain: PlainPace
    poll_cost: float
    ages: JobHistory = Factory(JobHistory)
    ratios: JobHistory = Factory(_EtaHistory)

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """Seconds until the first look."""
        if just_submitted or eta:
            return self.step(0.0, jitter, eta=eta)
        return self.plain.first_step(eta, jitter)

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Seconds from one look to the next, given the age at which it should be over."""
        step = self._learned_step(age, jitter, eta)
        if step is None or not self._may_use(age, eta):
            return self.plain.step(age, jitter, eta=eta)
        return step

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """Hear of a job. One that was over at the first look, or never looked at, tells nothing."""
        if first_done == 0.0 or (first_done is None and last_running == 0.0):
            return
        if first_done is not None and last_running < first_done < EDGES[-1]:
            self._record_cost(last_running, first_done, eta)
        self.ages.add(last_running, first_done)
        history, unit = self._history_for(eta)
        if history is self.ratios:
            history.add(last_running / unit, None if first_done is None else first_done / unit)

    def _history_for(self, eta: float | None) -> tuple[JobHistory, float]:
        """What it goes by with that eta, and how many seconds that counts as one."""
        if eta and eta >= _MIN_ETA_S:
            return self.ratios, eta
        return self.ages, 1.0

    def _learned_step(self, age: float, jitter: float, eta: float | None) -> float | None:
        history, unit = self._history_for(eta)
        poll_cost = self.poll_cost
        if history is self.ratios and not history.budget.has_paid_off(poll_cost):
            poll_cost *= _TRIAL_COST_FACTOR
        next_poll_age = history.next_poll_age(age / unit, poll_cost / unit)
        if next_poll_age is None:
            return None
        moment, usual = next_poll_age * unit, self.plain.base_step(age)
        if history is self.ratios:
            # A look just before an eta that is honest would be for nothing.
            moment += jitter * min(_JITTER * moment, _STEP_TOLERANCE * usual)
            usual = max(usual, self.plain.step(age, 0.0, eta=eta))
        else:
            moment *= 1.0 + _JITTER * (jitter - 0.5)
        return min(
            max(moment - age, usual / MAX_STEP_RATIO), usual * MAX_STEP_RATIO, self.plain.ceiling
        )

    def _may_use(self, age: float, eta: float | None) -> bool:
        """Whether a learned step can be afforded."""
        history, _ = self._history_for(eta)
        # No look but the first has its step at such an age, so that here a job begins.
        is_first_step = age < self.plain.base_step(0.0) / MAX_STEP_RATIO
        if (
            history is self.ratios
            and is_first_step
            and not history.budget.has_paid_off(self.poll_cost)
        ):
            return history.budget.try_reserve(self.poll_cost)
        return history.budget.is_affordable

    def _record_cost(self, last_running: float, first_done: float, eta: float | None) -> None:
        """Count what the plain pace's looks at a job cost, and the learned ones' beside them."""
        history, unit = self._history_for(eta)
        job = ObservedJob(last_running, first_done, lambda age: history.fraction_done(age / unit))
        learned_polls = job.aligned(
            simulate_polls(lambda age: self._replayed_step(age, eta), first_done), self._tolerance
        )
        plain_polls = simulate_polls(lambda age: self.plain.step(age, 0.5, eta=eta), first_done)
        usual = job.cost(job.aligned(plain_polls, self._tolerance), self.poll_cost)
        extra = (
            job.cost(learned_polls, self.poll_cost) - usual
            if job.is_conclusive(learned_polls)
            else None
        )
        history.budget.record(max(self.poll_cost, usual - first_done), extra, self.poll_cost)

    def _replayed_step(self, age: float, eta: float | None) -> float:
        step = self._learned_step(age, 0.5, eta)
        return self.plain.step(age, 0.5, eta=eta) if step is None else step

    def _tolerance(self, moment: float) -> float:
        return max(_AGE_TOLERANCE * moment, _STEP_TOLERANCE * self.plain.base_step(moment))


@define(eq=False)
class AdaptivePace:
    """
    A pace that learns how long the jobs of each family take, and how wrong their etas are.

    It begins as the plain pace. After twenty jobs of a family, fifty with an eta, it looks when,
    for jobs as they were of late, looks and lateness cost the least together. It counts what that
    costs beside the plain pace, to which it goes back where it does not pay. A step is never more
    than 20 times as long as the plain pace's at that age and eta, nor less than a twentieth of it.

    Make it with `Pace.adaptive`. Give it to one client, or to all clients of one event loop.

    Args:
        plain: The pace to begin with, and to keep to in trouble.
        poll_cost: What a look costs: as much as a result that is noticed so many seconds late.
    """

    plain: PlainPace
    poll_cost: float = field(
        default=1.0, validator=and_(instance_of((int, float)), gt(0.0), lt(math.inf))
    )
    _families: dict[str, AdaptiveFamilyPace] = field(
        factory=dict[str, AdaptiveFamilyPace], repr=False
    )

    @property
    def limits(self) -> RetryLimits:
        """The plain pace: trouble is met as ever."""
        return self.plain

    def for_family(self, family: str, /) -> AdaptiveFamilyPace:
        """The steps of one family."""
        family_pace = self._families.get(family)
        if family_pace is None:
            family_pace = self._families[family] = AdaptiveFamilyPace(self.plain, self.poll_cost)
        return family_pace

    @property
    def has_learned(self) -> bool:
        """Whether it has heard of a job."""
        return any(family_pace.ages.intervals.count for family_pace in self._families.values())

    def to_dict(self) -> dict[str, Any]:
        """What was learned, for JSON. It names families, and no ticket, key or time of day."""
        return {
            "version": _VERSION,
            "families": {
                name: {"ages": family_pace.ages.to_dict(), "ratios": family_pace.ratios.to_dict()}
                for name, family_pace in self._families.items()
            },
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """
        Go on from what `to_dict` gave, in place of what was learned since.

        Raises:
            ValueError: It is nothing that `to_dict` gave.
        """
        try:
            if saved["version"] != _VERSION:
                raise ValueError(f"its version is {saved['version']!r}")  # noqa: TRY301
            self._families = {
                name: self._restored(each) for name, each in saved["families"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"expected what to_dict() of a learned pace gave, in version {_VERSION}, "
                f"got something else: {error!r}; leave it out to learn anew"
            ) from error

    def _restored(self, saved: Mapping[str, Any]) -> AdaptiveFamilyPace:
        blank = AdaptiveFamilyPace(self.plain, self.poll_cost)
        ages, ratios = blank.ages.restore(saved["ages"]), blank.ratios.restore(saved["ratios"])
        return AdaptiveFamilyPace(self.plain, self.poll_cost, ages, ratios)
