"""
AdaptivePace: learns from the durations of earlier jobs when to poll a ticket.

While the pace knows few jobs, or while its learned poll times cost too much, it behaves like a pace
that does not learn. The section "A pace that learns" in `docs/explanation/pacing.md` explains the
theory.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import Factory, define, field

from ..._models.argument_checks import check_number
from ..pace_protocol import PlainPace, RetryLimits
from .finished_job_simulation import ObservedJob, simulate_polls
from .histogram import EDGES
from .history import JobHistory

_VERSION = 2
_JITTER = 0.02
# Real polls have jitter, but simulated polls have none. So the ages of a real and a simulated poll
# count as equal if they differ by at most a tolerance. The tolerance is the larger of two values: a
# fraction of a plain step, and a fraction of the age.
_STEP_TOLERANCE = 0.1
_AGE_TOLERANCE = 0.025
# Planning weighs the cost of a poll against the delay of an outcome. For jobs with an eta, it
# multiplies the cost by this factor, so that it plans fewer polls. It stops doing so as soon as
# learned steps have saved enough polls.
_TRIAL_COST_FACTOR = 2.0
# The shortest eta that is used, in seconds. A job with a shorter eta counts as a job without an
# eta.
_MIN_ETA_S = 0.01
_EtaHistory = partial(JobHistory, min_jobs=50, eta_prior=0.6)
MAX_STEP_RATIO = 20.0
"""The maximum ratio of a learned step to a plain step, and of a plain step to a learned step."""


@define(eq=False)
class AdaptiveFamilyPace:
    """
    The pace of one family.

    A step is the time from one poll of a ticket to the next. Plain steps come from the pace
    `plain`. Learned steps are computed from how long earlier jobs took. They may turn out to cost
    more than plain steps: more polls, or more delay until a poll finds a job done. This extra cost
    has a limit: a `LearnedStepsBudget`. While the budget is used up, all steps are plain.

    Attributes:
        plain: A pace that does not learn.
        poll_cost: The delay, in seconds, that costs as much as one more poll.
        ages: How long jobs took, in seconds.
        ratios: How long jobs with an eta took, in multiples of the eta.
    """

    plain: PlainPace
    poll_cost: float
    ages: JobHistory = Factory(JobHistory)
    ratios: JobHistory = Factory(_EtaHistory)

    def first_step(
        self, eta: float | None, jitter: float, *, just_submitted: bool = False
    ) -> float:
        """Return the seconds until the first poll of a ticket."""
        if just_submitted or eta:
            return self.step(0.0, jitter, eta=eta)
        return self.plain.first_step(eta, jitter)

    def step(self, age: float, jitter: float, *, eta: float | None = None) -> float:
        """Return the seconds from one poll of a ticket to the next."""
        step = self._learned_step(age, jitter, eta)
        if step is None or not self._may_use(age, eta):
            return self.plain.step(age, jitter, eta=eta)
        return step

    def learn(self, last_running: float, first_done: float | None, eta: float | None) -> None:
        """
        Learn how long a job ran.

        Ignore a job that no poll saw after age 0, because it does not show how long jobs take.
        """
        if first_done == 0.0 or (first_done is None and last_running == 0.0):
            return
        if first_done is not None and last_running < first_done < EDGES[-1]:
            self._record_cost(last_running, first_done, eta)
        self.ages.add(last_running, first_done)
        history, unit = self._history_for(eta)
        if history is self.ratios:
            history.add(last_running / unit, None if first_done is None else first_done / unit)

    def _history_for(self, eta: float | None) -> tuple[JobHistory, float]:
        """
        Return the history for a job with this eta, and the history's unit of time in seconds.

        The unit is the eta, or one second for a job without a usable eta.
        """
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
            # Let jitter only delay this poll. If jitter advanced the poll, and the eta was correct,
            # the poll would find the job still running.
            moment += jitter * min(_JITTER * moment, _STEP_TOLERANCE * usual)
            usual = max(usual, self.plain.step(age, 0.0, eta=eta))
        else:
            moment *= 1.0 + _JITTER * (jitter - 0.5)
        return min(
            max(moment - age, usual / MAX_STEP_RATIO), usual * MAX_STEP_RATIO, self.plain.ceiling
        )

    def _may_use(self, age: float, eta: float | None) -> bool:
        """
        Return whether the `LearnedStepsBudget` allows a learned step.

        Until learned steps have saved enough, the first step of a job with an eta also has to
        reserve the cost of one poll in this budget.
        """
        history, _ = self._history_for(eta)
        # A job that is younger than the shortest possible step is in its first step.
        is_first_step = age < self.plain.base_step(0.0) / MAX_STEP_RATIO
        if (
            history is self.ratios
            and is_first_step
            and not history.budget.has_paid_off(self.poll_cost)
        ):
            return history.budget.try_reserve(self.poll_cost)
        return history.budget.is_affordable

    def _record_cost(self, last_running: float, first_done: float, eta: float | None) -> None:
        """
        Record in the `LearnedStepsBudget` what it would have cost to poll a finished job.

        Simulate the polls with plain steps and with learned steps. Record the cost with plain
        steps, and the extra cost of learned steps.
        """
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

    An eta is the server's estimate of how long a job will take. At first, this pace polls like the
    plain pace, until it knows 20 jobs of a family (50 for jobs with an eta). Then it polls at the
    job ages that would have cost least for recent jobs. Two things count as costs: each poll, and
    the delay from a job's end to the poll that finds the job done. If the plain pace would cost
    less, this pace polls like the plain pace again. Each step from one poll to the next is at least
    a twentieth of the plain pace's step, and at most 20 times that step.

    Make it with `Pace.adaptive`. Use it in one client, or in all clients of one event loop.

    Args:
        plain: The pace to start with. Its retry limits always apply.
        poll_cost: The delay, in seconds, that costs as much as one more poll.
    """

    plain: PlainPace
    poll_cost: float = 1.0
    _families: dict[str, AdaptiveFamilyPace] = field(
        factory=dict[str, AdaptiveFamilyPace], repr=False
    )

    def __attrs_post_init__(self) -> None:
        expected = "a number of seconds above 0 and below infinity"
        check_number("poll_cost", self.poll_cost, expected, lambda cost: 0 < cost < math.inf)

    @property
    def limits(self) -> RetryLimits:
        """The retry limits, which are those of `plain`."""
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
        """
        Return what was learned, as JSON values.

        The values contain the names of families, but no tickets and no API key.
        """
        return {
            "version": _VERSION,
            "families": {
                name: {"ages": family_pace.ages.to_dict(), "ratios": family_pace.ratios.to_dict()}
                for name, family_pace in self._families.items()
            },
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """
        Replace what this pace has learned with `saved`, a result of `to_dict`.

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
