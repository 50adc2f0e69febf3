"""The parts of the slots one at a time: waiters, records, polls, uncertain work and retries."""

import asyncio

import pytest

from modelslab_async import Pace, PaymentRequired, RateLimited, ServerError, Ticket, TransportError
from modelslab_async._models.errors import ClientClosed
from modelslab_async._parsing.webhook_ids import WebhookHint
from modelslab_async._polling.watchers import NULL_WATCHER
from modelslab_async._scheduling.initial_ticket_facts import InitialTicketFacts
from modelslab_async._submitting.slot_polls import SlotPolls
from modelslab_async._submitting.slot_record import SlotRecord
from modelslab_async._submitting.slots import Slots
from modelslab_async._submitting.submit_priority_queue import SubmitPriorityQueue, is_admitted
from modelslab_async._submitting.submit_retries import SubmitRetries
from modelslab_async._submitting.uncertain_slots import UncertainSlots

TICKETS = [Ticket("images", number) for number in range(9)]


class RecordingPoller:
    """Records what it is asked for, and knows no family of the name `unknown`."""

    def __init__(self):
        self.watched, self.nudged, self.unwatched = [], [], []

    def watch(self, ticket, watcher, initial_facts):
        if ticket.family == "unknown":
            raise ValueError("no such family")
        assert watcher is NULL_WATCHER
        self.watched.append((ticket, initial_facts))
        return True

    def nudge(self, ticket):
        self.nudged.append(ticket)

    def unwatch(self, ticket, watcher):
        assert watcher is NULL_WATCHER
        self.unwatched.append(ticket)


def record_of(*, submitted_at=0.0, eta=0.0, webhook=False, early=False, track_id=""):
    return SlotRecord("e/x", submitted_at, submitted_at, eta, track_id, webhook, early)


def slots_of(limit, poller=None):
    return Slots(limit, SlotPolls(poller or RecordingPoller()))


async def taken(slots, number=0):
    """Take a slot; return whether one was free."""
    task = asyncio.create_task(slots.acquire(number))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        return False
    await task
    return True


def test_waiters_are_admitted_by_number_then_arrival(virtually):
    """A cancelled waiter is skipped, and does not count."""

    async def main():
        queue = SubmitPriorityQueue()
        assert (False, 0, None) == (bool(queue), len(queue), queue.admit_first())
        late, first, second, cancelled = (queue.add(number) for number in (7, 2, 2, 1))
        assert 4 == len(queue)
        cancelled.cancel()
        assert 3 == len(queue)
        assert 2 == queue.admit_first()
        assert [True, False, False] == [is_admitted(each) for each in (first, second, late)]
        assert [2, 7, None] == [queue.admit_first() for _ in range(3)]
        assert not is_admitted(cancelled)

    virtually(main)


def test_rejected_waiters_get_the_error(virtually):
    """All that wait now, and none that comes later."""

    async def main():
        queue = SubmitPriorityQueue()
        waiters = [queue.add(number) for number in (1, 2)]
        waiters[1].cancel()
        queue.reject_all(ServerError("no"))
        assert "no; " in str(waiters[0].result())
        assert not is_admitted(waiters[0])
        assert not queue
        queue.add(3)
        assert 3 == queue.admit_first()

    virtually(main)


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (0.5, InitialTicketFacts(eta=9.5, just_submitted=True)),
        (1.0, InitialTicketFacts(eta=9.0)),
        (1.5, InitialTicketFacts(eta=8.5)),
        (10.0, InitialTicketFacts()),
        (12.0, InitialTicketFacts()),
    ],
)
def test_polls_of_a_ticket_start_by_its_age(age, state):
    """What is left of the eta counts, and a young ticket is not polled at once."""
    assert state == record_of(submitted_at=100.0, eta=10.0).initial_facts(100.0 + age)


def test_polls_start_by_the_webhook():
    """One that is due makes polls rarer; one that came already makes the first poll due now."""
    assert InitialTicketFacts(eta=10.0, just_submitted=True, expects_webhook=True) == record_of(
        eta=10.0, webhook=True
    ).initial_facts(0.0)
    assert InitialTicketFacts(expects_webhook=True) == record_of(
        eta=10.0, webhook=True, early=True
    ).initial_facts(0.0)


def test_held_slot_is_polled_by_its_age_and_eta():
    """First after half of the eta, at most 10 s, then after a 25th of the age, at least 0.25 s."""
    for eta, first in ((0.0, 0.25), (8.0, 4.0), (100.0, 10.0)):
        polls = SlotPolls(poller := RecordingPoller())
        records = {TICKETS[0]: record_of(eta=eta)}
        assert [first] == polls.poll_due(records, 0.0)
        assert [] == poller.watched
        (later,) = polls.poll_due(records, first)
        assert [TICKETS[0]] == poller.nudged == [ticket for ticket, _ in poller.watched]
        assert first + max(0.25, 0.04 * first) == pytest.approx(later)
        assert [later] == pytest.approx(polls.poll_due(records, first))
        assert 1 == len(poller.nudged)


def test_short_work_brings_the_first_poll_forward():
    """If work took a fifth of its eta, the first poll comes after a fifth of half of the eta."""
    polls = SlotPolls(RecordingPoller())
    polls.on_completed(TICKETS[1], 10.0, 2.0)
    polls.on_completed(TICKETS[1], 0.0, 2.0)
    assert [2.0] == pytest.approx(polls.poll_due({TICKETS[0]: record_of(eta=20.0)}, 0.0))
    for _ in range(8):
        polls.on_completed(TICKETS[1], 10.0, 30.0)
    assert [10.0] == polls.poll_due({TICKETS[0]: record_of(eta=20.0)}, 0.0)


def test_cancelled_polls_leave_the_tickets_that_are_open():
    """A ticket that has ended is not left again, and one of an unknown family is not polled."""
    polls = SlotPolls(poller := RecordingPoller())
    unknown = Ticket("unknown", 1)
    records = {each: record_of() for each in (TICKETS[0], TICKETS[1], unknown)}
    assert [1.25] * 3 == polls.poll_due(records, 1.0)
    assert TICKETS[:2] == poller.nudged
    polls.on_completed(TICKETS[0], 0.0, 1.0)
    polls.cancel()
    assert {TICKETS[1], unknown} == set(poller.unwatched)
    polls.cancel()
    assert 2 == len(poller.unwatched)


def test_uncertain_work_holds_a_slot_for_as_long_as_work_took():
    """Two minutes before any ended there, else the longest of the last eight, at most ten."""
    uncertain = UncertainSlots()
    uncertain.add("a", 0.0)
    uncertain.add("a", 10.0)
    uncertain.add("b", 0.0)
    assert [120.0, 130.0, 120.0] == uncertain.expiries()
    assert (120.0, 3) == (uncertain.expire(119.9), uncertain.count)
    uncertain.record_duration("a", 5.0)
    uncertain.record_duration("a", 30.0)
    assert (40.0, 2) == (uncertain.expire(30.0), uncertain.count)
    for _ in range(8):
        uncertain.record_duration("a", 7.0)
    assert (120.0, 1) == (uncertain.expire(30.0), uncertain.count)
    uncertain.record_duration("b", 9999.0)
    assert 600.0 == uncertain.expire(500.0)
    assert (None, 0) == (uncertain.expire(600.0), uncertain.count)


def test_slots_are_taken_and_freed(virtually):
    """A submit, a ticket and uncertain work hold one each; `release` and an end free it."""

    async def main():
        slots = slots_of(2)
        assert await taken(slots)
        slots.assign(TICKETS[0], endpoint="e/x", eta=3.0, track_id="t")
        assert await taken(slots)
        assert not await taken(slots)
        await asyncio.sleep(5.0)
        slots.hold_uncertain("e/x")
        assert 2 == slots.used
        assert not await taken(slots)
        assert InitialTicketFacts() == slots.initial_facts_of(TICKETS[0])
        hints = [WebhookHint((), each) for each in ("t", "")]
        assert [TICKETS[0], None] == [slots.take_hint(each) for each in hints]
        assert slots.initial_facts_of(TICKETS[1]) is None
        slots.on_completed(TICKETS[1])
        slots.on_completed(TICKETS[0])
        assert 1 == slots.used
        assert await taken(slots)
        slots.release()
        assert 1 == slots.used
        # The work that ended took five seconds, so uncertain work there is assumed to take them.
        await asyncio.sleep(4.9)
        assert slots.wait_reason("p", 1) is None
        assert 1 == slots.used
        await asyncio.sleep(0.1)
        assert slots.wait_reason("p", 1) is None
        assert 0 == slots.used

    virtually(main)


def test_unproven_key_gets_one_submit_a_second(virtually):
    """The second goes after a second without a reply, and all once the key is accepted."""

    async def main():
        slots = slots_of(None)
        await asyncio.sleep(100.0)
        assert slots.wait_reason("p", 1) is None
        assert await taken(slots)
        assert "key_unconfirmed" == slots.wait_reason("p", 2)
        await asyncio.sleep(1.0)
        assert await taken(slots)
        await asyncio.sleep(0.9)
        assert not await taken(slots)
        slots.release(is_key_accepted=True)
        assert all([await taken(slots) for _ in range(5)])

    virtually(main)


def test_refused_key_is_unproven_again(virtually):
    """All that wait are rejected with the refusal, and probing starts anew."""

    async def main():
        slots = slots_of(1)
        await slots.acquire(1)
        slots.assign(TICKETS[0])
        waiting = [asyncio.create_task(slots.acquire(number)) for number in (2, 3)]
        await asyncio.sleep(0)
        slots.reject_waiting(PaymentRequired("no credits"))
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert ["no credits"] * 2 == [str(error) for error in errors]
        errors[0].add_note("of one caller")
        assert not hasattr(errors[1], "__notes__")
        slots.on_completed(TICKETS[0])
        assert await taken(slots)
        assert "key_unconfirmed" == slots.wait_reason("p", 5)

    virtually(main)


def test_closed_slots_reject_all(virtually):
    """Those that wait, and those that come later."""

    async def main():
        slots = slots_of(1)
        await slots.acquire(1)
        waiting = asyncio.create_task(slots.acquire(2))
        await asyncio.sleep(0)
        slots.close(ClientClosed("closed"))
        for each in (waiting, slots.acquire(3), slots.acquire(4)):
            with pytest.raises(ClientClosed) as caught:
                await each
            assert not hasattr(caught.value, "__notes__")
            caught.value.add_note("of one caller")

    virtually(main)


def test_rate_limit_pauses_submits(virtually):
    """As long as the server asks, or 30 s; a shorter pause does not end a longer one."""

    async def main():
        for retry_after, paused in ((5.0, 5.0), (None, 30.0)):
            slots = slots_of(None)
            await slots.acquire(1)
            slots.release(is_key_accepted=True)
            slots.apply_rate_limit(RateLimited("slow", retry_after=retry_after), "p")
            slots.apply_rate_limit(RateLimited("slow", retry_after=1.0), "p")
            assert "rate_limit" == slots.wait_reason("p", 2)
            began = asyncio.get_running_loop().time()
            await slots.acquire(2)
            assert paused == pytest.approx(asyncio.get_running_loop().time() - began)

    virtually(main)


def test_full_queue_of_the_server_lowers_the_limit(virtually):
    """A submit then waits until a slot frees, or until the time that the server asks is over."""

    async def main():
        slots = slots_of(5)
        for number in range(3):
            await slots.acquire(number)
            slots.assign(TICKETS[number])
        await slots.acquire(3)
        full = RateLimited("no", server_message="Maximum queued requests", retry_after=50.0)
        slots.apply_rate_limit(full, "p")
        slots.release()
        assert "slots_used" == slots.wait_reason("p", 4)
        assert not await taken(slots)
        slots.on_completed(TICKETS[0])
        assert await taken(slots)
        assert not await taken(slots)
        await asyncio.sleep(50.0)
        assert await taken(slots)

    virtually(main)


def test_slot_is_lost_after_an_hour(virtually):
    """A ticket whose end was never seen frees its slot then."""

    async def main():
        slots = slots_of(1)
        await slots.acquire(1)
        slots.assign(TICKETS[0])
        await asyncio.sleep(3599.0)
        assert "slots_used" == slots.wait_reason("p", 2)
        await asyncio.sleep(1.0)
        assert slots.wait_reason("p", 2) is None

    virtually(main)


@pytest.mark.parametrize("age", [7200.0, 3000.0])
def test_slot_of_a_dead_process_is_lost_an_hour_after_its_submit(virtually, age):
    """A younger ticket that took its slot earlier does not keep it there."""

    async def main():
        slots = slots_of(3)
        await slots.acquire(1)
        slots.assign(TICKETS[0])
        for ticket in TICKETS[1:3]:
            submitted_at = asyncio.get_running_loop().time() - age
            slots.hold(ticket, endpoint="e/x", submitted_at=submitted_at)
        await asyncio.sleep(max(0.0, 3600.0 - age - 1.0))
        assert ("slots_used" if age < 3600.0 else None) == slots.wait_reason("p", 2)
        await asyncio.sleep(1.0)
        assert slots.wait_reason("p", 2) is None
        assert 1 == slots.used

    virtually(main)


def test_cancelled_waiter_gives_its_slot_back(virtually):
    """Also if it was admitted just before."""

    async def main():
        slots = slots_of(1)
        await slots.acquire(1)
        waiting = asyncio.create_task(slots.acquire(2))
        await asyncio.sleep(0)
        slots.release(is_key_accepted=True)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert 0 == slots.used
        assert await taken(slots)

    virtually(main)


def retries_of(*, unsent_timeout=60.0, max_failures=3):
    pace = Pace(floor=2.0, max_failures=max_failures)
    return SubmitRetries(pace, unsent_timeout, "e/x", lambda: 0.0)


def test_attempts_that_never_left_are_repeated_for_a_time(virtually):
    """The last attempt gets at least a second, and the error says that nothing was paid."""

    async def main():
        retries = retries_of(max_failures=99)
        error = TransportError("refused", may_have_been_sent=False)
        assert 60.0 == retries.begin_request(float("inf"))
        assert 10.0 == retries.begin_request(asyncio.get_running_loop().time() + 10.0)
        for pause in (2.0, 4.0, 8.0, 16.0, 29.0):
            assert pause == retries.pause_after(error)
            await asyncio.sleep(pause)
            left = retries.begin_request(float("inf"))
        assert 1.0 == left
        with pytest.raises(TransportError, match="could not be sent in 6 tries: refused; nothing"):
            retries.pause_after(error)

    virtually(main)


def test_endless_time_for_unsent_submits_is_no_limit(virtually):
    """Then only the deadline of the caller counts."""

    async def main():
        retries = retries_of(unsent_timeout=float("inf"))
        assert retries.begin_request(float("inf")) is None

    virtually(main)


def test_refused_attempts_are_counted(virtually):
    """A rate limit needs no pause of its own, and the last attempt raises its error."""

    async def main():
        retries = retries_of()
        retries.begin_request(float("inf"))
        limited = RateLimited("slow")
        assert [0.0, 0.0] == [retries.pause_after(limited) for _ in range(2)]
        with pytest.raises(RateLimited):
            retries.pause_after(limited)

    virtually(main)


@pytest.mark.parametrize(
    ("limit", "is_assigned", "free"),
    [
        (1, True, lambda slots: slots.on_completed(TICKETS[0])),
        (1, False, lambda slots: slots.release()),
        (None, False, lambda slots: slots.assign(TICKETS[0])),
        (None, False, lambda slots: slots.release(is_key_accepted=True)),
    ],
    ids=["end of a ticket", "submit without work", "first ticket", "first accepted submit"],
)
def test_waiting_submit_goes_at_once(virtually, limit, is_assigned, free):
    """No time passes between the event that makes room and the next submit."""

    async def main():
        slots = slots_of(limit)
        await slots.acquire(1)
        if is_assigned:
            slots.assign(TICKETS[0])
        waiting = asyncio.create_task(slots.acquire(2))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        began = asyncio.get_running_loop().time()
        free(slots)
        await waiting
        assert began == asyncio.get_running_loop().time()

    virtually(main)
