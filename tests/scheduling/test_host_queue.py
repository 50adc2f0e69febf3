"""The queue of one key at one host: families in turn, probes, and refusals in slices."""

import math

import pytest

from modelslab_async import Pace, ServerError, Ticket
from modelslab_async._scheduling.host_queue import Entry, HostQueue


class WatcherDouble:
    """A watcher that takes nothing."""


def host_queue_of(*tickets, due=0.0, is_proven=True):
    host_queue = HostQueue("standard", "a.example", Pace())
    host_queue.health.is_proven = is_proven
    for ticket in tickets:
        host_queue.push(entry_of(host_queue, ticket, due=due))
    return host_queue


def entry_of(host_queue, ticket, *, due=0.0):
    return Entry(Ticket.parse(ticket), host_queue, 0.0, due, (WatcherDouble(),), last_running=0.0)


def take_all(host_queue, now):
    taken = []
    while (when := host_queue.next_poll_at()) is not None and when <= now:
        taken.append(host_queue.take(now))
    return taken


def test_nan_from_a_pace_is_an_error():
    """A due time that is no number would break the order of the queue."""
    host_queue = host_queue_of()
    with pytest.raises(ValueError, match="the pace gave nan"):
        host_queue.push(entry_of(host_queue, "images:1", due=math.nan))
    assert host_queue.next_poll_at() is None
    assert host_queue.is_idle


def test_families_take_turns():
    """A long queue of one family does not delay another, whatever was queued first."""
    host_queue = host_queue_of(*(f"images:{n}" for n in range(4)), "video:1", "voice:1", "video:2")
    families = [entry.ticket.family for entry in take_all(host_queue, 1.0)]
    assert ["images", "video", "voice", "images", "video", "images", "images"] == families


def test_family_that_is_not_due_gives_its_turn_away():
    """The turn goes to the next family that is due, and only what is due is taken."""
    host_queue = host_queue_of("images:1", due=9.0)
    host_queue.push(entry_of(host_queue, "video:1", due=2.0))
    host_queue.push(entry_of(host_queue, "video:2", due=9.5))
    assert 2.0 == host_queue.next_poll_at()
    assert ["video:1"] == [str(entry.ticket) for entry in take_all(host_queue, 2.0)]
    assert 9.0 == host_queue.next_poll_at()
    assert 2 == len(take_all(host_queue, 9.5))


def test_earlier_entry_of_any_family_moves_the_next_poll():
    """The next poll is that of the earliest entry, whichever was pushed last."""
    host_queue = host_queue_of("images:1", due=5.0)
    assert 5.0 == host_queue.next_poll_at()
    host_queue.push(entry_of(host_queue, "video:1", due=7.0))
    assert 5.0 == host_queue.next_poll_at()
    host_queue.push(entry_of(host_queue, "voice:1", due=3.0))
    assert 3.0 == host_queue.next_poll_at()


def test_polls_are_counted_and_start_when_taken():
    """An entry knows its polls; one that was not sent does not count."""
    host_queue = host_queue_of("images:1")
    entry = host_queue.take(4.0)
    assert (1, 4.0, False) == (entry.polls, entry.poll_started, entry.is_queued)
    assert not host_queue.is_idle
    host_queue.return_unpolled(entry)
    assert (0, True) == (entry.polls, host_queue.is_idle)
    host_queue.push(entry)
    assert entry.is_queued
    assert not host_queue.is_idle
    assert 1 == host_queue.take(5.0).polls


def test_probes_of_an_unproven_host_wait_longer_each_time():
    """The next probe comes 1, 2, 4 ... seconds after the one before, and 32 at most."""
    host_queue = host_queue_of(*(f"images:{n}" for n in range(9)), is_proven=False)
    moments, now = [], 10.0
    for _ in range(8):
        host_queue.take(now)
        moments.append(host_queue.next_poll_at() - now)
        now += moments[-1]
    assert [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0, 32.0] == moments


def test_probe_that_failed_makes_room_for_the_next():
    """An unproven host with no poll in flight is probed without a delay, after its pause."""
    host_queue = host_queue_of("images:1", "images:2", is_proven=False)
    probe = host_queue.take(0.0)
    host_queue.finish_poll(probe)
    assert 0.0 == host_queue.next_poll_at()
    host_queue.health.pause(0.0, 30.0)
    assert 30.0 == host_queue.next_poll_at()


def test_answer_after_a_pause_spreads_what_fell_due():
    """The first answer after a pause spreads the backlog, and any other answer spreads nothing."""
    tickets = [f"images:{n}" for n in range(5)]
    for paused in (True, False):
        host_queue = host_queue_of("images:99", *tickets, due=1.0)
        if paused:
            host_queue.health.pause(0.0, 50.0)
        probe = host_queue.take(50.0)
        host_queue.finish_poll(probe)
        host_queue.record_answer(50.0)
        assert (1 if paused else 5) == len(take_all(host_queue, 50.0))
        assert (50.1 if paused else None) == host_queue.next_poll_at()


@pytest.mark.parametrize(
    ("due", "is_proven", "count"),
    [(9.0, True, 1), (10.0, True, 5), (94.9, True, 5), (9.0, False, 1)],
)
def test_stall_spreads_what_fell_due_in_it(due, is_proven, count):
    """Polls that were due before the machine stood still are spread, and only these."""
    host_queue = host_queue_of(*(f"images:{n}" for n in range(5)), due=due, is_proven=is_proven)
    host_queue.note_stall(100.0, 90.0)
    assert count == len(take_all(host_queue, 100.0))


def refused(host_queue, limit):
    pages = []
    while host_queue.has_pending_refusals:
        pages.append([str(entry.ticket) for entry, _ in host_queue.pop_refused(limit)])
    return pages


def test_refusal_of_a_family_takes_its_entries_in_slices():
    """Queued entries and those in flight are refused, and other families stay."""
    host_queue = host_queue_of("images:1", "images:2", "images:3", "video:1")
    assert "images:1" == str(host_queue.take(0.0).ticket)
    error = ServerError("no")
    host_queue.refuse_open(error, "images")
    pages = refused(host_queue, 2)
    assert [2, 1] == sorted((len(page) for page in pages), reverse=True)
    assert {"images:1", "images:2", "images:3"} == {each for page in pages for each in page}
    assert ["video:1"] == [str(entry.ticket) for entry in take_all(host_queue, 0.0)]


def test_refusal_of_all_leaves_nothing_queued():
    """Without a family every entry is refused, with the error of the refusal."""
    host_queue = host_queue_of("images:1", "video:1")
    host_queue.refuse_open(error := ServerError("no"), None)
    assert host_queue.next_poll_at() is None
    refusals = host_queue.pop_refused(10)
    assert {error} == {each for _, each in refusals}
    assert {"images:1", "video:1"} == {str(entry.ticket) for entry, _ in refusals}
    assert not host_queue.has_pending_refusals


def test_refusals_wait_for_each_other():
    """A second refusal keeps what is left of the first one."""
    host_queue = host_queue_of("images:1", "images:2", "video:1")
    host_queue.refuse_open(first := ServerError("first"), "images")
    host_queue.refuse_open(second := ServerError("second"), "video")
    refusals = []
    while host_queue.has_pending_refusals:
        refusals += host_queue.pop_refused(1)
    assert [first, first, second] == [error for _, error in refusals]
    host_queue.push(entry_of(host_queue, "images:3"))
    host_queue.refuse_open(second, None)
    assert [["images:3"]] == refused(host_queue, 5)


def test_refused_entry_without_a_watcher_gets_no_outcome():
    """What lost its watcher between the refusal and its slice is left out."""
    host_queue = host_queue_of("images:1", "images:2")
    in_flight = host_queue.take(0.0)
    host_queue.refuse_open(ServerError("no"), None)
    in_flight.watchers = ()
    assert [["images:2"], []] == sorted(refused(host_queue, 1), reverse=True)


def test_refused_entries_that_were_queued_again_are_swept():
    """An entry in flight may be queued again before its slice; then the queue drops it early."""
    host_queue = host_queue_of(*(f"images:{n}" for n in range(130)))
    in_flight = take_all(host_queue, 0.0)
    host_queue.refuse_open(ServerError("no"), None)
    for entry in in_flight:
        host_queue.finish_poll(entry)
        host_queue.push(entry)
    for number in range(200, 265):
        host_queue.push(entry_of(host_queue, f"images:{number}"))
    while host_queue.has_pending_refusals:
        for entry, _ in host_queue.pop_refused(10):
            entry.watchers = ()
    assert len(host_queue._queues["images"]) < 195
    assert 65 == len(take_all(host_queue, 0.0))


def test_refused_entries_that_lost_their_watcher_do_not_count_as_stale():
    """They have left the queue, so a later sweep does not start too early."""
    host_queue = host_queue_of()
    refused_entries = [entry_of(host_queue, f"images:{number}") for number in range(100)]
    for entry in refused_entries:
        host_queue.push(entry)
    host_queue.refuse_open(ServerError("no"), None)
    for entry in refused_entries:
        entry.watchers = ()
        host_queue.mark_stale(entry)
    assert [[]] * 10 == refused(host_queue, 10)
    later = [entry_of(host_queue, f"images:{number}") for number in range(200, 330)]
    for entry in later:
        host_queue.push(entry)
    for entry in later[:65]:
        entry.watchers = ()
        host_queue.mark_stale(entry)
    assert 130 == len(host_queue._queues["images"])
