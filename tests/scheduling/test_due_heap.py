"""The queue: who is due first goes first, in the order of coming; a crowd shares its moments."""

import math
import time

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._scheduling.due_heap import DueHeap


@define(eq=False)
class One:
    """Somebody in line."""

    name: int
    due: float = -1.0
    watchers: tuple[object, ...] = (1,)


def emptied(queue):
    return [queue.pop() for _ in range(len(queue))]


@given(st.lists(st.sampled_from([0.0, 1.5, 2.0, 2.25, 7.0]), max_size=60))
def test_who_is_due_together_goes_in_the_order_of_coming(dues):
    """The one that is due first goes first; of those that are due at once, the first that came."""
    queue = DueHeap()
    for name, due in enumerate(dues):
        queue.push(due, One(name))
    wanted = sorted(range(len(dues)), key=lambda name: (dues[name], name))
    assert queue.next_due() == min(dues, default=None)
    assert wanted == [one.name for one in emptied(queue)]
    assert queue.next_due() is None


def test_who_comes_while_the_others_go_waits_for_them():
    """Whoever is due at the moment that is being let out goes last of those."""
    queue = DueHeap()
    for name in range(4):
        queue.push(1.0, One(name))
    assert 0 == queue.pop().name
    queue.push(1.0, One(4))
    assert [1, 2, 3, 4] == [one.name for one in emptied(queue)]


def test_who_comes_and_goes_first_changes_nothing_for_the_others():
    """Those that were about to go keep their order while somebody who is due sooner goes."""
    queue = DueHeap()
    for name in range(3):
        queue.push(10.0, One(name))
    assert 10.0 == queue.peek().due
    queue.push(5.0, One(3))
    assert [3, 0, 1, 2] == [one.name for one in emptied(queue)]


@given(st.data())
def test_nobody_is_lost_and_nobody_comes_twice(data):
    """Whoever is let go, from whichever end, was there and is not any more."""
    queue, there = DueHeap(), []
    for name in range(data.draw(st.integers(0, 80))):
        deed = data.draw(st.sampled_from(["push", "push", "push", "pop", "some", "first"]))
        if deed == "push":
            one = One(name)
            queue.push(float(data.draw(st.integers(0, 9))), one)
            there.append(one)
        elif there and deed == "first":
            assert queue.peek().due == queue.next_due() == min(one.due for one in there)
        elif there:
            one = queue.pop() if deed == "pop" else queue.pop_any()
            assert deed == "some" or one.due == min(one.due for one in there)
            there.remove(one)
        assert len(queue) == len(there)
    assert set(map(id, there)) == set(map(id, queue.drain()))
    assert 0 == len(queue)
    assert queue.next_due() is None


def test_few_are_due_on_the_dot():
    """Nobody is put off to share a moment while there is room for all."""
    queue, dues = DueHeap(), [number / 1000 for number in range(1000)]
    for due in dues:
        queue.push(due, One(0))
    assert dues == [one.due for one in emptied(queue)]


def test_a_crowd_shares_its_moments():
    """Of many, each is due a hundredth of a second later at most, never sooner; they share it."""
    queue, dues = DueHeap(), {name: name * 10.0 / 50_000 for name in range(50_000)}
    ones = [One(name) for name in dues]
    for one in ones:
        queue.push(dues[one.name], one)
    assert 0.0 <= min(one.due - dues[one.name] for one in ones)
    assert 0.01 > max(one.due - dues[one.name] for one in ones)
    assert len({id(one.due) for one in ones[10_000:]}) == pytest.approx(8 * 128, rel=0.01)
    gone = [one.due for one in emptied(queue)]
    assert sorted(gone) == gone


def test_many_who_come_at_the_moment_that_goes_cost_no_more_each():
    """While the clock stands still, to line up for now is as quick as to line up for later."""

    def took(due):
        queue, ones = DueHeap(), [One(name) for name in range(100_000)]
        queue.push(1.0, One(0))
        assert 1.0 == queue.peek().due
        began = time.perf_counter()
        for one in ones:
            queue.push(due, one)
        return time.perf_counter() - began

    now, later = (min(took(due) for _ in range(3)) for due in (1.0, 2.0))
    assert now < 6 * later


def test_a_crowd_may_be_due_at_no_time_at_all():
    """Tickets of a pace that never looks by itself are lined up like others, however many."""
    queue = DueHeap()
    for name in range(10_000):
        queue.push(math.inf, One(name))
    assert 10_000 == len(queue)
    assert math.inf == queue.next_due()
