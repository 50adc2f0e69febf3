"""The queue of one family: order, backlogs, and stale entries dropped in small pieces."""

from itertools import pairwise

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._scheduling.ready_queue import ReadyQueue


@define(eq=False)
class One:
    """Somebody in line."""

    due: float
    watchers: tuple[object, ...] = (1,)


def lined_up(dues):
    line = ReadyQueue()
    for due in dues:
        line.push(One(due))
    return line


def let_out(line, now, step, until=1e9):
    """Let out all that may go until then; give when each went, and when it was due."""
    went = []
    while (next_due := line.next_due()) is not None and next_due <= until:
        now = max(now, next_due)
        one = line.pop(now, lambda *_: step)
        went.append((now, one.due))
    return went


def test_most_overdue_pops_first():
    """Without a backlog all that is due may be polled at once, in its order."""
    went = let_out(lined_up([3.0, 1.0, 2.0]), 10.0, 30.0)
    assert [(10.0, 1.0), (10.0, 2.0), (10.0, 3.0)] == went


def test_backlog_is_spread_over_one_step():
    """The most overdue come first with equal gaps, the last one a step after the first."""
    line = lined_up(float(n % 97) for n in range(3000))
    line.spread_backlog(100.0)
    went = let_out(line, 100.0, 30.0)
    assert sorted(due for _, due in went) == [due for _, due in went]
    assert 130.0 == pytest.approx(went[-1][0], abs=0.1)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(went)]
    assert 30.0 / 3000 == pytest.approx(max(gaps)) == pytest.approx(min(gaps))


def test_small_backlog_has_short_gaps():
    """Ten polls a second are no burst, however long the step is."""
    line = lined_up([1.0, 2.0, 3.0])
    line.spread_backlog(100.0)
    assert [100.0, 100.1, 100.2] == pytest.approx(
        [next_due for next_due, _ in let_out(line, 100.0, 300.0)]
    )


def test_new_entry_does_not_wait_for_backlog():
    """A new ticket is polled at once."""
    line = lined_up([1.0] * 1000)
    line.spread_backlog(100.0)
    line.push(One(105.0))
    went = let_out(line, 100.0, 300.0)
    assert (105.0, 105.0) in [(round(now, 6), due) for now, due in went]


def test_entries_due_during_backlog_make_no_burst():
    """Half of them are late and half are not yet due: all share the step, in their order."""
    line = lined_up(float(n) for n in range(1000))
    line.spread_backlog(500.0)
    went = let_out(line, 500.0, 1000.0)
    assert sorted(due for _, due in went) == [due for _, due in went]
    assert all(now >= due for now, due in went)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(went)]
    assert min(gaps) > 0.09
    assert went[-1][0] <= 1000.0


def test_second_backlog_makes_no_burst():
    """Entries of the old backlog and newly late ones share one step again."""
    line = lined_up([1.0] * 500)
    line.spread_backlog(100.0)
    let_out(line, 100.0, 30.0, until=115.0)
    for _ in range(250):
        line.push(One(130.0))
    for moment in (200.0, 200.1, 200.2):
        line.spread_backlog(moment)
    line.push(One(201.0))
    went = let_out(line, 200.2, 30.0)
    assert 501 == len(went)
    assert (201.0, 201.0) in went
    assert (
        max(sum(second <= now < second + 1 for now, _ in went) for second in range(200, 231)) < 21
    )


def test_repeated_backlogs_leave_few_heaps():
    """A server that comes and goes does not slow the queue down."""
    line = lined_up(float(n) for n in range(1000))
    for number in range(200):
        line.spread_backlog(float(number))
        for _ in range(20):
            line.push(One(2000.0))
    assert len(line._heaps) < 30
    assert 5000 == len(let_out(line, 3000.0, 30.0))


def test_stale_entries_are_dropped_a_few_a_call():
    """One call drops a few stale entries, however many there are."""
    line = ReadyQueue()
    ones = [One(float(n)) for n in range(20_000)]
    for one in ones:
        line.push(one)
    most = 0
    for one in ones:
        before = len(line)
        one.watchers = ()
        line.mark_stale()
        most = max(most, before - len(line))
    assert 0 < most <= 8
    assert len(line) < 200
    assert line.next_due() is None


def half_forgotten(line, count):
    """Line up so many that are due at once, and forget most of them; give the others."""
    ones = [One(1.0) for _ in range(count)]
    for one in ones:
        line.push(one)
    gone, kept = ones[: count // 5 * 3], ones[count // 5 * 3 :]
    for one in gone:
        one.watchers = ()
        line.mark_stale()
    return kept


def test_queue_drained_during_sweep_works_on():
    """Entries that leave or come after the queue was drained are handled as ever."""
    line = ReadyQueue()
    kept = half_forgotten(line, 400)
    assert set(map(id, kept)) == set(map(id, line.drain()))
    line.mark_stale()
    line.push(One(3.0))
    assert 3.0 == line.next_due()
    assert [(5.0, 3.0)] == let_out(line, 5.0, 30.0)


@pytest.mark.parametrize("emptied", [False, True])
def test_sweep_after_backlog_makes_no_gaps(emptied):
    """Entries that a later sweep moves are polled when they are due."""
    line, few = ReadyQueue(), [One(1.0) for _ in range(150)]
    for one in few:
        line.push(one)
    line.spread_backlog(5.0)
    for one in few[:100]:
        one.watchers = ()
        line.mark_stale()
    if emptied:
        line.drain()
    kept = half_forgotten(line, 5000)
    went = let_out(line, 50.0, 30.0)
    assert len(kept) <= len(went)
    assert 50.0 == went[-1][0]


@given(st.lists(st.tuples(st.sampled_from("ppppfros"), st.floats(0, 50)), max_size=200))
def test_each_watched_entry_pops_once(deeds):
    """No entry is lost or repeated, and the next is never more than a gap away."""
    line, wanted, now = ReadyQueue(), [], 0.0
    for deed, value in deeds:
        now += value / 10
        next_due = line.next_due()
        assert (next_due is None) == (not wanted)
        if next_due is not None:
            assert next_due <= max(now, min(one.due for one in wanted)) + 0.1 + 1e-9
        match deed:
            case "p":
                wanted.append(one := One(now + value - 25))
                line.push(one)
            case "f" if wanted:
                one = wanted.pop(int(value) % len(wanted))
                one.watchers = ()
                line.mark_stale()
            case "r":
                line.spread_backlog(now)
            case "o" if next_due is not None:
                now = max(now, next_due)
                one = line.pop(now, lambda *_, step=value: step)
                assert one.due <= now
                wanted.remove(one)
            case "s":
                now += 100.0
    assert set(map(id, wanted)) == {id(one) for one in line.drain() if one.watchers}
    assert line.next_due() is None
