"""The history of a family: when it plans, for how long a plan is kept, and what is saved."""

import pytest

from modelslab_async._scheduling.adaptive.histogram import EDGES, nearest_edge
from modelslab_async._scheduling.adaptive.history import JobHistory
from modelslab_async._scheduling.adaptive.planner import best_next_edges


def history_of(count, *, last_running=9.0, first_done=11.0, **more):
    history = JobHistory(**more)
    for _ in range(count):
        history.add(last_running, first_done)
    return history


def test_plan_needs_enough_jobs():
    """Below `min_jobs` there is no age, and from then on there is one."""
    assert history_of(19).next_poll_age(0.0, 1.0) is None
    assert 8.0 < history_of(20).next_poll_age(0.0, 1.0) < 13.0
    assert history_of(4, min_jobs=5).next_poll_age(0.0, 1.0) is None
    assert history_of(5, min_jobs=5).next_poll_age(0.0, 1.0)


def test_next_poll_is_that_of_the_cheapest_plan():
    """For each age, and for costs that are rounded to powers of 1.5."""
    history = history_of(40)
    density = history.intervals.density()
    for cost in (1.5**-2, 1.0, 1.5**5):
        plan = best_next_edges(EDGES, density, cost)
        for age in (0.0, 1.0, 8.0, 10.0, 12.0):
            expected = EDGES[plan[nearest_edge(age)]]
            assert expected == history.next_poll_age(age, cost * 1.1)


def test_extreme_cost_is_bounded():
    """A cost of zero, or of more than a billion, has a plan."""
    history = history_of(40)
    assert history.next_poll_age(0.0, 0.0) == history.next_poll_age(0.0, 1e-9)
    assert history.next_poll_age(0.0, 1e300) == history.next_poll_age(0.0, 1e9)


def test_age_beyond_all_jobs_has_no_plan():
    """The longest duration that is possible is the last age of a plan."""
    history = history_of(40)
    history.next_poll_age(0.0, 1.0)
    bins = len(history.intervals.density())
    assert history.next_poll_age(EDGES[bins - 1], 1.0) == EDGES[bins]
    assert history.next_poll_age(EDGES[bins], 1.0) is None


@pytest.mark.parametrize(("count", "more"), [(32, 2), (160, 10), (1600, 100), (4000, 100)])
def test_plan_is_kept_until_there_are_more_jobs(count, more):
    """A sixteenth more, or a hundred, make a new plan."""
    history = history_of(count)
    before = history.next_poll_age(0.0, 1.0)
    for number in range(1, more + 1):
        history.intervals._weights = {(150, 151): 1.0}
        history.intervals.count += 1
        is_kept = before == history.next_poll_age(0.0, 1.0)
        assert (number < more) == is_kept


def test_fraction_done_grows_from_zero_to_one():
    """Between two edges it grows evenly, and beyond the last it is one."""
    history = history_of(40)
    history.next_poll_age(0.0, 1.0)
    density = history.intervals.density()
    assert 0.0 == history.fraction_done(0.0)
    assert 1.0 == history.fraction_done(1e6)
    k = nearest_edge(10.0)
    for part in (0.0, 0.25, 0.5):
        age = EDGES[k] + part * (EDGES[k + 1] - EDGES[k])
        expected = sum(density[:k]) + part * density[k]
        assert expected == pytest.approx(history.fraction_done(age))
    assert 1.0 == pytest.approx(history.fraction_done(EDGES[len(density)] - 1e-9))


def test_history_survives_a_save():
    """Counts and the budget are kept, and so are the settings of the history that restores."""
    history = history_of(30, min_jobs=30, eta_prior=0.6)
    history.budget.allowed, history.budget.spent = 1.23456, -2.34567
    saved = history.to_dict()
    assert (30, 1.2346, -2.3457) == (saved["count"], saved["allowed"], saved["spent"])
    restored = JobHistory(min_jobs=30, eta_prior=0.6).restore(saved)
    assert (30, 0.6) == (restored.min_jobs, restored.eta_prior)
    assert (1.2346, -2.3457) == (restored.budget.allowed, restored.budget.spent)
    assert saved == restored.to_dict()
    assert history.next_poll_age(0.0, 1.0) == restored.next_poll_age(0.0, 1.0)
