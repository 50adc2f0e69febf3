"""The rate limiter spaces polls evenly, and bounds them in any second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._scheduling.rate_limiter import RateLimiter


def poll_times(limiter, count):
    """Start polls as soon as the limiter allows them."""
    now, times = 0.0, []
    for _ in range(count):
        now = max(now, limiter.next_allowed)
        limiter.record(now)
        times.append(now)
    return times


@pytest.mark.parametrize("rate", [1.0, 4.0, 2.5, 0.5])
def test_polls_are_spaced_evenly(rate):
    """Between two polls is the same time, also at a rate with a fraction."""
    times = poll_times(RateLimiter(rate), 20)
    assert [number / rate for number in range(20)] == pytest.approx(times)


def test_first_poll_may_start_at_once():
    """A limiter that counted no poll allows one now, at any time of the clock."""
    assert 0.0 >= RateLimiter(3.0).next_allowed


def test_late_timer_is_made_up_for_but_not_a_long_pause():
    """After 0.03 s of delay the next poll keeps its time; after longer, 0.05 s are made up for."""
    limiter = RateLimiter(10.0)
    limiter.record(0.0)
    limiter.record(0.13)
    assert 0.2 == pytest.approx(limiter.next_allowed)
    limiter.record(20.0)
    assert 20.05 == pytest.approx(limiter.next_allowed)


@given(
    rate=st.floats(0.2, 20.0),
    delays=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=80),
)
def test_no_second_holds_more_polls_than_the_rate(rate, delays):
    """However late polls start: no more than the rate, rounded up, in as many of its gaps."""
    limiter, now, times = RateLimiter(rate), 0.0, []
    for delay in delays:
        now = max(now + delay * (len(times) % 3 == 0), limiter.next_allowed)
        limiter.record(now)
        times.append(now)
    burst = -int(-rate // 1)
    for first, later in zip(times, times[burst:], strict=False):
        assert later - first >= burst / rate - 1e-9
