"""Seeded stories of a whole poller on virtual time: see `simulate.py`."""

import pytest
from faults.simulate import play

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("seed", [*range(60), 102, 222])
def test_a_story_ends_well(seed):
    """Every ticket settles once and rightly, nothing is early, too much, or after the end."""
    story = play(seed)
    assert story.looks or not story.outcomes
