"""When the plain pace polls, and the two promises that users rely on."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async import Pace

JITTER = st.floats(0, 1)
PACES = st.builds(
    Pace,
    floor=st.floats(0.05, 5),
    growth=st.floats(0.01, 1.0),
    growth_cap=st.floats(0.0, 60.0),
    age_fraction=st.floats(0.05, 0.5),
    ceiling=st.just(1e9),
    jitter=st.floats(0, 0.5),
)


def poll_ages(pace, seconds, jitters):
    """The ages at which a job is polled, until its end is noticed. Replies take no time."""
    now = pace.first_step(None, next(jitters))
    polls = [now]
    while now < seconds:
        now += pace.step(now, next(jitters))
        polls.append(now)
    return polls


def repeat_jitter(value):
    while True:
        yield value


def full_steps(pace, seconds):
    """The number of full steps in a job of so many seconds: the integral of 1 / step."""
    growth_cap = max(pace.growth_cap, pace.floor)
    level = (growth_cap - pace.floor) / pace.growth if pace.growth else math.inf
    grown = max(level, growth_cap / pace.age_fraction)
    count = math.log1p(pace.growth / pace.floor * min(seconds, level)) / pace.growth
    count += max(0.0, min(seconds, grown) - level) / growth_cap
    return count + math.log(max(1.0, seconds / grown)) / pace.age_fraction


def most_polls(pace, seconds):
    """The most polls that the pace may use for a job of so many seconds."""
    most = 1.0 / (1.0 - pace.jitter) + max(pace.growth, pace.age_fraction)
    return 2 + most * full_steps(pace, seconds)


@given(pace=PACES, seconds=st.floats(0.01, 3000), jitter=JITTER)
def test_promises_hold_for_any_pace(pace, seconds, jitter):
    """The end is noticed within the step at its age, with no more polls than the steps allow."""
    polls = poll_ages(pace, seconds, repeat_jitter(jitter))
    assert polls[-1] - seconds <= pace.base_step(seconds) + 1e-6
    assert len(polls) <= most_polls(pace, seconds) + 1e-6


@pytest.mark.parametrize("seconds", [0.1, 1.0, 2.0, 10.0, 60.0, 600.0, 3000.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_default_pace_in_figures(seconds, jitter):
    """10 s or 5 %; after three minutes the polls grow with the logarithm."""
    polls = poll_ages(Pace(), seconds, repeat_jitter(jitter))
    assert polls[-1] - seconds <= max(min(2.5 + 0.3 * seconds, 9.5), 0.05 * seconds) + 1e-9
    assert len(polls) <= 6 + seconds / 8.5
    assert len(polls) <= 29 + 23 * math.log(max(1.0, seconds / 190))


def test_ceiling_bounds_step():
    """Beyond `ceiling / age_fraction` seconds the step grows no more."""
    assert 300.0 == Pace().step(1e6, 0.0)
    assert 300.0 == Pace().step(6000.0, 0.0)


def test_just_submitted_work_waits_one_step():
    """The submit's own reply counts as the first poll."""
    assert 0.0 == Pace().first_step(None, 0.5)
    assert Pace().step(0.0, 0.5) == Pace().first_step(None, 0.5, just_submitted=True)
    assert 2.0 == Pace.fixed(2.0).first_step(None, 0.5, just_submitted=True)


@given(eta=st.floats(0.001, 1e6), age=st.floats(0, 1e5), jitter=JITTER)
def test_eta_delays_poll_up_to_max_eta_wait(eta, age, jitter):
    """One step ends at the eta or a little later, but is never too long."""
    pace = Pace()
    step = pace.step(age, jitter, eta=age + eta)
    believed = min(max(75.0, age), 300.0)
    assert min(eta, 0.9 * believed) - 1e-6 <= step
    assert step <= min(eta + 0.1 * pace.base_step(age + eta), believed) + 1e-6


@given(seconds=st.floats(0.01, 3000), eta=st.floats(0.01, 1e6), jitter=JITTER)
def test_wrong_eta_bounds_delay(seconds, eta, jitter):
    """The default notices within 75 seconds or T, whichever is more, and within 300 at most."""
    pace = Pace()
    now = pace.first_step(eta, jitter, just_submitted=True)
    while now < seconds:
        now += pace.step(now, jitter, eta=eta)
    assert now - seconds <= min(max(75.0, seconds), 300.0) + 1e-6


@given(eta=st.floats(75.0, 1e6), one=JITTER, other=JITTER)
def test_jitter_spreads_tickets_with_one_eta(eta, one, other):
    """Tickets that were submitted together are polled at different times, however long the eta."""
    pace = Pace()
    apart = abs(pace.first_step(eta, one) - pace.first_step(eta, other))
    assert abs(one - other) * 0.9 <= apart + 1e-6


def test_past_eta_is_ignored():
    """From then on the steps are those of the age."""
    assert Pace().step(30.0, 0.5) == Pace().step(30.0, 0.5, eta=29.0)
    assert Pace().step(30.0, 0.5) == Pace().step(30.0, 0.5, eta=30.0)


def test_zero_max_eta_wait_ignores_etas():
    """`max_eta_wait=0` ignores every eta."""
    pace = Pace(max_eta_wait=0.0)
    assert 0.0 == pace.first_step(60.0, 0.0)
    assert pace.step(5.0, 0.5) == pace.step(5.0, 0.5, eta=60.0)


def test_plain_pace_is_its_own_limits_and_family_pace():
    """It has the same steps for every family, and learns nothing."""
    pace = Pace()
    assert pace is pace.limits is pace.for_family("images")
    pace.learn(1.0, 2.0, None)
    assert Pace() == pace


def test_fixed_pace_keeps_its_step():
    """`Pace.fixed` is the hand-written loop."""
    pace = Pace.fixed(2.5)
    assert {2.5} == {pace.step(age, jitter) for age in (0, 50, 1e6) for jitter in (0.0, 1.0)}
    assert 2.5 == pace.step(50.0, 0.5, eta=960.0)
    assert 0.0 == pace.first_step(960, 0.5)


@given(setbacks=st.integers(1, 10_000), jitter=JITTER)
def test_backoff_doubles_to_a_minute(setbacks, jitter):
    """A backoff doubles up to a minute, and jitter shortens it by half at most."""
    pause = Pace().backoff(setbacks, jitter)
    full = min(2.5 * 2.0 ** min(setbacks - 1, 30), 60.0)
    assert full / 2 <= pause <= full


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"floor": 0}, "floor is a number of seconds of at least 0.001, got 0"),
        ({"floor": -1}, "floor is a number of seconds of at least 0.001, got -1"),
        ({"floor": math.nan}, "floor is a number of seconds of at least 0.001, got nan"),
        ({"floor": "1"}, "floor is a number of seconds .*, got a value of type str"),
        ({"floor": True}, "floor is a number of seconds .*, got a value of type bool"),
        ({"growth": -0.1}, "growth is a fraction of at least 0, got -0.1"),
        ({"growth_cap": -1}, "growth_cap is a number of seconds of at least 0, got -1"),
        ({"max_eta_wait": math.nan}, "max_eta_wait is a number of seconds of at least 0, got nan"),
        ({"age_fraction": -0.1}, "age_fraction is a fraction of at least 0, got -0.1"),
        ({"age_fraction": math.nan}, "age_fraction is a fraction of at least 0, got nan"),
        ({"ceiling": 0.5}, "ceiling"),
        ({"jitter": 1.5}, "jitter is a fraction from 0 to 1, got 1.5"),
        ({"max_failures": 0}, "max_failures is a number of failed polls of at least 1, got 0"),
        ({"max_failures": 2.5}, "max_failures is .* a whole one, got a value of type float"),
        ({"outage": None}, "outage is a number of seconds of at least 0, got None"),
        ({"grace": -1}, "grace is a number of seconds of at least 0, got -1"),
    ],
)
def test_invalid_pace_is_refused(wrong, message):
    """Each number has a range, and the message says so."""
    with pytest.raises((ValueError, TypeError)) as refused:
        Pace(**wrong)
    assert re.match(message, str(refused.value))
