"""A few thousand submits with a fault at every point. `simulate.py` runs any number."""

import pytest
from everyday import cases
from submitting.simulate import POINTS, RAISED, UPLOADS, play


@pytest.mark.parametrize(("runs", "seed"), cases([(1000, 1)], [(4000, 2)]))
def test_no_submit_is_sent_twice(virtually, caplog, runs, seed):
    """Whatever breaks, nothing starts twice and every caller is told the truth."""
    caplog.set_level("CRITICAL")
    played = virtually(lambda: play(runs, seed))
    service = played.service
    assert [] == played.tally.wrong
    assert runs == len(service.seen)
    assert set(POINTS) == set(service.points)
    assert {"none", *UPLOADS} == set(service.uploads)
    assert set(RAISED) == set(played.hooks)
