"""The poll rate of a key is divided among clients: never too fast, fairly, and without waste."""

import math
import random
from collections import deque
from itertools import pairwise

import pytest
from everyday import pairs

from modelslab_async._account.granted_poll_times import GrantedPollTimes
from modelslab_async._account.network_stall_backoff import StalledPolls
from modelslab_async._account.report_and_answer_types import PollResult


def poll_at_once(times, now):
    """Start a poll that is answered at once."""
    times.record(now)
    times.finish(now, now, is_answered=True)


async def poll_when_allowed(member, times, clock):
    """Do as a client with too many open tickets does. Return whether it polls now."""
    is_allowed = times.next_allowed <= clock.now
    if is_allowed:
        poll_at_once(times, clock.now)
    if times.wanted:
        await ask_for_times(member, times)
    return is_allowed


async def ask_for_times(member, times):
    """Report what became of the granted times, and ask for more."""
    results = times.report_results()
    allotment = await member.report(polls_wanted=times.wanted, poll_results=results)
    times.forget_reported()
    times.grant(allotment.poll_times, 0.0)


async def test_times_are_evenly_spaced(members, store):
    """A client gets times for a quarter of a second at most."""
    (member,) = members(1, rate=100)
    times = (await member.report(polls_wanted=1000)).poll_times
    assert 25 == len(times)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap == pytest.approx(store.step / 100) for gap in gaps)


async def test_no_time_is_given_twice(members, store):
    """A second client gets the times after those of the first one."""
    one, other = members(2, rate=100)
    first = (await one.report(polls_wanted=10)).poll_times
    second = (await other.report(polls_wanted=10)).poll_times
    assert second[0] == pytest.approx(first[-1] + store.step / 100)


async def test_busy_client_leaves_times_to_one_that_begins(members, clock):
    """A single poll beside clients that want thousands gets its time within half a second."""
    *busy, single = members(8, rate=100)
    times = {id(member): GrantedPollTimes(clock, lambda: None) for member in busy}
    for _ in range(1000):
        for member in busy:
            await poll_when_allowed(member, times[id(member)], clock)
        clock.now += 0.002
    waited = (await single.report(polls_wanted=1)).poll_times[0] - clock.now
    assert 0.0 <= waited <= 0.5


async def test_without_a_rate_no_times_are_given(members):
    """An account without a rate says so, because no client needs any."""
    (member,) = members(1)
    assert (await member.report(polls_wanted=5)).poll_times is None


@pytest.mark.parametrize(("count", "seed"), pairs((1, 2, 8, 32), range(5)))
async def test_rate_holds_over_all_clients(members, clock, count, seed):
    """Clients that are late by random times poll at most `rate` times within any one second."""
    dice, rate = random.Random(seed), 100
    team = [(member, GrantedPollTimes(clock, lambda: None)) for member in members(count, rate=rate)]
    polls = []
    while clock.now < 1004.0:
        for member, times in team:
            if await poll_when_allowed(member, times, clock):
                polls.append(clock.now)
        clock.now += dice.uniform(0.0, 0.002)
    window = deque()
    for moment in polls:
        window.append(moment)
        while window[0] <= moment - 1.0:
            window.popleft()
        assert rate >= len(window)
    assert 0.9 * rate * 4.0 <= len(polls)


def test_late_times_are_lost():
    """A loop that stood still does not use the times of the past at once."""
    now = [0.0]
    times = GrantedPollTimes(lambda: now[0], lambda: None)
    assert float("inf") == times.next_allowed
    times.grant([0.0, 0.1, 0.2, 0.3], 0.0)
    now[0] = 0.35
    assert 0.1 == times.next_allowed
    assert (PollResult(0.0, None),) == times.report_results()


def test_cut_network_holds_back_few_polls():
    """Polls that are overdue may all arrive at once later, so only rare probes follow them."""
    now = [0.0]
    times = GrantedPollTimes(lambda: now[0], lambda: None)
    started = []

    def poll_until(end):
        while now[0] < end:
            if times.next_allowed <= now[0]:
                times.record(now[0])
                started.append(now[0])
            if times.wanted:
                times.grant([now[0] + number / 100 for number in range(times.wanted)], 0.0)
            now[0] += 0.005

    poll_until(0.02)
    for poll in started:
        times.finish(poll, poll + 0.02, is_answered=True)
    poll_until(60.0)
    assert 20 >= len(started)
    answered = started[-1]
    times.finish(answered, now[0], is_answered=True)
    before = len(started)
    poll_until(60.05)
    assert before + 2 <= len(started), "polls do not go on after an answer"


def test_failed_poll_is_not_waited_for():
    """It was never sent, or its connection is closed. Two polls may start at the same time."""
    polls = StalledPolls()
    polls.add(0.0)
    polls.add(0.0)
    polls.remove(0.0, 0.0, is_answered=False)
    assert 1.0 == polls.allowed_at(0.5)
    polls.remove(0.0, 9.0, is_answered=False)
    assert -math.inf == polls.allowed_at(9.0)


def test_stall_that_ended_without_answer_does_not_slow_the_next_one():
    """All polls timed out, so nothing is held back any more, and probes begin at a second again."""
    polls = StalledPolls()
    for started in (0.0, 1.0, 3.0, 7.0):
        polls.add(started)
    for started in (0.0, 1.0, 3.0, 7.0):
        polls.remove(started, 40.0, is_answered=False)
    polls.add(50.0)
    assert 51.0 == polls.allowed_at(50.5)


def test_probes_go_on_every_eight_seconds():
    """One server or family that hangs does not keep the others waiting for longer."""
    polls = StalledPolls()
    for started in (0.0, 1.0, 3.0, 7.0, 15.0, 23.0):
        polls.add(started)
    assert 31.0 == polls.allowed_at(24.0)


def test_answer_to_a_forgotten_poll_does_not_hide_the_next_stall():
    """A probe was answered, and the polls before it are answered a minute after they started."""
    polls = StalledPolls()
    for started in (0.0, 0.1, 0.2):
        polls.add(started)
    polls.add(60.0)
    polls.remove(60.0, 60.02, is_answered=True)
    for started in (0.0, 0.1, 0.2):
        polls.remove(started, 60.03, is_answered=True)
    polls.add(61.0)
    assert 62.0 == polls.allowed_at(61.5)


def test_slow_service_is_polled_on():
    """Each answer takes three seconds, as those before it."""
    polls = StalledPolls()
    for number in range(100):
        polls.add(float(number))
        polls.remove(float(number), number + 3.0, is_answered=True)
    polls.add(200.0)
    assert -math.inf == polls.allowed_at(202.9)


def test_busy_client_asks_for_more_each_time():
    """So it asks seldom. After it has lost some of them, it asks for no more than before."""
    now, asked = [0.0], []
    times = GrantedPollTimes(lambda: now[0], lambda: asked.append(times.wanted))
    for _ in range(4):
        assert float("inf") == times.next_allowed
        times.grant([now[0]] * times.wanted, 0.0)
        while times._times:
            poll_at_once(times, now[0])
    assert [1, 2, 4, 8] == asked
    assert float("inf") == times.next_allowed
    times.grant([now[0]] * times.wanted, 0.0)
    assert now[0] == times.next_allowed
    poll_at_once(times, now[0])
    now[0] = 5.0
    assert float("inf") == times.next_allowed
    assert 16 == asked[-1]


async def test_client_that_hears_late_polls_all_the_same(members, clock):
    """Each answer comes 300 ms late, so single times would be lost for ever."""
    (member,) = members(1, rate=100)
    times = GrantedPollTimes(clock, lambda: None)
    polls = 0
    for _ in range(100):
        while times.next_allowed <= clock.now:
            poll_at_once(times, clock.now)
            polls += 1
        if times.wanted:
            results = times.report_results()
            allotment = await member.report(polls_wanted=times.wanted, poll_results=results)
            clock.now += 0.3
            times.forget_reported()
            times.grant(allotment.poll_times, 0.0)
        else:
            clock.now += 0.005
    assert polls


async def test_number_of_wanted_times_is_bounded(members, clock):
    """A client that is busy for months asks for at most twice what it was given."""
    (member,) = members(1, rate=100)
    asked = []
    times = GrantedPollTimes(clock, lambda: asked.append(times.wanted))
    for _ in range(1000):
        await poll_when_allowed(member, times, clock)
        clock.now += 0.0102
    assert 50 == max(asked)
