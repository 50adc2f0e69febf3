"""The promises of the default pace, checked by simulation."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelslab_async import Pace

JITTERS = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def poll_times(pace, seconds, jitters, eta=None):
    """
    The times of all polls of a job of so many seconds. The last one notices its end.

    Replies take no time. The jitters repeat in a cycle.
    """
    now, polls = pace.first_step(eta, jitters[0]), []
    while True:
        polls.append(now)
        if now >= seconds:
            return polls
        now += pace.step(now, jitters[len(polls) % len(jitters)])


def fewest_steps(pace, seconds):
    """The number of full steps in so many seconds: the integral of 1 / step."""
    count, width = 0.0, seconds / 4000.0
    for part in range(4000):
        count += width / pace.base_step((part + 0.5) * width)
    return count


def most_polls(pace, seconds):
    """
    A step is at least its full length less the jitter, and the next is longer by its growth.

    So there is one poll at the start and one that notices the end. For each full step in between
    there is at most 1 / (1 - jitter) of a poll, and a part of one for its growth.
    """
    growth = max(pace.growth, pace.age_fraction)
    return 2 + (1.0 / (1.0 - pace.jitter) + growth) * fewest_steps(pace, seconds)


@settings(max_examples=100)
@given(seconds=st.floats(0.1, 3000.0), jitters=JITTERS)
def test_default_pace_keeps_both_promises(seconds, jitters):
    """With any jitter, the end is noticed in time and the polls are bounded."""
    pace = Pace()
    polls = poll_times(pace, seconds, jitters)
    assert polls[-1] - seconds <= max(min(2.5 + 0.3 * seconds, 9.5), 0.05 * seconds) + 1e-9
    assert len(polls) <= most_polls(pace, seconds) * 1.001


@settings(max_examples=100)
@given(
    seconds=st.floats(0.1, 3000.0),
    jitters=JITTERS,
    pace=st.builds(
        Pace,
        floor=st.floats(0.1, 10.0),
        growth=st.floats(0.0, 1.0),
        age_fraction=st.floats(0.02, 1.0),
        jitter=st.floats(0.0, 0.9),
        ceiling=st.just(1e6),
    ),
)
def test_any_pace_below_its_ceiling_keeps_both_promises(seconds, jitters, pace):
    """The same laws hold for other values of all arguments."""
    polls = poll_times(pace, seconds, jitters)
    rising = min(pace.floor + pace.growth * seconds, 9.5)
    late = max(pace.floor, rising, pace.age_fraction * seconds)
    assert polls[-1] - seconds <= late * (1 + 1e-9)
    assert len(polls) <= most_polls(pace, seconds) * 1.001


@pytest.mark.parametrize("seconds", [1.0, 60.0, 3600.0])
def test_zero_age_fraction_is_a_fixed_loop(seconds):
    """Every step is the floor: the delay is a floor, and the polls grow with time."""
    polls = poll_times(Pace.fixed(2.0), seconds, [0.5])
    assert polls[-1] - seconds <= 2.0
    assert math.ceil(seconds / 2.0) + 1 == len(polls)


@given(seconds=st.floats(0.1, 3000.0), eta=st.floats(0.1, 1e5), jitters=JITTERS)
def test_wrong_eta_costs_no_more_than_max_eta_wait(seconds, eta, jitters):
    """A job is noticed within 75 s, or its own time again, whatever its eta said."""
    pace = Pace()
    now, number = pace.first_step(eta, jitters[0]), 0
    while now < seconds:
        number += 1
        now += pace.step(now, jitters[number % len(jitters)], eta=eta)
    assert now - seconds <= max(75.0, seconds, pace.base_step(seconds))


@pytest.mark.parametrize("eta", [None, 0, 0.0])
def test_first_poll_without_eta_is_immediate(eta):
    """An old ticket is answered at once."""
    assert 0.0 == Pace().first_step(eta, 1.0)


@given(age=st.floats(0, 1e6), older=st.floats(0, 1e6), jitter=st.floats(0, 1))
def test_steps_grow_and_jitter_shortens_them(age, older, jitter):
    """A step never shrinks with age, and is between the floor and the ceiling less jitter."""
    pace = Pace()
    step = pace.step(age, jitter)
    assert step <= pace.step(age, 0.0) <= pace.step(age + older, 0.0) <= pace.ceiling
    assert pace.floor * (1.0 - pace.jitter) <= step
    assert pace.step(age, 0.0) * (1.0 - pace.jitter) <= step


@given(failures=st.integers(1, 100), jitter=st.floats(0, 1), floor=st.floats(0.001, 300.0))
def test_backoff_starts_at_the_floor(failures, jitter, floor):
    """It doubles from the floor to a minute (or a longer floor), and jitter takes half at most."""
    pace = Pace(floor=floor)
    full = min(floor * 2.0 ** (failures - 1), max(floor, 60.0))
    assert full / 2 <= pace.backoff(failures, jitter) <= full
    assert pace.backoff(failures, jitter) <= pace.backoff(failures + 1, jitter)
