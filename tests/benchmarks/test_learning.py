"""Learning: what a learned pace costs beside the best of all rules, and beside the plain pace."""

import pytest
from frugality import QUANTILES
from learning import trials

pytestmark = pytest.mark.alone

JOBS = 200
PUPILS = 10


@pytest.fixture(scope="module", params=QUANTILES)
def pupils(request):
    return trials(request.param, jobs=JOBS, seeds=PUPILS, look=1.0)


def test_two_hundred_jobs_teach_almost_the_best_rule(pupils):
    """It costs on average no more than 10 % above the best rule for the true distribution."""
    assert sum(pupil.last for pupil in pupils) / PUPILS <= 1.10


def test_learning_never_costs_more_than_a_twentieth(pupils):
    """Up to each job, all jobs together cost no more than 5 % above the plain pace."""
    for ratios in zip(*(pupil.along for pupil in pupils), strict=True):
        assert sum(ratios) / PUPILS <= 1.05


def test_it_begins_as_the_plain_pace(pupils):
    """Until enough is known, every look is where the plain pace has it."""
    assert {1.0} == {ratio for pupil in pupils for ratio in pupil.along[:20]}


def test_learning_pays(pupils):
    """Two hundred jobs cost less together than with the plain pace, whatever the shape."""
    assert sum(pupil.along[-1] for pupil in pupils) / PUPILS < 0.96
