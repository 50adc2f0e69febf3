"""The time of a distant store: never too late, and right again after a clock was set."""

import random

from modelslab_async._postgres.store_clock import StoreClock

OFFSET_S = 1_000_000.0


def test_time_is_never_ahead_of_the_store():
    """Whatever a request and its reply take, the time is at most that much behind."""
    dice, clock, now = random.Random(1), StoreClock(), 50.0
    shortest = 1.0
    for _ in range(200):
        there, back = dice.uniform(0.0, 0.1), dice.uniform(0.0, 0.1)
        clock.observe(sent=now, received=now + there + back, theirs=now + there + OFFSET_S)
        shortest = min(shortest, there + back)
        now += there + back
        assert clock.at(now) <= now + OFFSET_S
    assert now + OFFSET_S - clock.at(now) <= 0.1


def test_quick_reply_makes_up_for_slow_ones():
    """One reply within a millisecond says more than the slow one after it."""
    clock = StoreClock()
    clock.observe(sent=0.0, received=0.001, theirs=OFFSET_S)
    clock.observe(sent=0.01, received=1.0, theirs=OFFSET_S + 0.01)
    assert 0.002 > OFFSET_S + 1.0 - clock.at(1.0) >= 0.0


def test_clock_that_was_set_is_followed_at_once():
    """The store's clock goes back by an hour, and later forward by two."""
    clock = StoreClock()
    for sent, offset in ((0.0, OFFSET_S), (1.0, OFFSET_S - 3600.0), (2.0, OFFSET_S + 3600.0)):
        clock.observe(sent=sent, received=sent + 0.001, theirs=sent + offset)
        assert 0.0 <= sent + offset - clock.at(sent) <= 0.0011


def test_clocks_that_drift_apart_are_followed():
    """A system slews its clock by half a millisecond a second."""
    clock = StoreClock()
    for second in range(1000):
        theirs = OFFSET_S + second * 0.9996
        clock.observe(sent=float(second), received=second + 0.001, theirs=theirs)
        assert -0.001 <= theirs - clock.at(second) <= 0.002
