"""The line: who goes next, how those that are late go out, and that it forgets in small pieces."""

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


def test_the_most_overdue_goes_first():
    """Without a standstill all that is due may go at once, in its order."""
    went = let_out(lined_up([3.0, 1.0, 2.0]), 10.0, 30.0)
    assert [(10.0, 1.0), (10.0, 2.0), (10.0, 3.0)] == went


def test_after_a_standstill_the_late_ones_share_one_step():
    """They go out evenly, most overdue first, the last one a step after the first."""
    line = lined_up(float(n % 97) for n in range(3000))
    line.spread_backlog(100.0)
    went = let_out(line, 100.0, 30.0)
    assert sorted(due for _, due in went) == [due for _, due in went]
    assert 130.0 == pytest.approx(went[-1][0], abs=0.1)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(went)]
    assert 30.0 / 3000 == pytest.approx(max(gaps)) == pytest.approx(min(gaps))


def test_a_few_late_ones_need_not_wait_long():
    """Ten looks a second are no burst, however long the step is."""
    line = lined_up([1.0, 2.0, 3.0])
    line.spread_backlog(100.0)
    assert [100.0, 100.1, 100.2] == pytest.approx(
        [next_due for next_due, _ in let_out(line, 100.0, 300.0)]
    )


def test_what_is_pushed_after_a_standstill_waits_for_nobody():
    """A new ticket is looked at at once."""
    line = lined_up([1.0] * 1000)
    line.spread_backlog(100.0)
    line.push(One(105.0))
    went = let_out(line, 100.0, 300.0)
    assert (105.0, 105.0) in [(round(now, 6), due) for now, due in went]


def test_what_falls_due_while_the_late_ones_go_out_makes_no_burst():
    """Half of them are late and half of them not yet due: all share the step, in their order."""
    line = lined_up(float(n) for n in range(1000))
    line.spread_backlog(500.0)
    went = let_out(line, 500.0, 1000.0)
    assert sorted(due for _, due in went) == [due for _, due in went]
    assert all(now >= due for now, due in went)
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(went)]
    assert min(gaps) > 0.09
    assert went[-1][0] <= 1000.0


def test_a_second_standstill_makes_no_burst_either():
    """Those that are late already, and those that are late now, share one step again."""
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


def test_standstills_without_an_end_leave_few_queues():
    """A server that comes and goes costs no more time with each of its returns."""
    line = lined_up(float(n) for n in range(1000))
    for number in range(200):
        line.spread_backlog(float(number))
        for _ in range(20):
            line.push(One(2000.0))
    assert len(line._heaps) < 30
    assert 5000 == len(let_out(line, 3000.0, 30.0))


def test_forgetting_is_done_in_small_pieces():
    """However many nobody wants any more, one call clears away a few of them."""
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


def test_a_line_that_is_emptied_while_it_is_cleared_goes_on():
    """Who leaves and who comes after all was taken out finds a line as good as new."""
    line = ReadyQueue()
    kept = half_forgotten(line, 400)
    assert set(map(id, kept)) == set(map(id, line.drain()))
    line.mark_stale()
    line.push(One(3.0))
    assert 3.0 == line.next_due()
    assert [(5.0, 3.0)] == let_out(line, 5.0, 30.0)


@pytest.mark.parametrize("emptied", [False, True])
def test_once_a_standstill_is_made_up_for_clearing_makes_no_gaps(emptied):
    """However few stood still then, those that are cleared of others now go when they are due."""
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
def test_whatever_happens_everybody_wanted_goes_once(deeds):
    """Nobody is lost or comes twice, and a turn is never more than a little way off."""
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
