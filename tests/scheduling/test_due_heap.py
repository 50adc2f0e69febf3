"""The heap pops by due time and arrival; a long queue shares due times."""

import math
import time

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from modelslab_async._scheduling.family_queue import DueHeap


@define(eq=False)
class Item:
    """A queued entry with a watcher."""

    name: int
    due: float = -1.0
    watchers: tuple[object, ...] = (1,)


def pop_all(queue):
    return [queue.pop() for _ in range(len(queue))]


@given(st.lists(st.sampled_from([0.0, 1.5, 2.0, 2.25, 7.0]), max_size=60))
def test_entries_pop_by_due_time_then_arrival(dues):
    """The earliest due entry comes first; of equal ones the first that was pushed."""
    queue = DueHeap()
    for name, due in enumerate(dues):
        queue.push(due, Item(name))
    expected = sorted(range(len(dues)), key=lambda name: (dues[name], name))
    assert queue.next_due == min(dues, default=None)
    assert expected == [item.name for item in pop_all(queue)]
    assert queue.next_due is None


def test_push_at_current_due_time_pops_last():
    """An entry pushed at the due time that is being popped comes after the others of that time."""
    queue = DueHeap()
    for name in range(4):
        queue.push(1.0, Item(name))
    assert 0 == queue.pop().name
    queue.push(1.0, Item(4))
    assert [1, 2, 3, 4] == [item.name for item in pop_all(queue)]


def test_earlier_push_keeps_order_of_others():
    """An entry that is due sooner comes first, and the others keep their order."""
    queue = DueHeap()
    for name in range(3):
        queue.push(10.0, Item(name))
    assert 10.0 == queue.peek().due
    queue.push(5.0, Item(3))
    assert [3, 0, 1, 2] == [item.name for item in pop_all(queue)]


@given(st.data())
def test_each_entry_pops_once(data):
    """Each popped entry was pushed and is not popped again, from either end."""
    queue, there = DueHeap(), []
    for name in range(data.draw(st.integers(0, 80))):
        action = data.draw(st.sampled_from(["push", "push", "push", "pop", "some", "first"]))
        if action == "push":
            item = Item(name)
            queue.push(float(data.draw(st.integers(0, 9))), item)
            there.append(item)
        elif there and action == "first":
            assert queue.peek().due == queue.next_due == min(item.due for item in there)
        elif there:
            item = queue.pop() if action == "pop" else queue.pop_any()
            assert action == "some" or item.due == min(item.due for item in there)
            there.remove(item)
        assert len(queue) == len(there)
    assert set(map(id, there)) == set(map(id, queue.drain()))
    assert 0 == len(queue)
    assert queue.next_due is None


def test_short_queue_keeps_exact_due_times():
    """Due times are not rounded in a short queue."""
    queue, dues = DueHeap(), [number / 1000 for number in range(1000)]
    for due in dues:
        queue.push(due, Item(0))
    assert dues == [item.due for item in pop_all(queue)]


def test_long_queue_rounds_due_times_up():
    """In a long queue due times move by less than 0.01 s, never down, and share objects."""
    queue, dues = DueHeap(), {name: name * 10.0 / 50_000 for name in range(50_000)}
    items = [Item(name) for name in dues]
    for item in items:
        queue.push(dues[item.name], item)
    assert 0.0 <= min(item.due - dues[item.name] for item in items)
    assert 0.01 > max(item.due - dues[item.name] for item in items)
    assert len({id(item.due) for item in items[10_000:]}) == pytest.approx(8 * 128, rel=0.01)
    popped = [item.due for item in pop_all(queue)]
    assert sorted(popped) == popped


def test_push_at_current_due_time_is_fast():
    """A push at the due time that is being popped is as fast as one for later."""

    def push_seconds(due):
        queue, items = DueHeap(), [Item(name) for name in range(100_000)]
        queue.push(1.0, Item(0))
        assert 1.0 == queue.peek().due
        started = time.process_time()
        for item in items:
            queue.push(due, item)
        return time.process_time() - started

    now, later = (min(push_seconds(due) for _ in range(3)) for due in (1.0, 2.0))
    assert now < 6 * later


def test_infinite_due_times_are_queued():
    """Tickets of a pace that never polls by itself are queued like others, however many."""
    queue = DueHeap()
    for name in range(10_000):
        queue.push(math.inf, Item(name))
    assert 10_000 == len(queue)
    assert math.inf == queue.next_due
