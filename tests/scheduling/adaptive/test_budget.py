"""Purse and sightings: what learned looks cost beside the plain pace's, and what may be tried."""

import pytest

from modelslab_async import Pace
from modelslab_async._scheduling.adaptive.adaptive_pace import AdaptiveFamilyPace
from modelslab_async._scheduling.adaptive.budget import TrialBudget
from modelslab_async._scheduling.adaptive.replay import ObservedJob, simulate_polls


def evenly(age):
    """Half of the jobs are over by 5 s, all by 10 s."""
    return min(age / 10.0, 1.0)


def test_what_is_used_up_is_not_spent():
    """A loss stops it, and comes back as a fiftieth of what the plain pace costs."""
    budget = TrialBudget()
    assert budget.is_affordable
    budget.record(10.0, 1.0, 1.0)
    assert not budget.is_affordable
    for _ in range(4):
        budget.record(10.0, None, 1.0)
    assert budget.is_affordable


def test_what_was_lent_is_free_again_once_it_is_heard_of():
    """Only as many are tried at once as can be paid; each that is heard of makes room for one."""
    budget = TrialBudget(allowed=1.5)
    assert [True, True, False] == [budget.try_reserve(1.0) for _ in range(3)]
    budget.record(1.0, 0.0, 1.0)
    assert [True, False] == [budget.try_reserve(1.0) for _ in range(2)]


def test_what_nobody_can_tell_stays_lent():
    """A job that tells nothing of the learned looks may have cost what was lent for it."""
    budget = TrialBudget(allowed=0.5)
    assert budget.try_reserve(1.0)
    budget.record(1.0, None, 1.0)
    assert not budget.try_reserve(1.0)


def test_luck_proves_nothing():
    """It must have saved some looks, and more than it may spend."""
    assert not TrialBudget(allowed=2.0, spent=-4.0).has_paid_off(1.0)
    assert not TrialBudget(allowed=2.0, spent=-7.0).has_paid_off(1.0)
    assert TrialBudget(allowed=2.0, spent=-7.1).has_paid_off(1.0)


def test_lessons_that_lost_leave_the_steps_to_the_plain_pace():
    """With an eta and without one; and what is lost without one says nothing of etas."""
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


def test_looks_that_would_have_told_more_cannot_be_compared():
    """A look between running and over might have found it either way."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert seen.is_conclusive([2.0, 6.0])
    assert seen.is_conclusive([1.0, 9.0])
    assert not seen.is_conclusive([1.0, 4.0, 9.0])


def test_what_other_looks_would_have_cost_is_weighed():
    """Each look by how likely the job ended before it and after the one before."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert pytest.approx(2.0 + 9.0) == seen.cost([1.0, 9.0], 1.0)
    assert pytest.approx((2.0 + 4.0) / 2 + (3.0 + 9.0) / 2) == seen.cost([1.0, 4.0, 9.0], 1.0)


def test_where_none_was_known_to_end_all_ages_are_alike():
    """A job that took a length that none before it took is shared out by time."""
    seen = ObservedJob(20.0, 24.0, evenly)
    assert pytest.approx((1.0 + 21.0) / 4 + (2.0 + 25.0) * 3 / 4) == seen.cost([21.0, 25.0], 1.0)


def test_chance_makes_no_two_looks_of_one():
    """A look that would have come a little earlier or later is the one that was."""
    seen = ObservedJob(2.0, 6.0, evenly)
    assert [2.0, 6.0] == seen.aligned([2.1, 5.9, 8.0], lambda _: 0.2)
    assert [1.9, 6.1] == seen.aligned([1.9, 6.1, 8.0], lambda _: 0.2)
    assert [2.1, 5.9, 8.0] == seen.aligned([2.1, 5.9, 8.0, 10.0], lambda _: 0.05)


def test_a_walk_ends_with_the_look_that_finds_it_over():
    """Step by step, the first one from the beginning."""
    assert [2.0, 4.0, 6.0] == simulate_polls(lambda _: 2.0, 5.0)
    assert [2.0] == simulate_polls(lambda _: 2.0, 2.0)
