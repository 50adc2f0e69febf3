"""The adaptive pace compared with the best rule and with the fixed pace."""

import pytest
from adaptive_pace import ETA_KINDS, means, relative_to_best, trials
from frugality import QUANTILES

pytestmark = pytest.mark.thorough

JOBS = 200
SEEDS = 10


@pytest.fixture(scope="module", params=QUANTILES)
def shape(request):
    return request.param


@pytest.fixture(scope="module")
def results(shape):
    return trials(shape, jobs=JOBS, seeds=SEEDS, poll_cost=1.0)


@pytest.fixture(scope="module", params=[kind for kind in ETA_KINDS if kind != "none"])
def with_etas(request, shape):
    """The kind of eta, and trials in which each job has one."""
    kind = request.param
    return kind, trials(shape, jobs=JOBS, seeds=SEEDS, poll_cost=1.0, eta_kind=kind)


def test_cost_after_200_jobs_is_close_to_the_best_rule(results, shape):
    """On average it is at most 10 % above the best rule for the true distribution."""
    assert sum(relative_to_best(results, shape, 1.0)) / SEEDS <= 1.10


def test_learning_never_costs_more_than_five_percent(results):
    """After each job, all jobs together cost at most 5 % more than with the fixed pace."""
    assert max(means(results)) <= 1.05


def test_pace_starts_like_the_fixed_pace(results):
    """Until enough jobs are known, every poll comes when the fixed pace polls."""
    assert {1.0} == {ratio for result in results for ratio in result.relative_costs[:20]}


def test_learning_costs_less_in_total(results):
    """For every shape, 200 jobs together cost less than with the fixed pace."""
    assert means(results)[-1] < 0.96


def test_wrong_etas_never_cost_more_than_five_percent(with_etas):
    """After each job the bound holds, with honest and with wrong etas."""
    _, results = with_etas
    assert max(means(results)) <= 1.05
    assert {1.0} == {ratio for result in results for ratio in result.relative_costs[:50]}


def test_wrong_etas_are_learned(with_etas):
    """Etas that are off by a fifth cost less in time, and much too long ones far less."""
    kind, results = with_etas
    limits = {"off by a fifth": 0.9, "ten times too long": 0.5, "960 s for all": 0.6}
    assert means(results)[-1] <= limits.get(kind, 1.05)
