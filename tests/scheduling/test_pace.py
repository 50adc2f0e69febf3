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
    rise=st.floats(0.01, 1.0),
    stride=st.floats(0.0, 60.0),
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


def pieces(pace, seconds):
    """How many steps of full length fit into a job, were each as long as its every moment says."""
    stride = max(pace.stride, pace.floor)
    level = (stride - pace.floor) / pace.rise if pace.rise else math.inf
    grown = max(level, stride / pace.share)
    count = math.log1p(pace.rise / pace.floor * min(seconds, level)) / pace.rise
    count += max(0.0, min(seconds, grown) - level) / stride
    return count + math.log(max(1.0, seconds / grown)) / pace.share


def bound(pace, seconds):
    """The most looks that the pace may spend on a job of so many seconds."""
    most = 1.0 / (1.0 - pace.jitter) + max(pace.rise, pace.share)
    return 2 + most * pieces(pace, seconds)


@given(pace=PACES, seconds=st.floats(0.01, 3000), chance=CHANCE)
def test_both_promises_hold_for_any_pace(pace, seconds, chance):
    """Noticed within the step of its age, and for no more looks than its steps allow."""
    looks = watch(pace, seconds, forever(chance))
    assert looks[-1] - seconds <= pace.longest(seconds) + 1e-6
    assert len(looks) <= bound(pace, seconds) + 1e-6


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 10.0, 60.0, 600.0, 3000.0])
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_the_default_s_promises_in_figures(seconds, chance):
    """Ten seconds or a twentieth; after three minutes looks grow with the logarithm."""
    looks = watch(Pace(), seconds, forever(chance))
    assert looks[-1] - seconds <= max(min(2.5 + 0.3 * seconds, 9.5), 0.05 * seconds) + 1e-9
    assert len(looks) <= 6 + seconds / 8.5
    assert len(looks) <= 29 + 23 * math.log(max(1.0, seconds / 190))


def test_the_ceiling_bounds_the_step():
    """Beyond `ceiling / share` seconds the step grows no more."""
    assert 300.0 == Pace().step(1e6, 0.0)
    assert 300.0 == Pace().step(6000.0, 0.0)


def test_work_just_submitted_is_not_asked_about_at_once():
    """Its submit was the first look already; the next one is due after a step."""
    assert 0.0 == Pace().first(None, 0.5)
    assert Pace().step(0.0, 0.5) == Pace().first(None, 0.5, fresh=True)
    assert 2.0 == Pace.fixed(2.0).first(None, 0.5, fresh=True)


@given(eta=st.floats(0.001, 1e6), age=st.floats(0, 1e5), chance=CHANCE)
def test_an_eta_is_waited_for_with_patience(eta, age, chance):
    """In one step, which ends with it or a little later; but it is not believed for ever."""
    pace = Pace()
    step = pace.step(age, chance, eta=age + eta)
    believed = min(max(75.0, age), 300.0)
    assert min(eta, 0.9 * believed) - 1e-6 <= step
    assert step <= min(eta + 0.1 * pace.longest(age + eta), believed) + 1e-6


@given(seconds=st.floats(0.01, 3000), eta=st.floats(0.01, 1e6), chance=CHANCE)
def test_an_eta_that_is_wrong_makes_it_late_by_patience_or_as_much_again(seconds, eta, chance):
    """The default notices within 75 seconds or T, whichever is more, and within 300 at any rate."""
    pace = Pace()
    now = pace.first(eta, chance, fresh=True)
    while now < seconds:
        now += pace.step(now, chance, eta=eta)
    assert now - seconds <= min(max(75.0, seconds), 300.0) + 1e-6


@given(eta=st.floats(75.0, 1e6), one=CHANCE, other=CHANCE)
def test_chance_parts_a_herd_with_one_long_eta(eta, one, other):
    """Tickets submitted together are not looked at in the same moment, however long the eta."""
    pace = Pace()
    apart = abs(pace.first(eta, one) - pace.first(eta, other))
    assert abs(one - other) * 0.9 <= apart + 1e-6


def test_an_eta_that_has_passed_says_nothing():
    """From then on the steps are those of the age."""
    assert Pace().step(30.0, 0.5) == Pace().step(30.0, 0.5, eta=29.0)
    assert Pace().step(30.0, 0.5) == Pace().step(30.0, 0.5, eta=30.0)


def test_without_patience_no_eta_is_heeded():
    """Whoever trusts no eta says so."""
    pace = Pace(patience=0.0)
    assert 0.0 == pace.first(60.0, 0.0)
    assert pace.step(5.0, 0.5) == pace.step(5.0, 0.5, eta=60.0)


def test_a_plain_pace_is_the_rule_for_everything():
    """The same steps for every family, and nothing is learned."""
    pace = Pace()
    assert pace is pace.limits is pace.of("images")
    pace.learn(1.0, 2.0, None)
    assert Pace() == pace


def test_a_fixed_pace_keeps_its_step():
    """`Pace.fixed` is the loop that one would write by hand."""
    pace = Pace.fixed(2.5)
    assert {2.5} == {pace.step(age, chance) for age in (0, 50, 1e6) for chance in (0.0, 1.0)}
    assert 2.5 == pace.step(50.0, 0.5, eta=960.0)
    assert 0.0 == pace.first(960, 0.5)


@given(setbacks=st.integers(1, 10_000), chance=CHANCE)
def test_backing_off_grows_and_ends(setbacks, chance):
    """A backoff doubles up to a minute, and chance takes off a half at most."""
    pause = Pace().backoff(setbacks, chance)
    full = min(2.5 * 2.0 ** min(setbacks - 1, 30), 60.0)
    assert full / 2 <= pause <= full


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": 0},
        {"floor": -1},
        {"floor": math.nan},
        {"floor": "1"},
        {"rise": -0.1},
        {"stride": -1},
        {"patience": math.nan},
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
