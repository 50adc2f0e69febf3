"""The queue of one family: order, backlogs, and stale entries dropped in small pieces."""

from itertools import pairwise

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._scheduling.family_queue import FamilyQueue


@define(eq=False)
class Item:
    """A queued entry with a watcher."""

    due: float
    watchers: tuple[object, ...] = (1,)


def queue_of(dues):
    queue = FamilyQueue()
    for due in dues:
        queue.push(Item(due))
    return queue


def pop_until(queue, now, step, until=1e9):
    """Pop all entries that may be polled until then; return when each was popped and was due."""
    popped = []
    while (next_due := queue.next_due()) is not None and next_due <= until:
        now = max(now, next_due)
        item = queue.pop(now, lambda *_: step)
        popped.append((now, item.due))
    return popped


def test_most_overdue_pops_first():
    """Without a backlog all that is due may be polled at once, in its order."""
    popped = pop_until(queue_of([3.0, 1.0, 2.0]), 10.0, 30.0)
    assert [(10.0, 1.0), (10.0, 2.0), (10.0, 3.0)] == popped


def test_backlog_is_spread_over_one_step():
    """The most overdue come first with equal gaps, the last one a step after the first."""
    queue = queue_of(float(n % 97) for n in range(3000))
    queue.spread_backlog(100.0)
    popped = pop_until(queue, 100.0, 30.0)
    assert sorted(due for _, due in popped) == [due for _, due in popped]
    assert 130.0 == pytest.approx(popped[-1][0], abs=0.1)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(popped)]
    assert 30.0 / 3000 == pytest.approx(max(gaps)) == pytest.approx(min(gaps))


def test_small_backlog_has_short_gaps():
    """Ten polls a second are no burst, however long the step is."""
    queue = queue_of([1.0, 2.0, 3.0])
    queue.spread_backlog(100.0)
    assert [100.0, 100.1, 100.2] == pytest.approx(
        [next_due for next_due, _ in pop_until(queue, 100.0, 300.0)]
    )


def test_new_entry_does_not_wait_for_backlog():
    """A new ticket is polled at once."""
    queue = queue_of([1.0] * 1000)
    queue.spread_backlog(100.0)
    queue.push(Item(105.0))
    popped = pop_until(queue, 100.0, 300.0)
    assert (105.0, 105.0) in [(round(now, 6), due) for now, due in popped]


def test_entries_due_during_backlog_make_no_burst():
    """Half of them are late and half are not yet due: all share the step, in their order."""
    queue = queue_of(float(n) for n in range(1000))
    queue.spread_backlog(500.0)
    popped = pop_until(queue, 500.0, 1000.0)
    assert sorted(due for _, due in popped) == [due for _, due in popped]
    assert all(now >= due for now, due in popped)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(popped)]
    assert min(gaps) > 0.09
    assert popped[-1][0] <= 1000.0


def test_second_backlog_makes_no_burst():
    """Entries of the old backlog and newly late ones share a step again."""
    queue = queue_of([1.0] * 500)
    queue.spread_backlog(100.0)
    pop_until(queue, 100.0, 30.0, until=115.0)
    for _ in range(250):
        queue.push(Item(130.0))
    for moment in (200.0, 200.1, 200.2):
        queue.spread_backlog(moment)
    queue.push(Item(201.0))
    popped = pop_until(queue, 200.2, 30.0)
    assert 501 == len(popped)
    assert (201.0, 201.0) in popped
    assert (
        max(sum(second <= now < second + 1 for now, _ in popped) for second in range(200, 231)) < 21
    )


def test_repeated_backlogs_leave_few_heaps():
    """A server that comes and goes does not slow the queue down."""
    queue = queue_of(float(n) for n in range(1000))
    for number in range(200):
        queue.spread_backlog(float(number))
        for _ in range(20):
            queue.push(Item(2000.0))
    assert len(queue._heaps) < 30
    assert 5000 == len(pop_until(queue, 3000.0, 30.0))


def test_stale_entries_are_dropped_a_few_a_call():
    """Each call drops a few stale entries, however many there are."""
    queue = FamilyQueue()
    items = [Item(float(n)) for n in range(20_000)]
    for item in items:
        queue.push(item)
    most = 0
    for item in items:
        before = len(queue)
        item.watchers = ()
        queue.mark_stale()
        most = max(most, before - len(queue))
    assert 0 < most <= 8
    assert len(queue) < 200
    assert queue.next_due() is None


def push_mostly_stale(queue, count):
    """Push entries that are due at once and make 60 % of them stale; return the others."""
    items = [Item(1.0) for _ in range(count)]
    for item in items:
        queue.push(item)
    stale, kept = items[: count // 5 * 3], items[count // 5 * 3 :]
    for item in stale:
        item.watchers = ()
        queue.mark_stale()
    return kept


def test_queue_drained_during_sweep_works_on():
    """Entries that leave or come after the queue was drained are handled as ever."""
    queue = FamilyQueue()
    kept = push_mostly_stale(queue, 400)
    assert set(map(id, kept)) == set(map(id, queue.drain()))
    queue.mark_stale()
    queue.push(Item(3.0))
    assert 3.0 == queue.next_due()
    assert [(5.0, 3.0)] == pop_until(queue, 5.0, 30.0)


@pytest.mark.parametrize("emptied", [False, True])
def test_sweep_after_backlog_makes_no_gaps(emptied):
    """Entries that a later sweep moves are polled when they are due."""
    queue, few = FamilyQueue(), [Item(1.0) for _ in range(150)]
    for item in few:
        queue.push(item)
    queue.spread_backlog(5.0)
    for item in few[:100]:
        item.watchers = ()
        queue.mark_stale()
    if emptied:
        queue.drain()
    kept = push_mostly_stale(queue, 5000)
    popped = pop_until(queue, 50.0, 30.0)
    assert len(kept) <= len(popped)
    assert 50.0 == popped[-1][0]


@given(st.lists(st.tuples(st.sampled_from("ppppfros"), st.floats(0, 50)), max_size=200))
def test_each_watched_entry_pops_once(actions):
    """No entry is lost or repeated, and the next is never more than a gap away."""
    queue, watched, now = FamilyQueue(), [], 0.0
    for action, value in actions:
        now += value / 10
        next_due = queue.next_due()
        assert (next_due is None) == (not watched)
        if next_due is not None:
            assert next_due <= max(now, min(item.due for item in watched)) + 0.1 + 1e-9
        match action:
            case "p":
                watched.append(item := Item(now + value - 25))
                queue.push(item)
            case "f" if watched:
                item = watched.pop(int(value) % len(watched))
                item.watchers = ()
                queue.mark_stale()
            case "r":
                queue.spread_backlog(now)
            case "o" if next_due is not None:
                now = max(now, next_due)
                item = queue.pop(now, lambda *_, step=value: step)
                assert item.due <= now
                watched.remove(item)
            case "s":
                now += 100.0
    assert set(map(id, watched)) == {id(item) for item in queue.drain() if item.watchers}
    assert queue.next_due() is None


@pytest.mark.parametrize(("stale", "is_swept"), [(100, False), (101, True)])
def test_queue_is_swept_once_most_entries_are_stale(stale, is_swept):
    """Up to a half, entries without watchers stay until they are due."""
    queue = queue_of([0.0])
    items = [Item(float(n)) for n in range(1, 200)]
    for item in items:
        queue.push(item)
    for item in items[-stale:]:
        item.watchers = ()
        queue.mark_stale()
    assert is_swept == (len(queue) < 200)


def test_few_stale_entries_are_never_swept():
    """Up to 64 of them cost less than a sweep."""
    queue = FamilyQueue()
    items = [Item(1.0) for _ in range(65)]
    for item in items:
        queue.push(item)
    for item in items[:64]:
        item.watchers = ()
        queue.mark_stale()
    assert 65 == len(queue)
    items[64].watchers = ()
    queue.mark_stale()
    assert 65 > len(queue)


def test_stale_entries_do_not_count_in_the_gaps_of_a_backlog():
    """A backlog of which half is stale is spread over one step all the same."""
    queue = FamilyQueue()
    items = [Item(1.0) for _ in range(400)]
    for item in items:
        queue.push(item)
    for item in items[:200]:
        item.watchers = ()
        queue.mark_stale()
    queue.spread_backlog(10.0)
    popped = pop_until(queue, 10.0, 10.0)
    assert 200 == len(popped)
    assert 20.0 == pytest.approx(popped[-1][0], abs=0.06)


def test_entry_that_left_before_a_drain_does_not_count_as_stale():
    """`unmark_stale` takes back what `mark_stale` counted, so no sweep starts too early."""
    queue = FamilyQueue()
    drained = [Item(1.0) for _ in range(70)]
    for item in drained:
        queue.push(item)
    queue.drain()
    for item in drained:
        item.watchers = ()
        queue.mark_stale()
        queue.unmark_stale()
    items = [Item(float(n)) for n in range(130)]
    for item in items:
        queue.push(item)
    for item in items[:65]:
        item.watchers = ()
        queue.mark_stale()
    assert 130 == len(queue)


def test_backlog_and_new_entries_count():
    """The length is that of all entries, whether or not there was a pause."""
    queue = queue_of([1.0, 2.0, 3.0])
    assert 3 == len(queue)
    queue.spread_backlog(5.0)
    queue.push(Item(9.0))
    assert 4 == len(queue)
    queue.spread_backlog(9.0)
    queue.push(Item(9.0))
    assert 5 == len(queue)
