"""The trial budget and the replay: what learned polls cost beside the plain pace's."""

import pytest

from modelslab_async import Pace
from modelslab_async._scheduling.adaptive.adaptive_pace import AdaptiveFamilyPace
from modelslab_async._scheduling.adaptive.finished_job_simulation import ObservedJob, simulate_polls
from modelslab_async._scheduling.adaptive.learned_steps_budget import LearnedStepsBudget


def evenly(age):
    """Half of the jobs are over by 5 s, all by 10 s."""
    return min(age / 10.0, 1.0)


def test_overdrawn_budget_stops_trials():
    """A loss stops trials, and is earned back as 2 % of what the plain pace costs."""
    budget = LearnedStepsBudget()
    assert budget.is_affordable
    budget.record(10.0, 1.0, 1.0)
    assert not budget.is_affordable
    for _ in range(4):
        budget.record(10.0, None, 1.0)
    assert budget.is_affordable


def test_finished_trial_frees_its_reserve():
    """Only as many trials run at once as can be paid; each that ends makes room for one."""
    budget = LearnedStepsBudget(allowed=1.5)
    assert [True, True, False] == [budget.try_reserve(1.0) for _ in range(3)]
    budget.record(1.0, 0.0, 1.0)
    assert [True, False] == [budget.try_reserve(1.0) for _ in range(2)]


def test_inconclusive_trial_stays_reserved():
    """A job that says nothing about the learned polls may have cost its reserve."""
    budget = LearnedStepsBudget(allowed=0.5)
    assert budget.try_reserve(1.0)
    budget.record(1.0, None, 1.0)
    assert not budget.try_reserve(1.0)


def test_small_savings_are_not_proof():
    """A history must save several polls, and more than it may spend."""
    assert not LearnedStepsBudget(allowed=2.0, spent=-4.0).has_paid_off(1.0)
    assert not LearnedStepsBudget(allowed=2.0, spent=-7.0).has_paid_off(1.0)
    assert LearnedStepsBudget(allowed=2.0, spent=-7.1).has_paid_off(1.0)


def test_unaffordable_history_uses_plain_steps():
    """With an eta and without one; losses without an eta say nothing about etas."""
    lessons = AdaptiveFamilyPace(Pace(), 1.0)
    for _ in range(60):
        lessons.learn(20.0, 21.0, None)
        lessons.learn(20.0, 21.0, 200.0)
    assert 15.0 < lessons.step(0.0, 0.5) < 22.0
    assert 15.0 < lessons.step(0.0, 0.5, eta=200.0) < 30.0
    lessons.ages.budget.spent = 1000.0
    assert Pace().step(0.0, 0.5) == lessons.step(0.0, 0.5)
    assert 15.0 < lessons.step(0.0, 0.5, eta=200.0) < 30.0
    lessons.ratios.budget.spent = 1000.0
    assert Pace().step(0.0, 0.5, eta=200.0) == lessons.step(0.0, 0.5, eta=200.0)


def test_polls_inside_the_unknown_interval_are_inconclusive():
    """A poll between running and done might have found the job either way."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert seen.is_conclusive([2.0, 6.0])
    assert seen.is_conclusive([1.0, 9.0])
    assert not seen.is_conclusive([1.0, 4.0, 9.0])


def test_cost_weighs_polls_by_probability():
    """Each poll counts by the probability that the job ended between it and the one before."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert pytest.approx(2.0 + 9.0) == seen.cost([1.0, 9.0], 1.0)
    assert pytest.approx((2.0 + 4.0) / 2 + (3.0 + 9.0) / 2) == seen.cost([1.0, 4.0, 9.0], 1.0)


def test_unknown_interval_counts_all_ages_alike():
    """A duration that was never observed is weighed by time."""
    seen = ObservedJob(20.0, 24.0, evenly)
    assert pytest.approx((1.0 + 21.0) / 4 + (2.0 + 25.0) * 3 / 4) == seen.cost([21.0, 25.0], 1.0)


def test_polls_within_jitter_are_the_same_poll():
    """A poll that would have come a little earlier or later is the real one."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert [2.0, 6.0] == seen.aligned([2.1, 5.9, 8.0], lambda _: 0.2)
    assert [1.9, 6.1] == seen.aligned([1.9, 6.1, 8.0], lambda _: 0.2)
    assert [2.1, 5.9, 8.0] == seen.aligned([2.1, 5.9, 8.0, 10.0], lambda _: 0.05)


def test_poll_exactly_a_tolerance_away_is_the_same_poll():
    """A poll that is late enough to see the job done never becomes the one that saw it running."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert [2.0, 6.0] == seen.aligned([2.25, 5.75], lambda _: 0.25)
    assert [1.75, 6.25] == seen.aligned([1.75, 6.25], lambda _: 0.25)
    near = ObservedJob(2.0, 2.125, evenly)
    assert [2.0, 2.125] == near.aligned([2.0, 2.0625], lambda _: 0.25)


def test_budget_fades_with_later_jobs():
    """Each later job takes a two hundredth of what was allowed, spent and reserved."""
    budget = LearnedStepsBudget(allowed=2.0, spent=4.0, reserved=1.0)
    budget.record(100.0, None, 1.0)
    assert (2.0 * 0.995 + 2.0, 4.0 * 0.995, 0.995) == pytest.approx(
        (budget.allowed, budget.spent, budget.reserved)
    )
    budget.record(100.0, 1.5, 0.5)
    assert pytest.approx(4.0 * 0.995**2 + 1.5) == budget.spent
    assert pytest.approx(0.995**2 - 0.5) == budget.reserved


def test_savings_are_capped():
    """They are at most twice what is allowed and five polls cost."""
    budget = LearnedStepsBudget(allowed=2.0)
    budget.record(0.0, -1000.0, 3.0)
    assert pytest.approx(-2.0 * (1.99 + 15.0)) == budget.spent
    assert 0.0 == budget.reserved


def test_simulation_ends_with_the_poll_that_finds_the_job_done():
    """Step by step, from the first one on."""
    assert [2.0, 4.0, 6.0] == simulate_polls(lambda _: 2.0, 5.0)
    assert [2.0] == simulate_polls(lambda _: 2.0, 2.0)
