"""Late polls, late answers and lost messages: at most `rate` polls start within any second."""

import heapq
import itertools
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import Factory, define
from everyday import cases

from modelslab_async._account.granted_poll_times import GrantedPollTimes
from modelslab_async._account.poll_permit_rules import (
    GIVE_UP_AFTER_S,
    MAX_LATENESS_S,
    MAX_POLL_AGE_S,
    MAX_SILENCE_S,
    count_permits,
    rest_seconds,
    step_seconds,
)
from modelslab_async._account.report_and_answer_types import PollResult

from .stores import ManualClock

RETRY_S = 0.3
REPORT_INTERVAL_S = 0.25


@define
class Weather:
    """How late things are, and what is lost."""

    dice: random.Random
    answer_s: float = 0.0
    late_s: float = 0.0
    lost: float = 0.0
    killed: float = 0.0
    transit_s: float = 0.0
    # What a poll may take, in usual times.
    delays: tuple[float, ...] = (1.0, 1.0, 1.1, 1.2, 6.0)
    # The polls of the first client are held back between these times.
    cut: tuple[float, float] = (0.0, 0.0)
    # Whether the first client does not reach the account between these times either.
    is_cut_from_account: bool = False
    # The seconds after the cut within which its polls arrive.
    resend_s: float = 3.0

    def lateness(self) -> float:
        """How late a process wakes up: mostly a little, and now and then very much."""
        return self.dice.choice((0.01, 0.1, 1.0, 2.0)) * self.dice.random() * self.late_s

    def transit(self, now: float, *, is_cut: bool) -> float:
        """How long a poll is on its way: mostly as long as usual, now and then much longer."""
        begin, end = self.cut
        if is_cut and begin <= now < end:
            # Each connection sends again at a time of its own.
            return end - now + self.resend_s * self.dice.random()
        return self.transit_s * self.dice.choice(self.delays)

    def gives_up(self, now: float, *, is_cut: bool) -> bool:
        """Whether the client gives up a poll that starts now, because it reaches no account."""
        return self.loses_report(now, is_cut=is_cut) and now + GIVE_UP_AFTER_S < self.cut[1]

    def loses_report(self, now: float, *, is_cut: bool) -> bool:
        """Whether a report that is sent now does not reach the account."""
        begin, end = self.cut
        return is_cut and self.is_cut_from_account and begin <= now < end


@define
class Team:
    """Clients that poll as often as they may, on a virtual clock, and when the polls arrived."""

    make_members: Callable[..., Any]
    clock: Any
    rate: float
    weather: Weather
    polls: list[float] = Factory(list)
    _events: list[Any] = Factory(list)
    _order: Any = Factory(itertools.count)

    async def run(self, count: int, seconds: float) -> None:
        """Let some clients poll for some time."""
        for number in range(count):
            self._begin(is_cut=number == 0)
        end = self.clock.now + seconds
        while self._events[0][0] < end:
            self.clock.now, _, work = heapq.heappop(self._events)
            await work()

    def check(self) -> None:
        """Each poll and the one as many polls later as there are permits are far enough apart."""
        permits, polls = count_permits(self.rate), sorted(self.polls)
        apart = [later - first for first, later in zip(polls, polls[permits:], strict=False)]
        assert permits / self.rate <= min(apart, default=math.inf) + 1e-6

    def _begin(self, *, is_cut: bool = False) -> None:
        (member,) = self.make_members(1, rate=self.rate)
        times = GrantedPollTimes(self.clock, lambda: None)
        self._after(0.0, lambda: self._step(member, times, is_cut=is_cut))

    def _after(self, seconds: float, work: Any) -> None:
        heapq.heappush(self._events, (self.clock.now + seconds, next(self._order), work))

    async def _step(self, member: Any, times: GrantedPollTimes, *, is_cut: bool) -> None:
        """Poll if that is allowed now, and do the next thing a little later."""
        weather, now = self.weather, self.clock.now
        if weather.dice.random() < weather.killed:
            self._begin(is_cut=is_cut)
            return
        allowed = times.next_allowed
        if times.wanted or allowed > now + REPORT_INTERVAL_S:
            await self._ask(member, times, is_cut=is_cut)
            return
        if allowed <= now:
            times.record(now)
            is_answered = not weather.gives_up(now, is_cut=is_cut)
            transit_s = weather.transit(now, is_cut=is_cut)
            if is_answered:
                self.polls.append(now + transit_s)
            # The way back is as short as usual.
            answer_s = transit_s + min(transit_s, weather.transit_s)
            self._after(
                answer_s if is_answered else GIVE_UP_AFTER_S,
                lambda: self._finish(times, now, is_answered=is_answered),
            )
            # Times that have come already are used at once.
            delay = 0.0
        else:
            delay = allowed - now + weather.lateness()
        self._after(delay, lambda: self._step(member, times, is_cut=is_cut))

    async def _finish(self, times: GrantedPollTimes, started: float, *, is_answered: bool) -> None:
        times.finish(started, self.clock.now, is_answered=is_answered)

    async def _ask(self, member: Any, times: GrantedPollTimes, *, is_cut: bool) -> None:
        """Ask for times. The question or its answer may be lost, and then the client asks again."""
        weather, results = self.weather, times.report_results()
        is_cut_off = weather.loses_report(self.clock.now, is_cut=is_cut)
        is_lost = is_cut_off or weather.dice.random() < weather.lost
        if not is_cut_off and (not is_lost or weather.dice.random() < 0.5):
            allotment = await member.report(polls_wanted=times.wanted, poll_results=results)

        async def hear() -> None:
            if not is_lost:
                times.forget_reported()
                times.grant(allotment.poll_times, 0.0)
            # A client with open tickets reports as often while it may not poll.
            is_stalled = times.next_allowed > self.clock.now + REPORT_INTERVAL_S
            self._after(
                REPORT_INTERVAL_S if is_stalled else 0.0,
                lambda: self._step(member, times, is_cut=is_cut),
            )

        self._after(RETRY_S if is_lost else weather.dice.random() * weather.answer_s, hear)


@pytest.fixture
def make_team(members: Callable[..., Any], clock: Any) -> Callable[[float, Weather], Team]:
    """Make a team with an account of some rate."""
    return partial(Team, members, clock)


@pytest.mark.parametrize(
    ("rate", "count", "seed"),
    cases(
        [(40, 8, 1), (2.5, 3, 2)],
        [(rate, count, 3) for rate in (1, 10, 100) for count in (1, 4, 32)],
    ),
)
async def test_rate_holds_however_late_polls_and_answers_are(members, clock, rate, count, seed):
    """Messages get lost, clients are killed, and processes stand still for up to half a second."""
    weather = Weather(
        random.Random(seed), answer_s=0.4, late_s=2 * MAX_LATENESS_S, lost=0.1, killed=0.002
    )
    team = Team(members, clock, rate, weather)
    await team.run(count, 10.0 if rate > 5 else 60.0)
    team.check()


@pytest.mark.parametrize(
    ("count", "answer_s", "late_s"), [(2, 0.003, 0.003), (8, 0.1, 0.03), (32, 0.15, 0.1)]
)
async def test_late_clients_use_the_rate(members, clock, count, answer_s, late_s):
    """A busy machine with 32 processes uses at least nine tenths of it, as an idle one does."""
    rate = 200
    team = Team(members, clock, rate, Weather(random.Random(1), answer_s=answer_s, late_s=late_s))
    await team.run(count, 4.0)
    team.check()
    last = [when for when in team.polls if when > clock.now - 2.0]
    assert 0.9 * rate * 2.0 <= len(last)


@pytest.mark.parametrize(
    ("count", "transit_s", "cut"),
    [(2, 0.1, (1002.0, 1004.5)), (2, 0.05, (1003.0, 1005.0)), (8, 0.02, (1003.0, 1006.0))],
)
async def test_rate_holds_where_polls_arrive(members, clock, count, transit_s, cut):
    """The network delays one poll of five, and holds back those of one client for a while."""
    weather = Weather(random.Random(1), answer_s=0.01, late_s=0.01, transit_s=transit_s, cut=cut)
    team = Team(members, clock, 100, weather)
    await team.run(count, 7.0)
    team.check()
    # Polls go on after the cut. Slow answers make clients careful, so not all times are used.
    assert 20 <= sum(clock.now - 1.0 <= when for when in team.polls)


@pytest.mark.parametrize("resend_s", [0.2, 3.0])
@pytest.mark.parametrize(
    ("count", "transit_s", "seconds"),
    [
        (2, 0.1, 2.5),
        (3, 0.02, 4.0),
        (3, 0.2, 1.5),
        # The last polls of the first client are given up meanwhile.
        (2, 0.1, MAX_POLL_AGE_S + 0.2),
    ],
)
async def test_rate_holds_after_a_cut_from_account_and_service(
    make_team, count, transit_s, seconds, resend_s
):
    """The account cannot know of the polls that are held back, and they arrive after the cut."""
    weather = Weather(
        random.Random(1),
        answer_s=0.01,
        late_s=0.01,
        transit_s=transit_s,
        delays=(1.0,),
        cut=(1002.0, 1002.0 + seconds),
        is_cut_from_account=True,
        resend_s=resend_s,
    )
    team = make_team(100, weather)
    await team.run(count, seconds + 4.0)
    team.check()
    # Polls go on after the cut.
    assert 20 <= sum(team.clock.now - 1.0 <= when for when in team.polls)


async def test_late_poll_delays_only_its_own_permit(members, clock):
    """A poll starts 200 ms late. Its permit rests from then on, and no other is affected."""
    (member,) = members(1, rate=1)
    ((first),) = (await member.report(polls_wanted=1)).poll_times
    clock.now = first + 0.2
    done = (PollResult(first, first + 0.2),)
    ((second),) = (await member.report(polls_wanted=1, poll_results=done)).poll_times
    assert first + 0.2 + 1.03 <= second <= first + 0.2 + 1.06


async def test_unused_time_is_free_again_once_it_is_reported(members, clock):
    """Until then it counts as used at the last moment."""
    (member,) = members(1, rate=1)
    (first,) = (await member.report(polls_wanted=1)).poll_times
    clock.now = first + 10.0
    (second,) = (await member.report(polls_wanted=1)).poll_times
    assert second == clock.now
    clock.now = second + MAX_LATENESS_S + 0.9
    unused = (PollResult(second, None),)
    (third,) = (await member.report(polls_wanted=1, poll_results=unused)).poll_times
    assert third == clock.now


async def test_repeated_or_foreign_result_changes_nothing(members, clock):
    """The answer to a report was lost, so the client repeats it after the permit is given again."""
    one, other = members(2, rate=1)
    (first,) = (await one.report(polls_wanted=1)).poll_times
    unused = (PollResult(first, None),)
    clock.now = first + 2.0
    (second,) = (await one.report(polls_wanted=1, poll_results=unused)).poll_times
    foreign = (PollResult(second, None),)
    await other.report(poll_results=foreign)
    clock.now = second + 1.0
    (third,) = (await one.report(polls_wanted=1, poll_results=unused)).poll_times
    assert second + MAX_LATENESS_S + 1.03 <= third


@pytest.mark.parametrize("rate", [0.1, 1, 2.5, 10, 99.5, 200, 5000])
def test_spaced_times_leave_each_permit_its_rest(rate):
    """So permits never run out while polls start in time."""
    assert count_permits(rate) * step_seconds(rate) >= rest_seconds(rate)


def test_delayed_poll_is_reported_with_a_later_start():
    """It was sent late, or the network was slow, so it may have arrived with later polls."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0 + 0.1 * number for number in range(5)], 100.0)
    # The last two are overdue.
    delays = [0.0, 0.0, 0.0, 0.08, 0.9]
    for elapsed, delay in zip((0.02, 0.02, 0.02, 0.08, 0.9), delays, strict=True):
        times.record(clock.now)
        times.finish(clock.now, clock.now + elapsed, is_answered=True)
        (result,) = times.report_results()
        assert pytest.approx(100.0 + clock.now + delay) == result.rests_from
        assert not result.is_open
        times.forget_reported()
        clock.now += 0.1


def test_overdue_poll_is_reported_until_it_is_answered():
    """It may reach the server at any moment, so its permit does not begin to rest."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0], 100.0)
    times.record(0.0)
    for now, reported in ((0.1, []), (0.2, []), (0.5, [0.5]), (9.0, [9.0])):
        clock.now = now
        results = times.report_results()
        assert reported == [each.rests_from - 100.0 for each in results]
        assert all(each.is_open for each in results)
        times.forget_reported()
    times.finish(0.0, 9.1, is_answered=True)
    clock.now = 10.0
    assert (PollResult(100.0, pytest.approx(109.1)),) == times.report_results()


def test_start_of_a_slow_poll_is_reported_once():
    """So its permit rests from then on. A poll that is answered sooner is reported at its end."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0, 101.0], 100.0)
    times.record(0.0)
    times.finish(0.0, 0.9, is_answered=True)
    times.forget_reported()
    clock.now = 1.0
    times.record(1.0)
    times.report_results()
    times.forget_reported()
    for now, reported in ((1.2, ()), (1.5, (PollResult(101.0, 101.0, is_open=True),)), (1.7, ())):
        clock.now = now
        assert reported == times.report_results()
        times.forget_reported()
    assert times.has_open_times
    times.finish(1.0, 1.8, is_answered=True)
    assert (PollResult(101.0, 101.0),) == times.report_results()
    times.forget_reported()
    assert not times.has_open_times


def test_last_report_leaves_no_permit_open():
    """A client that is closed has cancelled its polls, and uses no granted time any more."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0, 100.1], 100.0)
    times.record(0.0)
    clock.now = 0.05
    expected = (PollResult(100.1, None), PollResult(100.0, 100.05))
    assert expected == times.report_last_results()
    assert math.inf == times.next_allowed


async def test_open_permits_of_a_silent_client_stay_out_of_use(members, clock):
    """They are free again once it reports, or once it has given up its polls for certain."""
    silent, other = members(2, rate=4)
    taken = (await silent.report(polls_wanted=1)).poll_times
    taken += (await silent.report(polls_wanted=1)).poll_times
    assert 2 == len(taken)
    clock.now += MAX_SILENCE_S
    assert 2 == await poll_for_seconds(other, clock, 2)
    assert 2 == await poll_for_seconds(other, clock, 2)
    done = tuple(PollResult(granted, granted) for granted in taken[:1])
    await silent.report(poll_results=done)
    clock.now += MAX_SILENCE_S
    assert 3 == await poll_for_seconds(other, clock, 2)
    clock.now = taken[1] + MAX_LATENESS_S + MAX_POLL_AGE_S
    assert 4 == await poll_for_seconds(other, clock, 2)


async def poll_for_seconds(member, clock, seconds):
    """Let a client poll as often as it may. Return the most polls in one second."""
    polls, end = [], clock.now + seconds
    results = ()
    while clock.now < end:
        times = (await member.report(polls_wanted=1, poll_results=results)).poll_times
        polls += times
        results = tuple(PollResult(granted, granted) for granted in times)
        clock.now = max([clock.now + 0.05, *times])
    return max(sum(first <= when < first + 1.0 for when in polls) for first in polls)


def test_delay_of_a_slow_server_counts_for_little():
    """The poll is not overdue, so its permit rests from at most 0.1 s after the start."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0, 101.0], 100.0)
    for started, elapsed in ((0.0, 0.24), (1.0, 0.48)):
        clock.now = started
        times.record(started)
        times.finish(started, started + elapsed, is_answered=True)
    results = [each.rests_from for each in times.report_results()]
    assert [100.0, pytest.approx(101.1)] == results


def test_polls_of_a_stall_are_reported_until_each_of_them_is_answered():
    """After a stall, one connection may deliver its poll much later than another."""
    clock = ManualClock(0.0)
    times = GrantedPollTimes(clock, lambda: None)
    times.grant([100.0, 100.1, 100.2], 100.0)
    for started in (0.0, 0.1, 0.2):
        clock.now = started
        times.record(started)
    times.finish(0.1, 5.0, is_answered=True)
    for now in (5.1, 6.0):
        clock.now = now
        held_back = {each.granted: each.rests_from for each in times.report_results()}
        assert pytest.approx({100.0: 100.0 + now, 100.1: 105.0, 100.2: 100.0 + now}) == held_back
