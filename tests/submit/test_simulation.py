"""A few thousand submits with a fault at every point; the program beside it plays any number."""

import pytest
from submit.simulate import POINTS, play


@pytest.mark.parametrize("seed", [1, 2])
def test_no_submit_is_sent_twice(virtually, caplog, seed):
    """Whatever breaks, nothing starts twice and nobody is told what is not so."""
    caplog.set_level("CRITICAL")
    tally, service = virtually(lambda: play(3000, seed))
    assert [] == tally.wrong
    assert 3000 == tally.ends.total()
    assert set(POINTS) == set(service.points)
