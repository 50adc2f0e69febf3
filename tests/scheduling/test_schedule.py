"""The schedule as a state machine: its laws hold for any sequence of events."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from modelslab_async import (
    AuthenticationError,
    ClientClosed,
    Failed,
    InvalidRequest,
    Pace,
    PermissionDenied,
    Processing,
    RateLimited,
    ServerError,
    Success,
    Ticket,
    TransportError,
    Unresolved,
)
from modelslab_async._scheduling.initial_ticket_facts import InitialTicketFacts
from modelslab_async._scheduling.schedule import Schedule

TICKETS = [Ticket(family, id_) for family in ("images", "video", "legacy_v3") for id_ in "123"]
HOSTS = {"images": "new", "video": "new", "legacy_v3": "old"}
PACE = Pace(max_failures=3, grace=2.0)
JITTER = st.floats(0, 1)


class WatcherDouble:
    """A watcher of one ticket that records its updates."""

    def __init__(self, ticket):
        self.ticket = ticket
        self.updates = []

    def notify(self, update):
        self.updates.append(update)


class ScheduleMachine(RuleBasedStateMachine):
    """Adds, drops, takes and feeds at random, and keeps its own record of what is open."""

    in_flight = Bundle("in_flight")

    def __init__(self):
        super().__init__()
        self.schedule = Schedule(PACE)
        self.now = 0.0
        self.watchers = []
        self.polling = []
        self.paused = {"standard": 0.0}

    def waiting_for(self, ticket):
        return [each for each in self.watchers if each.ticket == ticket]

    def notify_watchers(self, completions):
        for completion in completions:
            for watcher in completion.watchers:
                watcher.notify(completion.outcome)
                assert watcher.ticket == completion.outcome.ticket
                self.watchers.remove(watcher)
        return [completion.outcome for completion in completions]

    @rule(ticket=st.sampled_from(TICKETS), jitter=JITTER, eta=st.none() | st.floats(0, 99))
    def add(self, ticket, jitter, eta):
        watcher = WatcherDouble(ticket)
        self.watchers.append(watcher)
        self.schedule.add(
            ticket,
            watcher,
            tier="standard",
            host=HOSTS[ticket.family],
            now=self.now,
            jitter=jitter,
            facts=InitialTicketFacts(eta=eta),
        )

    @precondition(lambda self: self.watchers)
    @rule(data=st.data())
    def drop(self, data):
        watcher = data.draw(st.sampled_from(self.watchers))
        self.watchers.remove(watcher)
        self.schedule.drop(watcher.ticket, watcher)
        self.schedule.drop(watcher.ticket, watcher)

    @rule(seconds=st.floats(0, 20) | st.just(3600.0))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def pass_time_until_due(self):
        when = self.schedule.next_poll_at()
        if when is not None:
            self.now = max(self.now, when)

    @rule(target=in_flight)
    def take(self):
        when = self.schedule.next_poll_at()
        entry = self.schedule.take(self.now)
        assert (entry is not None) == (when is not None and when <= self.now)
        if entry is None:
            return multiple()
        assert entry.due <= self.now
        assert self.waiting_for(entry.ticket)
        assert entry.ticket not in [each.ticket for each in self.polling if each.watchers]
        assert self.now >= self.paused["standard"]
        self.polling.append(entry)
        return entry

    def feed(self, entry, result, jitter):
        self.polling.remove(entry)
        effects = self.schedule.feed(entry, result, self.now, jitter)
        completions = [effects.completion] if effects.completion else []
        while self.schedule.has_pending_refusals:
            completions += self.schedule.pop_refused(2, self.now)
        return self.notify_watchers(completions), effects

    @rule(entry=consumes(in_flight), jitter=JITTER, eta=st.none() | st.floats(0, 99))
    def still_running(self, entry, jitter, eta):
        outcomes, _ = self.feed(entry, Processing(ticket=entry.ticket, eta=eta), jitter)
        assert [] == outcomes

    @rule(entry=consumes(in_flight), jitter=JITTER, well=st.booleans())
    def over(self, entry, jitter, well):
        waited = entry.watchers
        reply = Success(ticket=entry.ticket) if well else Failed(ticket=entry.ticket)
        outcomes, _ = self.feed(entry, reply, jitter)
        assert ([reply] if waited else []) == outcomes

    @rule(entry=consumes(in_flight), jitter=JITTER)
    def unknown(self, entry, jitter):
        waited, age = entry.watchers, entry.poll_started - entry.added
        outcomes, _ = self.feed(entry, Failed(ticket=entry.ticket, reason="not_found"), jitter)
        assert bool(waited and age >= PACE.grace) == bool(outcomes)

    @rule(entry=consumes(in_flight), jitter=JITTER, network=st.booleans())
    def fault(self, entry, jitter, network):
        waited, before = entry.watchers, entry.failures
        error = TransportError("cut") if network else ServerError("down")
        outcomes, _ = self.feed(entry, error, jitter)
        spent = before + 1 >= PACE.max_failures
        assert bool(waited and spent) == bool(outcomes)
        assert all(isinstance(each, Unresolved) for each in outcomes)

    @rule(entry=consumes(in_flight), jitter=JITTER, asked=st.none() | st.floats(0, 300))
    def rate_limited(self, entry, jitter, asked):
        before = entry.failures
        outcomes, effects = self.feed(entry, RateLimited("slow", retry_after=asked), jitter)
        assert [] == outcomes
        assert before == entry.failures
        if effects.paused is not None:
            assert asked is None or effects.paused >= asked
            self.paused["standard"] = self.now + effects.paused

    @rule(entry=consumes(in_flight), jitter=JITTER)
    def key_refused(self, entry, jitter):
        waiting = {each.ticket for each in self.watchers}
        outcomes, _ = self.feed(entry, AuthenticationError("bad", ticket=entry.ticket), jitter)
        assert waiting == {each.ticket for each in outcomes}
        assert all(each.ticket == each.cause.ticket for each in outcomes)
        assert [] == self.watchers

    @rule(entry=consumes(in_flight), jitter=JITTER)
    def family_forbidden(self, entry, jitter):
        family = entry.ticket.family
        waiting = {each.ticket for each in self.watchers if each.ticket.family == family}
        outcomes, _ = self.feed(entry, PermissionDenied("no", ticket=entry.ticket), jitter)
        assert waiting == {each.ticket for each in outcomes}

    @rule(entry=consumes(in_flight), jitter=JITTER)
    def request_refused(self, entry, jitter):
        waited = entry.watchers
        outcomes, _ = self.feed(entry, InvalidRequest("no", ticket=entry.ticket), jitter)
        assert ([entry.ticket] if waited else []) == [each.ticket for each in outcomes]

    @invariant()
    def each_watcher_is_notified_once(self):
        assert all([] == each.updates for each in self.watchers)

    @invariant()
    def no_watched_ticket_is_lost(self):
        """Each watched ticket is queued or being polled."""
        waiting = {each.ticket for each in self.watchers}
        polling = {each.ticket for each in self.polling if each.watchers}
        assert len(self.schedule) >= len(waiting)
        if waiting - polling:
            assert self.schedule.next_poll_at() is not None

    @invariant()
    def no_ticket_starves(self):
        """A ticket that is due and not paused is polled soon, also out of a long backlog."""
        for host_queue in self.schedule.hosts._queues.values():
            if host_queue.next_poll_at() is not None:
                queues = host_queue._queues.values()
                heaps = [heap for queue in queues for heap in queue._heaps if len(heap)]
                due = min(heap.peek().due for heap in heaps)
                # At an unproven host, each probe that hangs delays the next.
                probe_delay = 1 << min(max(len(host_queue._in_flight) - 1, 0), 5)
                soon = max(self.now, due, host_queue.health.paused_until) + probe_delay + 0.1
                assert host_queue.next_poll_at() <= soon + 1e-9

    def teardown(self):
        outcomes = []
        while len(self.schedule):
            outcomes += self.notify_watchers(
                self.schedule.close(ClientClosed("closed"), 3, self.now)
            )
        assert [] == self.watchers
        assert all(isinstance(each.cause, ClientClosed) for each in outcomes)
        assert 0 == len([each for each in outcomes if isinstance(each, Success)])


class TestMachine(ScheduleMachine.TestCase):
    settings = settings(max_examples=75, stateful_step_count=60, deadline=None)


@pytest.mark.thorough
class TestMachineThoroughly(ScheduleMachine.TestCase):
    settings = settings(max_examples=500, stateful_step_count=60, deadline=None)


def open_tickets(count, **pace):
    schedule = Schedule(Pace(**pace))
    for number in range(count):
        ticket = Ticket("images", number)
        schedule.add(
            ticket, WatcherDouble(ticket), tier="standard", host="new", now=0.0, jitter=0.0
        )
    return schedule


def test_each_ticket_is_polled_before_any_twice():
    """With one worker and every poll due, no ticket is polled twice before all were once."""
    schedule = open_tickets(50)
    seen = []
    for moment in range(50):
        entry = schedule.take(float(moment))
        schedule.feed(entry, Processing(ticket=entry.ticket), float(moment), 0.0)
        seen.append(entry.ticket)
    assert 50 == len(set(seen))


def test_unproven_host_gets_one_probe():
    """Until the first answer one poll is in flight; after it, all that are due."""
    schedule = open_tickets(5)
    probe = schedule.take(0.0)
    assert schedule.take(0.0) is None
    schedule.feed(probe, Processing(ticket=probe.ticket), 0.1, 0.0)
    assert all(schedule.take(0.1) for _ in range(4))


def test_hanging_probes_double_the_wait_for_the_next():
    """Other probes follow one that hangs, and each that hangs doubles the wait."""
    schedule = open_tickets(9)
    for moment in (0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 95.0):
        assert moment == schedule.next_poll_at()
        assert schedule.take(moment)


def test_dropped_tickets_are_cleared_before_they_are_due():
    """Tickets without watchers leave the queue early."""
    schedule = Schedule(Pace())
    for number in range(1000):
        ticket = Ticket("images", number)
        watcher = WatcherDouble(ticket)
        facts = InitialTicketFacts(eta=99.0)
        schedule.add(ticket, watcher, tier="standard", host="new", now=0.0, jitter=0.0, facts=facts)
        schedule.drop(ticket, watcher)
    (host_queue,) = schedule.hosts._queues.values()
    assert 0 == len(schedule)
    assert len(host_queue._queues["images"]) < 200


def test_drop_during_refusal_keeps_backlog_speed():
    """The backlog of another family takes one step, as if no watcher had left."""
    schedule = Schedule(Pace(ceiling=10.0))
    refused = [Ticket("images", number) for number in range(1500)]
    listeners = {ticket: WatcherDouble(ticket) for ticket in refused}
    for ticket in refused + [Ticket("video", number) for number in range(1000)]:
        watcher = listeners.get(ticket) or WatcherDouble(ticket)
        schedule.add(ticket, watcher, tier="standard", host="new", now=0.0, jitter=0.0)
    schedule.feed(schedule.take(0.0), PermissionDenied("no"), 0.1, 0.0)
    for ticket in refused[1:]:
        schedule.drop(ticket, listeners[ticket])
    while schedule.has_pending_refusals:
        schedule.pop_refused(100, 0.1)
    now = 100.0
    while len(schedule):
        entry = schedule.take(now)
        schedule.feed(entry, Success(ticket=entry.ticket), now, 0.0)
        now = max(now, schedule.next_poll_at() or now)
    assert now <= 111.0


def test_drop_during_refusal_keeps_other_family():
    """Many leave, a refusal comes, one more leaves: the tickets of another family go on."""
    schedule = Schedule(Pace())
    refused = [Ticket("images", number) for number in range(200)]
    listeners = {ticket: WatcherDouble(ticket) for ticket in refused}
    for ticket in [*refused, other := Ticket("video", 1)]:
        watcher = listeners.get(ticket) or WatcherDouble(ticket)
        schedule.add(ticket, watcher, tier="standard", host="new", now=0.0, jitter=0.0)
    probe = schedule.take(0.0)
    for ticket in refused[1:105]:
        schedule.drop(ticket, listeners[ticket])
    schedule.feed(probe, PermissionDenied("no"), 0.1, 0.0)
    schedule.drop(refused[150], listeners[refused[150]])
    while schedule.has_pending_refusals:
        schedule.pop_refused(50, 0.1)
    assert other == schedule.take(0.2).ticket
    assert 1 == len(schedule)


def test_rate_limits_in_a_row_double_the_pause():
    """A poll that starts after a pause and is limited again doubles the next pause."""
    schedule = open_tickets(2, floor=1.0)
    now, pauses = 0.0, []
    for _ in range(3):
        effects = schedule.feed(schedule.take(now), RateLimited("slow"), now, 0.0)
        pauses.append(effects.paused)
        now = schedule.next_poll_at()
    assert [1.0, 2.0, 4.0] == pauses
