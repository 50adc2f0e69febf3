"""How a learned step follows from a planned age: jitter, limits, etas and the budget."""

import pytest
from attrs import define, field

from modelslab_async import Pace
from modelslab_async._scheduling.adaptive.adaptive_pace import AdaptiveFamilyPace
from modelslab_async._scheduling.adaptive.learned_steps_budget import LearnedStepsBudget

PLAIN = Pace(floor=2.0, growth=0.0, growth_cap=2.0, age_fraction=0.0, jitter=0.0)


@define
class PlannedHistory:
    """A history that gives one age for the next poll, and records what it is asked and told."""

    planned: float | None
    budget: LearnedStepsBudget = field(factory=LearnedStepsBudget)
    asked: list = field(factory=list)
    told: list = field(factory=list)

    def next_poll_age(self, age, cost):
        self.asked.append((age, cost))
        return self.planned

    def add(self, last_running, first_done):
        self.told.append((last_running, first_done))

    def fraction_done(self, age):
        return min(age / 10.0, 1.0)


def paid_off():
    return LearnedStepsBudget(spent=-100.0)


def pace_of(*, ages=None, ratios=None, budget=None, plain=PLAIN, poll_cost=1.0):
    budget = budget or paid_off()
    return AdaptiveFamilyPace(
        plain, poll_cost, PlannedHistory(ages, budget), PlannedHistory(ratios, budget)
    )


def test_step_leads_to_the_planned_age():
    """Its jitter is one percent of the age, to either side."""
    pace = pace_of(ages=10.0)
    assert [5.9, 6.0, 6.1] == pytest.approx([pace.step(4.0, jitter) for jitter in (0.0, 0.5, 1.0)])
    assert [(4.0, 1.0)] * 3 == pace.ages.asked


def test_step_to_a_planned_ratio_is_never_early():
    """The planned ratio is multiplied by the eta, and jitter only delays the poll."""
    pace = pace_of(ratios=1.5)
    steps = [pace.step(4.0, jitter, eta=8.0) for jitter in (0.0, 0.5, 1.0)]
    assert [8.0, 8.1, 8.2] == pytest.approx(steps)
    assert [(0.5, 0.125)] * 3 == pace.ratios.asked


def test_jitter_of_a_long_eta_is_a_tenth_of_a_plain_step():
    """Two percent of the age would be more than that."""
    pace = pace_of(ratios=1.0)
    assert 90.2 == pytest.approx(pace.step(10.0, 1.0, eta=100.0))


@pytest.mark.parametrize(("planned", "step"), [(4.01, 0.1), (1000.0, 40.0), (1.0, 0.1)])
def test_step_is_within_a_factor_of_20(planned, step):
    """A planned age that has passed, or is near or far, gives the shortest or longest step."""
    assert step == pytest.approx(pace_of(ages=planned).step(4.0, 0.5))


def test_step_is_at_most_the_ceiling():
    """The ceiling of the plain pace always applies."""
    low = Pace(floor=2.0, growth=0.0, growth_cap=2.0, age_fraction=0.0, ceiling=7.0)
    assert 7.0 == pace_of(ages=1000.0, plain=low).step(4.0, 0.5)


def test_step_to_an_eta_may_be_longer():
    """The limits follow the plain step to the eta where that is longer than a step without."""
    pace = pace_of(ratios=50.0)
    assert 300.0 == pace.step(0.0, 0.0, eta=60.0)
    assert 40.0 == pace_of(ratios=50.0).step(70.0, 0.0, eta=60.0)
    assert 3.0 == pace_of(ratios=0.01).step(0.0, 0.0, eta=60.0)


def test_unknown_plan_gives_the_plain_step():
    """Too few jobs are known, for this age or at all."""
    pace = pace_of()
    assert 2.0 == pace.step(4.0, 0.5)
    assert 8.0 == pace.step(0.0, 0.5, eta=8.0)


def test_tiny_eta_is_no_eta():
    """Below a hundredth of a second the age is used, and from there on the ratio."""
    for eta, ratio in ((0.0099, 0), (0.01, 1), (0.0, 0), (None, 0)):
        pace = pace_of(ages=10.0, ratios=10.0)
        pace.step(0.0, 0.5, eta=eta)
        assert (1 - ratio, ratio) == (len(pace.ages.asked), len(pace.ratios.asked))


def test_first_step_of_a_ticket_of_unknown_age_is_plain():
    """A ticket that was just submitted, or has an eta, is polled by plan."""
    pace = pace_of(ages=10.0, ratios=1.5)
    assert 0.0 == pace.first_step(None, 0.5)
    assert 10.0 == pace.first_step(None, 0.5, just_submitted=True)
    assert 12.1 == pytest.approx(pace.first_step(8.0, 0.5))


def test_polls_for_an_eta_cost_twice_as_much_until_they_have_paid_off():
    """The plan for jobs without an eta does not change."""
    pace = pace_of(ages=10.0, ratios=1.5, budget=LearnedStepsBudget(allowed=9.0))
    pace.step(0.0, 0.5, eta=10.0)
    pace.step(0.0, 0.5)
    assert [(0.0, 0.2)] == pace.ratios.asked
    assert [(0.0, 1.0)] == pace.ages.asked


def test_first_steps_for_an_eta_are_reserved_until_they_have_paid_off():
    """Each takes the cost of a poll from the budget. Later steps of a job take nothing."""
    budget = LearnedStepsBudget(allowed=1.5)
    pace = pace_of(ages=10.0, ratios=1.5, budget=budget)
    steps = [pace.first_step(8.0, 0.0) for _ in range(3)]
    assert [12.0, 12.0, 8.0] == steps
    assert 2.0 == budget.reserved
    assert 8.0 == pace.step(4.0, 0.0, eta=8.0)
    assert 11.9 == pytest.approx(pace.step(0.1, 0.0, eta=8.0))
    assert 7.91 == pytest.approx(pace.step(0.09, 0.0, eta=8.0))
    pace.step(0.0, 0.0)
    assert 2.0 == budget.reserved


def test_overdrawn_budget_gives_plain_steps():
    """For jobs with an eta and for others, each by its own budget."""
    pace = pace_of(ages=10.0, ratios=1.5, budget=LearnedStepsBudget(spent=1.0))
    assert 2.0 == pace.step(4.0, 0.5)
    assert 4.0 == pace.step(4.0, 0.5, eta=8.0)


def test_learning_tells_both_histories():
    """Ages always, and ratios to the eta if there is one."""
    pace = pace_of()
    pace.learn(4.0, 6.0, None)
    pace.learn(4.0, None, 8.0)
    pace.learn(4.0, 6.0, 8.0)
    pace.learn(4.0, 6.0, 0.001)
    assert [(4.0, 6.0), (4.0, None), (4.0, 6.0), (4.0, 6.0)] == pace.ages.told
    assert [(0.5, None), (0.5, 0.75)] == pace.ratios.told


def test_job_that_teaches_nothing_is_ignored():
    """One that was done at once, or neither seen running nor done."""
    pace = pace_of()
    pace.learn(0.0, 0.0, None)
    pace.learn(0.0, None, None)
    assert [] == pace.ages.told
    pace.learn(0.0, 3.0, None)
    pace.learn(2.0, None, None)
    assert 2 == len(pace.ages.told)


def test_cost_of_a_job_is_compared_with_plain_steps():
    """Learned polls at 5.5 s cost one poll and the delay; plain ones three polls and a delay."""
    budget = LearnedStepsBudget()
    pace = pace_of(ages=5.5, budget=budget)
    pace.learn(4.5, 5.5, None)
    usual, learned = 3 * 1.0 + 6.0, 1.0 + 5.5
    assert 0.02 * (usual - 5.5) == pytest.approx(budget.allowed)
    assert learned - usual == pytest.approx(budget.spent)


def test_cost_is_unknown_if_a_learned_poll_falls_between():
    """Only what the plain steps cost is counted, and at least one poll."""
    budget = LearnedStepsBudget()
    pace = pace_of(ages=5.0, budget=budget, poll_cost=4.0)
    pace.learn(4.0, 6.0, None)
    assert 0.0 == budget.spent
    assert 0.02 * 12.0 == pytest.approx(budget.allowed)


@pytest.mark.parametrize(("last_running", "first_done"), [(4.0, None), (6.0, 6.0), (1.0, 1e9)])
def test_cost_needs_an_interval(last_running, first_done):
    """A job that was not seen done, or whose times make no interval, has no cost."""
    budget = LearnedStepsBudget()
    pace_of(ages=5.0, budget=budget).learn(last_running, first_done, None)
    assert (0.0, 0.0) == (budget.allowed, budget.spent)


@pytest.mark.parametrize(
    ("first_done", "planned", "is_near"),
    [(5.0, 4.81, True), (5.0, 4.79, False), (20.0, 19.52, True), (20.0, 19.5, False)],
)
def test_poll_near_the_real_one_counts_as_that(first_done, planned, is_near):
    """A tenth of a plain step, or a fortieth of the age, may lie between, whichever is more."""
    budget = LearnedStepsBudget()
    pace_of(ages=planned, budget=budget).learn(first_done - 2.0, first_done, None)
    assert is_near == (budget.spent != 0.0)
