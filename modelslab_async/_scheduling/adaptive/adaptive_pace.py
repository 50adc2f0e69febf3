"""
AdaptivePace: a pace that learns how long jobs take. It reads no clock and draws no random number.

For each family it keeps two histories of finished jobs: their ages in seconds, and the ratios of
their ages to their etas. A ticket with an eta uses the ratios, others the ages.
Steps that come from a history are called learned. Steps of the plain pace, with which it starts,
are called plain.

    a job ends         The ages between which it ended go into the histories. Its cost with learned
                       steps is compared with its cost with plain steps (replay, budget).
    a step is needed   The plain pace's step, if too few jobs are known or learned steps have cost
                       too much. Otherwise the next poll of the cheapest plan (planner).

So a family returns to plain steps if learned steps cost more. It loses a few percent at most.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import Factory, define, field
from attrs.validators import and_, gt, instance_of, lt

from ..pace_protocol import PlainPace, RetryLimits
from .histogram import EDGES
from .history import JobHistory
from .poll_simulation import ObservedJob, simulate_polls

_VERSION = 2
_JITTER = 0.02
# Jitter moves polls. So two polls count as the same poll if less than this fraction of a step, or
# of the job's age, is between them.
_STEP_TOLERANCE = 0.1
_AGE_TOLERANCE = 0.025
# For jobs with an eta, a plan counts each poll at this multiple of its cost, until learned steps
# have saved enough.
_TRIAL_COST_FACTOR = 2.0
# For a job with a shorter eta, its age is used. The ratio of the age to such an eta means nothing.
_MIN_ETA_S = 0.01
_EtaHistory = partial(JobHistory, min_jobs=50, eta_prior=0.6)
MAX_STEP_RATIO = 20.0
"""A learned step is at most this many times longer or shorter than the plain pace's step."""


@define(eq=False)
class AdaptiveFamilyPace:
    """The pace of one family: learned steps where the budget allows them, else plain ones."""

    plain: PlainPace
    poll_cost: float
    ages: JobHistory = Factory(JobHistory)
    ratios: JobHistory = Factory(_EtaHistory)

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """Return the seconds until the first poll. See `FamilyPace`."""
        if just_submitted or eta:
            return self.step(0.0, jitter, eta=eta)
        return self.plain.first_step(eta, jitter)

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Return the seconds from one poll to the next. See `FamilyPace`."""
        step = self._learned_step(age, jitter, eta)
        if step is None or not self._may_use(age, eta):
            return self.plain.step(age, jitter, eta=eta)
        return step

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """Learn from a job, unless it was done at age 0 or no poll saw it running or done."""
        if first_done == 0.0 or (first_done is None and last_running == 0.0):
            return
        if first_done is not None and last_running < first_done < EDGES[-1]:
            self._record_cost(last_running, first_done, eta)
        self.ages.add(last_running, first_done)
        history, unit = self._history_for(eta)
        if history is self.ratios:
            history.add(last_running / unit, None if first_done is None else first_done / unit)

    def _history_for(self, eta: float | None) -> tuple[JobHistory, float]:
        """Return the history for jobs with this eta, and the unit of that history in seconds."""
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
            # Jitter only delays this poll, because just before a correct eta the job still runs.
            moment += jitter * min(_JITTER * moment, _STEP_TOLERANCE * usual)
            usual = max(usual, self.plain.step(age, 0.0, eta=eta))
        else:
            moment *= 1.0 + _JITTER * (jitter - 0.5)
        return min(
            max(moment - age, usual / MAX_STEP_RATIO), usual * MAX_STEP_RATIO, self.plain.ceiling
        )

    def _may_use(self, age: float, eta: float | None) -> bool:
        """Whether the budget allows a learned step."""
        history, _ = self._history_for(eta)
        # Only the first step of a job can start at an age below this.
        is_first_step = age < self.plain.base_step(0.0) / MAX_STEP_RATIO
        if (
            history is self.ratios
            and is_first_step
            and not history.budget.has_paid_off(self.poll_cost)
        ):
            return history.budget.try_reserve(self.poll_cost)
        return history.budget.is_affordable

    def _record_cost(self, last_running: float, first_done: float, eta: float | None) -> None:
        """Record in the budget what a job costs with plain steps and with learned steps."""
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

    It starts as the plain pace. After 20 jobs of a family, or 50 jobs with an eta, it polls when
    polls and delay together cost least for recent jobs. It compares that cost with the plain
    pace's, and returns to the plain pace if that is cheaper. A step is at most 20 times as long as
    the plain pace's at that age and eta, and at least a twentieth of it.

    Make it with `Pace.adaptive`. Give it to one client, or to all clients of one event loop.

    Args:
        plain: The pace to start with. Its limits always apply.
        poll_cost: The cost of a poll: one more poll is as bad as a delay of this many seconds.
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
        """The plain pace, whose retry limits apply."""
        return self.plain

    def for_family(self, family: str, /) -> AdaptiveFamilyPace:
        """Return the pace of one family."""
        family_pace = self._families.get(family)
        if family_pace is None:
            family_pace = self._families[family] = AdaptiveFamilyPace(self.plain, self.poll_cost)
        return family_pace

    @property
    def has_learned(self) -> bool:
        """Whether this pace has learned from at least one job."""
        return any(family_pace.ages.intervals.count for family_pace in self._families.values())

    def to_dict(self) -> dict[str, Any]:
        """Return what was learned, as JSON values. They name families, but no ticket or key."""
        return {
            "version": _VERSION,
            "families": {
                name: {"ages": family_pace.ages.to_dict(), "ratios": family_pace.ratios.to_dict()}
                for name, family_pace in self._families.items()
            },
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """
        Replace what this pace has learned by an earlier result of `to_dict`.

        Raises:
            ValueError: `saved` did not come from `to_dict`.
        """
        try:
            if saved["version"] != _VERSION:
                raise ValueError(f"its version is {saved['version']!r}")  # noqa: TRY301
            self._families = {
                name: self._restored(each) for name, each in saved["families"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"expected what to_dict() of an adaptive pace returned, in version {_VERSION}, "
                f"got something else: {error!r}; leave it out to learn anew"
            ) from error

    def _restored(self, saved: Mapping[str, Any]) -> AdaptiveFamilyPace:
        blank = AdaptiveFamilyPace(self.plain, self.poll_cost)
        ages, ratios = blank.ages.restore(saved["ages"]), blank.ratios.restore(saved["ratios"])
        return AdaptiveFamilyPace(self.plain, self.poll_cost, ages, ratios)
