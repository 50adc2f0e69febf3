"""The rate limiter spaces polls evenly, and bounds them in any second."""

import tracemalloc

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


@pytest.mark.parametrize("rate", [1e6, 2**63, 1.7e308])
def test_limiter_of_a_huge_rate_takes_little_memory(rate):
    """However many polls start, their times take at most three megabytes."""
    tracemalloc.start()
    try:
        limiter = RateLimiter(rate)
        for number in range(200_000):
            limiter.record(number / 1000)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 3e6


@pytest.mark.parametrize("rate", [2**63, 1.7e308])
def test_huge_rate_delays_no_poll(rate):
    """A program may give a huge rate to mean that there is no limit."""
    assert 0.0 == pytest.approx(max(poll_times(RateLimiter(rate), 100_000)), abs=1e-9)


def test_tiniest_rate_allows_one_poll():
    """The time of the second poll is beyond every clock."""
    assert [0.0, float("inf")] == poll_times(RateLimiter(5e-324), 2)


@pytest.mark.parametrize("rate", [65_537.0, 100_000.5, 1e6])
def test_high_rate_bounds_the_polls_of_a_second(rate):
    """After a pause, a second has no more polls than the rate, but for one in some ten thousand."""
    limiter = RateLimiter(rate)
    poll_times(limiter, 10)
    now, count = 100.0, 0
    while now < 101.0:
        limiter.record(now)
        count += 1
        now = max(now, limiter.next_allowed)
    assert count == pytest.approx(rate, rel=2e-4)
