"""Learning: what a learned pace costs beside the best of all rules, and beside the plain pace."""

import pytest
from frugality import QUANTILES
from learning import SAID, beside_the_best, means, trials

pytestmark = pytest.mark.thorough

JOBS = 200
PUPILS = 10


@pytest.fixture(scope="module", params=QUANTILES)
def shape(request):
    return request.param


@pytest.fixture(scope="module")
def pupils(shape):
    return trials(shape, jobs=JOBS, seeds=PUPILS, poll_cost=1.0)


@pytest.fixture(scope="module", params=[said for said in SAID if said != "none"])
def told(request, shape):
    """Pupils that hear an eta with each job."""
    return request.param, trials(shape, jobs=JOBS, seeds=PUPILS, poll_cost=1.0, said=request.param)


def test_two_hundred_jobs_teach_almost_the_best_rule(pupils, shape):
    """It costs on average no more than 10 % above the best rule for the true distribution."""
    assert sum(beside_the_best(pupils, shape, 1.0)) / PUPILS <= 1.10


def test_learning_never_costs_more_than_a_twentieth(pupils):
    """Up to each job, all jobs together cost no more than 5 % above the plain pace."""
    assert max(means(pupils)) <= 1.05


def test_it_begins_as_the_plain_pace(pupils):
    """Until enough is known, every look is where the plain pace has it."""
    assert {1.0} == {ratio for pupil in pupils for ratio in pupil.along[:20]}


def test_learning_pays(pupils):
    """Two hundred jobs cost less together than with the plain pace, whatever the shape."""
    assert means(pupils)[-1] < 0.96


def test_no_eta_makes_it_cost_more_than_a_twentieth(told):
    """Up to each job too, be the etas honest or as wrong as they may."""
    _, pupils = told
    assert max(means(pupils)) <= 1.05
    assert {1.0} == {ratio for pupil in pupils for ratio in pupil.along[:50]}


def test_etas_that_are_wrong_are_learned(told):
    """Where they are off by a fifth it pays, and far more so where they are much too long."""
    said, pupils = told
    most = {"off by a fifth": 0.9, "ten times too long": 0.5, "960 s for all": 0.6}
    assert means(pupils)[-1] <= most.get(said, 1.05)
