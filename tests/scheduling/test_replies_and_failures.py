"""What the schedule does with a ticket after a reply or a failure, one case at a time."""

import math

import pytest

from modelslab_async import (
    AuthenticationError,
    ClientClosed,
    ConnectionImpossible,
    Failed,
    InvalidRequest,
    Pace,
    PaymentRequired,
    PermissionDenied,
    Processing,
    RateLimited,
    ServerError,
    Success,
    Ticket,
    TransportError,
    UnreadableReply,
)
from modelslab_async._scheduling.hosts import Hosts
from modelslab_async._scheduling.initial_ticket_facts import InitialTicketFacts
from modelslab_async._scheduling.rate_limiter import even_poll_rates
from modelslab_async._scheduling.reply_reactions import SharedFloats
from modelslab_async._scheduling.schedule import Schedule

PACE = Pace(floor=2.0, growth=0.0, growth_cap=2.0, age_fraction=0.0, jitter=0.0, grace=5.0)
IMAGE, VIDEO = Ticket("images", 1), Ticket("video", 1)


class WatcherDouble:
    """A watcher that takes nothing."""


class OwnPace:
    """A pace of the caller that records what it is told."""

    limits = PACE

    def __init__(self):
        self.learned, self.steps = [], []

    def for_family(self, _family):
        return self

    def first_step(self, _eta, _jitter, *, just_submitted=False):
        return 1.0 if just_submitted else 0.0

    def step(self, age, jitter, *, eta=None):
        self.steps.append((age, jitter, eta))
        return 3.0

    def learn(self, last_running, first_done, eta):
        self.learned.append((last_running, first_done, eta))


def schedule_of(*tickets, policy=PACE, host="a.example", now=0.0, rate=None, **more):
    schedule = Schedule(policy, Hosts(policy.limits, even_poll_rates(rate)))
    for ticket in tickets:
        add(schedule, ticket, host=host, now=now, **more)
    return schedule


def add(schedule, ticket, *, host="a.example", now=0.0, tier="standard", **more):
    watcher = WatcherDouble()
    facts = InitialTicketFacts(**more)
    schedule.add(ticket, watcher, tier=tier, host=host, now=now, jitter=0.0, facts=facts)
    return watcher


def polled(schedule, result, *, taken=0.0, now=None, jitter=0.0):
    """Poll the next ticket; the result comes at another time."""
    entry = schedule.take(taken)
    reply = result if isinstance(result, Exception) else result(ticket=entry.ticket)
    return schedule.feed(entry, reply, taken if now is None else now, jitter)


def taken_by(schedule, now):
    """Take all that may be polled now, and return the tickets."""
    entries = iter(lambda: schedule.take(now), None)
    return [entry.ticket for entry in entries]


def test_completion_says_how_long_and_how_often():
    """It carries the outcome, its watchers, the number of polls and the seconds since `add`."""
    schedule = Schedule(PACE)
    watcher = add(schedule, IMAGE, now=100.0)
    polled(schedule, Processing, taken=100.0)
    completion = polled(schedule, Success, taken=102.0, now=102.5).completion
    assert (Success(ticket=IMAGE), (watcher,)) == (completion.outcome, completion.watchers)
    assert (2, 2.5) == (completion.polls, completion.waited)
    assert 0 == len(schedule)


def test_step_counts_from_the_start_of_the_poll():
    """A slow reply does not delay the next poll, and a very slow one makes it due now."""
    schedule = schedule_of(IMAGE)
    polled(schedule, Processing, taken=0.0, now=1.5)
    assert 2.0 == schedule.next_poll_at()
    polled(schedule, Processing, taken=2.0, now=6.0)
    assert 6.0 == schedule.next_poll_at()


def test_pace_gets_age_jitter_and_eta():
    """The age is that at the start of the poll. The first eta stays, counted from `add`."""
    pace = OwnPace()
    schedule = schedule_of(IMAGE, policy=pace, now=10.0)
    for number, taken in enumerate((12.0, 16.0, 20.0)):
        entry = schedule.take(taken)
        reply = Processing(ticket=IMAGE, eta=(None, 30.0, 99.0)[number])
        schedule.feed(entry, reply, taken + 0.5, 0.25)
    assert [(2.0, 0.25, None), (6.0, 0.25, None), (10.0, 0.25, None)] == pace.steps
    schedule = schedule_of(IMAGE, policy=pace, now=10.0)
    for taken, eta in ((12.0, 30.0), (16.0, 99.0)):
        schedule.feed(schedule.take(taken), Processing(ticket=IMAGE, eta=eta), taken, 0.25)
    assert [(2.0, 0.25, 32.0), (6.0, 0.25, 32.0)] == pace.steps[3:]


def test_eta_of_the_submit_is_kept():
    """An eta that is known before the first poll counts, and later ones do not."""
    pace = OwnPace()
    schedule = schedule_of(IMAGE, policy=pace, eta=7.0)
    schedule.feed(schedule.take(0.0), Processing(ticket=IMAGE, eta=50.0), 0.0, 0.0)
    assert [(0.0, 0.0, 7.0)] == pace.steps


def test_pace_learns_from_an_end_and_from_a_drop():
    """It is told when the job was last seen running, when first seen done, and the eta."""
    pace = OwnPace()
    schedule = schedule_of(IMAGE, policy=pace, now=1.0, eta=9.0)
    polled(schedule, Processing, taken=4.0, now=5.0)
    polled(schedule, Success, taken=8.0, now=8.5)
    watcher = add(schedule, VIDEO, now=10.0)
    polled(schedule, Processing, taken=12.0)
    schedule.drop(VIDEO, watcher)
    assert [(3.0, 7.0, 9.0), (2.0, None, None)] == pace.learned


def test_unknown_id_teaches_the_pace_nothing():
    """The service may have forgotten the ticket, or never known it."""
    pace = OwnPace()
    schedule = schedule_of(IMAGE, policy=pace)
    not_found = Failed(ticket=IMAGE, reason="not_found")
    effects = schedule.feed(schedule.take(60.0), not_found, 60.0, 0.0)
    assert not_found == effects.completion.outcome
    assert [] == pace.learned


@pytest.mark.parametrize(("age", "ends"), [(4.9, False), (5.0, True)])
def test_unknown_id_is_polled_again_while_it_is_young(age, ends):
    """Until the grace is over the server may not know the id yet. The step is that of the pace."""
    schedule = schedule_of(IMAGE)
    not_found = Failed(ticket=IMAGE, reason="not_found")
    effects = schedule.feed(schedule.take(age), not_found, age, 0.0)
    assert ends == (effects.completion is not None)
    assert (None if ends else age + 2.0) == schedule.next_poll_at()


def test_expected_webhook_makes_steps_four_times_longer():
    """They are never above the ceiling of the pace."""
    schedule = schedule_of(IMAGE, expects_webhook=True)
    polled(schedule, Processing)
    assert 8.0 == schedule.next_poll_at()
    low = Pace.fixed(2.0)
    schedule = schedule_of(IMAGE, policy=low, expects_webhook=True)
    polled(schedule, Processing)
    assert 2.0 == schedule.next_poll_at()


def test_nudge_makes_a_waiting_ticket_due():
    """The nudge says that it did, and the ticket is polled now and keeps what it knows."""
    schedule = schedule_of(IMAGE)
    polled(schedule, Processing)
    assert schedule.nudge(IMAGE, 0.5, 10.0, is_hint=True)
    assert 0.5 == schedule.next_poll_at()
    effects = polled(schedule, Success, taken=0.5)
    assert 2 == effects.completion.polls
    assert schedule.next_poll_at() is None


def test_nudge_of_a_ticket_that_is_due_changes_nothing():
    """Neither a ticket that is due now, nor one that is not open, becomes due sooner."""
    schedule = schedule_of(IMAGE)
    assert not schedule.nudge(IMAGE, 5.0, 10.0, is_hint=True)
    assert not schedule.nudge(VIDEO, 5.0, 10.0, is_hint=True)
    assert 0.0 == schedule.next_poll_at()


def test_nudges_are_a_gap_apart():
    """A second nudge makes the ticket due one gap after the first, if that is sooner at all."""
    schedule = schedule_of(IMAGE, policy=Pace.fixed(30.0))
    polled(schedule, Processing)
    assert schedule.nudge(IMAGE, 1.0, 10.0, is_hint=True)
    polled(schedule, Processing, taken=1.0)
    assert schedule.nudge(IMAGE, 2.0, 10.0, is_hint=True)
    assert 11.0 == schedule.next_poll_at()
    assert not schedule.nudge(IMAGE, 3.0, 30.0, is_hint=True)


def test_hints_and_other_nudges_do_not_delay_each_other():
    """A ticket is polled for its slot more often than hints may make it due."""
    schedule = schedule_of(IMAGE, policy=Pace.fixed(30.0))
    polled(schedule, Processing)
    assert schedule.nudge(IMAGE, 1.0, 0.0, is_hint=False)
    polled(schedule, Processing, taken=1.0)
    assert schedule.nudge(IMAGE, 1.5, 10.0, is_hint=True)
    assert 1.5 == schedule.next_poll_at()
    polled(schedule, Processing, taken=1.5)
    assert schedule.nudge(IMAGE, 2.0, 10.0, is_hint=True)
    assert 11.5 == schedule.next_poll_at()
    assert schedule.nudge(IMAGE, 2.5, 0.0, is_hint=False)
    assert 2.5 == schedule.next_poll_at()


@pytest.mark.parametrize(("is_hint", "due"), [(True, 2.0), (False, 8.0)])
def test_hint_during_a_poll_causes_another_soon(is_hint, due):
    """The reply in flight may be older than the hint. That holds for one poll only."""
    schedule = schedule_of(IMAGE, expects_webhook=True)
    entry = schedule.take(0.0)
    assert not schedule.nudge(IMAGE, 0.1, 10.0, is_hint=is_hint)
    assert not schedule.nudge(IMAGE, 0.1, 10.0, is_hint=False)
    schedule.feed(entry, Processing(ticket=IMAGE), 0.2, 0.0)
    assert due == schedule.next_poll_at()
    polled(schedule, Processing, taken=due)
    assert due + 8.0 == schedule.next_poll_at()


def test_unpolled_ticket_is_due_a_floor_later_and_not_counted():
    """A poll that a guard vetoed did not happen."""
    schedule = schedule_of(IMAGE)
    schedule.return_unpolled(schedule.take(1.0), 1.0)
    assert 3.0 == schedule.next_poll_at()
    assert 1 == polled(schedule, Success, taken=3.0).completion.polls


def test_ticket_left_during_a_vetoed_poll_is_forgotten():
    """It is not queued again."""
    schedule = Schedule(PACE)
    watcher = add(schedule, IMAGE)
    entry = schedule.take(0.0)
    schedule.drop(IMAGE, watcher)
    schedule.return_unpolled(entry, 0.0)
    assert (None, 0) == (schedule.next_poll_at(), len(schedule))


def test_failures_back_off_and_end_the_ticket():
    """Each failure doubles the wait, and the last that the pace allows ends the ticket."""
    schedule = schedule_of(IMAGE, policy=Pace(floor=2.0, max_failures=3))
    polled(schedule, Processing)
    waits, now = [], schedule.next_poll_at()
    for _ in range(2):
        effects = polled(schedule, error := ServerError("down"), taken=now)
        assert (None, error) == (effects.completion, schedule.last_error(IMAGE))
        waits.append(schedule.next_poll_at() - now)
        now = schedule.next_poll_at()
    assert [2.0, 4.0] == waits
    outcome = polled(schedule, ServerError("down"), taken=now).completion.outcome
    assert IMAGE == outcome.ticket == outcome.cause.ticket
    assert outcome.last == Processing(ticket=IMAGE)


def test_answer_between_failures_starts_the_count_again():
    """Only failures in a row end a ticket, and an answer clears the last error."""
    schedule = schedule_of(IMAGE, policy=Pace(floor=2.0, max_failures=2))
    now = 0.0
    for _ in range(4):
        polled(schedule, Processing, taken=now)
        assert schedule.last_error(IMAGE) is None
        now = schedule.next_poll_at()
        assert polled(schedule, ServerError("down"), taken=now).completion is None
        now = schedule.next_poll_at()


def test_retry_after_of_a_failure_delays_the_retry():
    """The longer one of backoff and `retry_after` counts."""
    for retry_after, due in ((9.0, 9.0), (0.5, 2.0), (None, 2.0)):
        schedule = schedule_of(IMAGE, VIDEO)
        polled(schedule, Success)
        polled(schedule, ServerError("down", retry_after=retry_after))
        assert due == schedule.next_poll_at()


def test_first_failure_of_an_unproven_host_pauses_it():
    """The pause grows with each failure, and the effects name it."""
    schedule = schedule_of(IMAGE, VIDEO)
    assert 2.0 == polled(schedule, TransportError("cut"), now=1.0).paused
    assert 3.0 == schedule.next_poll_at()
    assert 4.0 == polled(schedule, TransportError("cut"), taken=3.0).paused
    assert 7.0 == schedule.next_poll_at()


def test_ten_failures_in_a_row_pause_a_proven_host():
    """Nine do not. Polls that were in flight when the pause began prolong nothing."""
    tickets = [Ticket("images", number) for number in range(13)]
    schedule = schedule_of(*tickets)
    polled(schedule, Processing)
    entries = [schedule.take(0.0) for _ in range(12)]
    pauses = [schedule.feed(each, ServerError("down"), 1.0, 0.0).paused for each in entries]
    assert [None] * 9 + [2.0] + [None] * 2 == pauses
    assert 3.0 == schedule.next_poll_at()


def test_other_host_is_not_paused_by_failures():
    """Failures of one host say nothing about another."""
    schedule = schedule_of(IMAGE)
    add(schedule, VIDEO, host="b.example")
    polled(schedule, TransportError("cut"))
    assert VIDEO == schedule.take(0.0).ticket


@pytest.mark.parametrize(
    "error", [TransportError("cut"), ServerError("down"), UnreadableReply("?")]
)
def test_silent_host_ends_its_waits(error):
    """After `outage` seconds of failed polls all tickets of that host end, whatever came back."""
    now, completed = 0.0, []
    schedule = schedule_of(IMAGE, VIDEO, policy=Pace(floor=2.0, max_failures=999, outage=100.0))
    while not completed:
        effects = polled(schedule, error, taken=now)
        completed += [effects.completion] if effects.completion else []
        ended_at, now = now, schedule.next_poll_at() or math.inf
    assert 100.0 <= ended_at < 200.0
    assert schedule.has_pending_refusals
    completed += schedule.pop_refused(10, ended_at)
    assert {IMAGE, VIDEO} == {each.outcome.ticket for each in completed}
    assert not schedule.has_pending_refusals


def test_rate_limit_pauses_the_key_at_all_hosts():
    """Other keys go on. A host that is new to the client is paused too, until then."""
    schedule = schedule_of(IMAGE)
    add(schedule, VIDEO, host="b.example")
    add(schedule, vip := Ticket("enterprise_interior", 1), tier="enterprise", host="a.example")
    effects = polled(schedule, RateLimited("slow", retry_after=30.0), now=1.0)
    assert (None, 30.0) == (effects.completion, effects.paused)
    assert vip == schedule.take(1.0).ticket
    add(schedule, late := Ticket("voice", 1), host="c.example", now=2.0)
    assert 31.0 == schedule.next_poll_at()
    assert schedule.take(30.9) is None
    first = {schedule.take(31.0).ticket for _ in range(3)}
    assert {IMAGE, VIDEO, late} == first


def test_rate_limit_is_at_least_the_floor_and_no_failure():
    """The ticket is polled again right after the pause, however often that happens."""
    schedule = schedule_of(IMAGE, policy=Pace(floor=2.0, max_failures=1))
    for start in (0.0, 2.0, 4.0):
        effects = polled(schedule, RateLimited("slow", retry_after=0.1), taken=start)
        assert (None, 2.0) == (effects.completion, effects.paused)
        assert start + 2.0 == schedule.next_poll_at()


def test_rate_limits_of_polls_in_flight_cause_one_pause():
    """Only a longer `retry_after` prolongs it."""
    tickets = [Ticket("images", number) for number in range(5)]
    schedule = schedule_of(*tickets)
    polled(schedule, Processing)
    first, *others = [schedule.take(0.0) for _ in range(4)]
    assert 5.0 == schedule.feed(first, RateLimited("slow", retry_after=5.0), 1.0, 0.0).paused
    for entry, retry_after, paused in zip(others, (None, 5.0, 9.0), (None, None, 9.0), strict=True):
        error = RateLimited("slow", retry_after=retry_after)
        assert paused == schedule.feed(entry, error, 1.0, 0.0).paused
    assert 10.0 == schedule.next_poll_at()


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (AuthenticationError("no"), {"images:1", "video:1", "voice:1"}),
        (PaymentRequired("no"), {"images:1", "video:1", "voice:1"}),
        (ConnectionImpossible("no"), {"images:1", "video:1"}),
        (PermissionDenied("no"), {"images:1", "images:2"}),
        (InvalidRequest("no"), {"images:1"}),
    ],
)
def test_refusal_ends_what_it_concerns(error, ended):
    """A key, a host, a family or one ticket, and nothing else."""
    tickets = [Ticket.parse(text) for text in ("images:1", "video:1")]
    schedule = schedule_of(*tickets)
    add(schedule, Ticket("voice", 1), host="b.example")
    add(schedule, Ticket("enterprise_interior", 1), tier="enterprise")
    if isinstance(error, PermissionDenied):
        add(schedule, Ticket("images", 2))
    entry = schedule.take(0.0)
    assert "images:1" == str(entry.ticket)
    completion = schedule.feed(entry, error, 0.5, 0.0).completion
    found = [completion] if completion else []
    while schedule.has_pending_refusals:
        found += schedule.pop_refused(1, 0.5)
    assert ended == {str(each.outcome.ticket) for each in found}
    assert {0.5} == {each.waited for each in found}
    others = {"images:1", "video:1", "voice:1", "enterprise_interior:1"} - ended
    assert others >= {str(each) for each in taken_by(schedule, 0.5)}
    assert len(others) == len(schedule)


@pytest.mark.parametrize(
    ("error", "is_proven"),
    [
        (AuthenticationError("no"), False),
        (ConnectionImpossible("no"), False),
        (PermissionDenied("no"), True),
        (InvalidRequest("no"), True),
    ],
)
def test_host_after_a_refusal_is_probed_or_polled_freely(error, is_proven):
    """A host that refused the family or the request has answered; after others, it is probed."""
    schedule = schedule_of(IMAGE)
    polled(schedule, error)
    while schedule.has_pending_refusals:
        schedule.pop_refused(9, 0.0)
    add(schedule, VIDEO)
    add(schedule, Ticket("voice", 1))
    assert schedule.take(0.0)
    assert is_proven == (schedule.take(0.0) is not None)


def test_answer_after_a_refusal_proves_the_host_again():
    """A host that answered, refused the key and answered again is polled freely."""
    schedule = schedule_of(IMAGE, VIDEO)
    polled(schedule, Processing)
    polled(schedule, AuthenticationError("no"))
    while schedule.has_pending_refusals:
        schedule.pop_refused(9, 0.0)
    voices = [Ticket("voice", number) for number in range(3)]
    add(schedule, voices[0])
    polled(schedule, Processing)
    for voice in voices[1:]:
        add(schedule, voice)
    assert 2 == len(taken_by(schedule, 0.0))


def test_host_that_was_idle_starts_without_its_old_silence():
    """A failure long ago does not count as silence of the host today."""
    schedule = Schedule(Pace(floor=2.0, max_failures=999, outage=100.0))
    for start in (0.0, 1000.0):
        watcher = add(schedule, IMAGE, now=start)
        polled(schedule, TransportError("cut"), taken=start)
        polled(schedule, TransportError("cut"), taken=start + 60.0)
        assert schedule.last_error(IMAGE) is not None
        schedule.drop(IMAGE, watcher)
        assert 0 == len(schedule)


def test_close_ends_a_few_at_a_time_and_skips_who_left():
    """Watchers that have left get no outcome, and no ticket is polled any more."""
    schedule = Schedule(PACE)
    watchers = [add(schedule, Ticket("images", number), now=1.0) for number in range(5)]
    error = ClientClosed("closed")
    first = schedule.close(error, 2, 3.0, {watchers[1]})
    assert ["images:0", "images:2"] == [str(each.outcome.ticket) for each in first]
    assert {2.0} == {each.waited for each in first}
    assert schedule.next_poll_at() is None
    rest = schedule.close(error, 9, 3.0, {watchers[1]})
    assert ["images:3", "images:4"] == [str(each.outcome.ticket) for each in rest]
    assert 0 == len(schedule)


def test_abandoned_schedule_returns_its_watchers():
    """Nothing is open and nothing is due any more."""
    schedule = Schedule(PACE)
    watchers = {add(schedule, IMAGE), add(schedule, IMAGE), add(schedule, VIDEO)}
    abandoned = schedule.abandon()
    assert (3, watchers) == (len(abandoned), set(abandoned))
    assert (0, None) == (len(schedule), schedule.next_poll_at())


def test_defect_ends_its_ticket_alone():
    """The ticket ends as unresolved once, in flight or queued, and others go on."""
    schedule = schedule_of(IMAGE, VIDEO, now=1.0)
    entry = schedule.take(1.0)
    completion = schedule.end_unresolved(entry, ServerError("defect"), 4.0)
    assert (IMAGE, 3.0) == (completion.outcome.ticket, completion.waited)
    assert schedule.end_unresolved(entry, ServerError("defect"), 4.0) is None
    assert VIDEO == schedule.take(4.0).ticket


def test_last_reply_of_an_open_ticket():
    """It is that of the latest poll; None for a ticket that is not open or was not answered."""
    schedule = schedule_of(IMAGE)
    assert schedule.last(IMAGE) is None
    polled(schedule, Processing)
    assert Processing(ticket=IMAGE) == schedule.last(IMAGE)
    assert schedule.last(VIDEO) is None
    assert schedule.last_error(VIDEO) is None


def test_rate_bounds_the_polls_of_one_key():
    """Each key has its own rate, at all hosts together."""
    schedule = schedule_of(*(Ticket("images", n) for n in range(5)), rate=4.0)
    add(schedule, VIDEO, host="b.example")
    add(schedule, vip := Ticket("enterprise_interior", 1), tier="enterprise")
    polled(schedule, Processing)
    assert [vip] == taken_by(schedule, 0.0)
    assert 0.25 == schedule.next_poll_at()
    assert schedule.take(0.24) is None
    assert schedule.take(0.25)
    assert 0.5 == schedule.next_poll_at()


def test_stall_of_the_machine_spreads_the_polls():
    """After more than five seconds without a call, what fell due is no burst."""
    for stall, count in ((1.9, 9), (5.1, 1), (60.0, 1)):
        schedule = schedule_of(*(Ticket("images", n) for n in range(10)))
        polled(schedule, Processing)
        assert count == len(taken_by(schedule, stall))


def test_hosts_take_turns():
    """Two hosts with many tickets each are polled one after the other."""
    schedule = Schedule(PACE)
    for number in range(3):
        add(schedule, Ticket("images", number), host="a.example")
    for number in range(3):
        add(schedule, Ticket("video", number), host="b.example")
    polled(schedule, Processing)
    polled(schedule, Processing)
    families = [ticket.family for ticket in taken_by(schedule, 0.0)]
    assert ["images", "video", "images", "video"] == families


def test_nearly_equal_times_share_one_object():
    """Tickets that are added within a millisecond take the memory of one float."""
    shared = SharedFloats()
    first = shared.moment(float("1.0"))
    assert first is shared.moment(float("1.0"))
    assert first is shared.moment(1.0009)
    assert 1.0011 == shared.moment(1.0011)
    assert 0.5 == shared.moment(0.5)
    assert 3.5 == shared.sum(1.0, 2.5)
    assert shared.sum(1.0, 2.5) is shared.sum(1.0, 2.5)
