"""Pacing: when to look, and the two promises that users can reckon with."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import Pace

CHANCE = st.floats(0, 1)
PACES = st.builds(
    Pace,
    floor=st.floats(0.05, 5),
    share=st.floats(0.05, 0.5),
    ceiling=st.just(1e9),
    jitter=st.floats(0, 0.5),
)


def watch(pace, seconds, chances):
    """When a job of so many seconds is looked at, until it is noticed; replies take no time."""
    now = pace.first(None, next(chances))
    looks = [now]
    while now < seconds:
        now += pace.step(now, next(chances))
        looks.append(now)
    return looks


def forever(value):
    while True:
        yield value


def bound(pace, seconds):
    """The most looks that the pace may spend on a job of so many seconds."""
    even = 1.0 / (1.0 - pace.jitter) if pace.jitter < 1 else math.inf
    linear = min(seconds, pace.floor / pace.share) / pace.floor * even
    grown = max(1.0, seconds * pace.share / pace.floor)
    return 3 + linear + math.log(grown) / math.log(1 + pace.share * (1 - pace.jitter))


@given(pace=PACES, seconds=st.floats(0.01, 3000), chance=CHANCE)
def test_both_promises_hold_for_any_pace(pace, seconds, chance):
    """Noticed within the floor or the share, and for no more looks than the logarithm allows."""
    looks = watch(pace, seconds, forever(chance))
    assert looks[-1] - seconds <= max(pace.floor, pace.share * seconds) + 1e-6
    assert len(looks) <= bound(pace, seconds)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 10.0, 60.0, 600.0, 3000.0])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_default_s_promises_in_figures(seconds, chance):
    """A second or a tenth; 14 looks and 12 for each time that ten seconds grew e-fold."""
    looks = watch(Pace(), seconds, forever(chance))
    assert looks[-1] - seconds <= max(1.0, 0.1 * seconds) + 1e-9
    assert len(looks) <= 14 + 12 * math.log(max(1.0, seconds / 10))


def test_the_ceiling_bounds_the_step():
    """Beyond `ceiling / share` seconds the step grows no more."""
    assert 300.0 == Pace().step(1e6, 0.0)
    assert 300.0 == Pace().step(3000.0, 0.0)


@given(eta=st.none() | st.floats(0, 1e6), chance=CHANCE)
def test_an_eta_delays_the_first_look_a_little(eta, chance):
    """However wrong an eta is, it costs no more than the time in which the floor rules."""
    pace = Pace()
    delay = pace.first(eta, chance)
    assert 0.0 <= delay <= min(eta or 0.0, 10.0) + 0.1


def test_a_fixed_pace_keeps_its_step():
    """`Pace.fixed` is the loop that one would write by hand."""
    pace = Pace.fixed(2.5)
    assert {2.5} == {pace.step(age, chance) for age in (0, 50, 1e6) for chance in (0.0, 1.0)}
    assert 0.0 == pace.first(960, 0.5)


@given(setbacks=st.integers(1, 10_000), chance=CHANCE)
def test_backing_off_grows_and_ends(setbacks, chance):
    """A backoff doubles up to a minute, and chance takes off a half at most."""
    pause = Pace().backoff(setbacks, chance)
    full = min(2.0 ** min(setbacks - 1, 30), 60.0)
    assert full / 2 <= pause <= full


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": 0},
        {"floor": -1},
        {"floor": math.nan},
        {"floor": "1"},
        {"share": -0.1},
        {"share": math.nan},
        {"ceiling": 0.5},
        {"jitter": 1.5},
        {"faults": 0},
        {"grace": -1},
    ],
)
def test_a_pace_that_makes_no_sense_is_refused(wrong):
    """Each number has a range, and says so."""
    with pytest.raises((ValueError, TypeError), match=f"{next(iter(wrong))}|'{next(iter(wrong))}'"):
        Pace(**wrong)
