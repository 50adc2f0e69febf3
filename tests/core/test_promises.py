"""Promises: what the default pace lets users reckon with, held by simulation."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelslab_async import Pace

CHANCES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def looks_at(pace, seconds, chances, eta=None):
    """
    The moments of all looks at a job of so many seconds, the last of which notices its end.

    Replies take no time. The chances come round and round.
    """
    now, looks = pace.first(eta, chances[0]), []
    while True:
        looks.append(now)
        if now >= seconds:
            return looks
        now += pace.step(now, chances[len(looks) % len(chances)])


def most_looks(pace, seconds):
    """
    A step is at least its full length less the jitter.

    So there is one look at the start, one for each shortened floor until the floor's reign ends,
    one for each time that the age then grew by a shortened share, and two for the ends of both.
    """
    reign = pace.floor / pace.share
    least = pace.floor * (1.0 - pace.jitter)
    growth = 1.0 + pace.share * (1.0 - pace.jitter)
    linear = min(seconds, reign) / least
    return 1 + linear + math.log(max(1.0, seconds / reign), growth) + 2


@settings(max_examples=300)
@given(seconds=st.floats(0.1, 3000.0), chances=CHANCES)
def test_the_default_pace_keeps_both_promises(seconds, chances):
    """Whatever chance does, the end is noticed in time and the looks grow with the logarithm."""
    pace = Pace()
    looks = looks_at(pace, seconds, chances)
    assert looks[-1] - seconds <= max(pace.floor, pace.share * seconds) + 1e-9
    assert len(looks) <= most_looks(pace, seconds)


@given(
    seconds=st.floats(0.1, 3000.0),
    chances=CHANCES,
    floor=st.floats(0.1, 10.0),
    share=st.floats(0.02, 1.0),
    jitter=st.floats(0.0, 0.9),
)
def test_any_pace_below_its_ceiling_keeps_them(seconds, chances, floor, share, jitter):
    """The same laws hold for floors, shares and jitters of one's own."""
    pace = Pace(floor=floor, share=share, jitter=jitter, ceiling=1e6)
    looks = looks_at(pace, seconds, chances)
    assert looks[-1] - seconds <= max(floor, share * seconds) * (1 + 1e-9)
    assert len(looks) <= most_looks(pace, seconds)


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
def test_a_share_of_nothing_is_the_loop_by_hand(seconds):
    """Without a share every step is the floor: late by a floor, looks in proportion to the time."""
    looks = looks_at(Pace.fixed(2.0), seconds, [0.5])
    assert looks[-1] - seconds <= 2.0
    assert math.ceil(seconds / 2.0) + 1 == len(looks)


@given(eta=st.floats(0.001, 1e6), chance=st.floats(0, 1))
def test_an_eta_is_believed_for_a_while(eta, chance):
    """The first look waits for the eta, but no longer than the floor would have reigned."""
    pace = Pace()
    reign = pace.floor / pace.share
    width = pace.floor * pace.jitter
    assert min(eta, reign) <= pace.first(eta, chance) <= min(eta, reign) + width


@pytest.mark.parametrize("eta", [None, 0, 0.0])
def test_without_an_eta_the_first_look_is_due_at_once(eta):
    """Who asks about an old ticket gets its answer at once."""
    assert 0.0 == Pace().first(eta, 1.0)


@given(age=st.floats(0, 1e6), older=st.floats(0, 1e6), chance=st.floats(0, 1))
def test_steps_grow_and_chance_only_shortens_them(age, older, chance):
    """A step never shrinks with age, and stands between the floor and the ceiling less chance."""
    pace = Pace()
    step = pace.step(age, chance)
    assert step <= pace.step(age, 0.0) <= pace.step(age + older, 0.0) <= pace.ceiling
    assert pace.floor * (1.0 - pace.jitter) <= step
    assert pace.step(age, 0.0) * (1.0 - pace.jitter) <= step


@given(setbacks=st.integers(1, 100), chance=st.floats(0, 1), floor=st.floats(0.001, 300.0))
def test_backing_off_starts_at_the_floor(setbacks, chance, floor):
    """It doubles from the floor to a minute (or a longer floor), and chance takes off half."""
    pace = Pace(floor=floor)
    full = min(floor * 2.0 ** (setbacks - 1), max(floor, 60.0))
    assert full / 2 <= pace.backoff(setbacks, chance) <= full
    assert pace.backoff(setbacks, chance) <= pace.backoff(setbacks + 1, chance)
