"""One timer for all exchanges, and each is cut off in its own time and for that reason alone."""

import asyncio
import socket
import time

import pytest

from modelslab_async._transport.deadlines import Deadlines


def test_each_has_its_own_time(virtually):
    """Whenever it begins, an exchange may take so many seconds and no more."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def one(start, takes):
            await asyncio.sleep(start)
            try:
                await deadlines.wait_for(asyncio.sleep(takes))
            except TimeoutError:
                assert 0 == asyncio.current_task().cancelling()
                return "cut", loop.time()
            return "done", loop.time()

        ends = await asyncio.gather(one(0, 99), one(1, 2), one(4, 99), one(5, 9.5), one(20, 99))
        assert [("cut", 10), ("done", 3), ("cut", 14), ("done", 14.5), ("cut", 30)] == ends

    virtually(main)


def test_a_cancellation_stays_one(virtually):
    """Who is cancelled hears that, even where the time is up at the same moment."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)
        first = asyncio.create_task(deadlines.wait_for(asyncio.sleep(99)))
        second = asyncio.create_task(deadlines.wait_for(asyncio.sleep(99)))
        loop.call_at(5.0, first.cancel)
        loop.call_at(10.0, second.cancel)
        for task in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await task
            assert 1 == task.cancelling()
        assert 10.0 == loop.time()

    virtually(main)


def test_a_slow_end_is_cut_once(virtually):
    """An exchange that needs long to clean up is cancelled once, and its own end counts."""

    async def main():
        deadlines = Deadlines(10.0)

        async def stubborn():
            try:
                await asyncio.sleep(99)
            except asyncio.CancelledError:
                await asyncio.sleep(50)
            return "after all"

        other = asyncio.create_task(deadlines.wait_for(asyncio.sleep(5)))
        assert "after all" == await deadlines.wait_for(stubborn())
        assert 0 == asyncio.current_task().cancelling()
        assert 60.0 == asyncio.get_running_loop().time()
        await other

    virtually(main)


@pytest.mark.parametrize("seconds", [0.15, 0.8])
async def test_an_answer_that_came_while_the_process_stood_still_is_read(seconds):
    """What lies in the socket when the process goes on is an answer, however late it is read."""
    deadlines = Deadlines(0.1)
    ours, theirs = socket.socketpair()
    ours.settimeout(0.0)
    with ours, theirs:
        answer = asyncio.create_task(
            deadlines.wait_for(asyncio.get_running_loop().sock_recv(ours, 10))
        )
        await asyncio.sleep(0)
        theirs.send(b"answer")
        time.sleep(seconds)  # noqa: ASYNC251 -- the process is to stand still.
        assert b"answer" == await answer


def test_what_is_still_not_answered_after_a_standstill_is_cut(virtually):
    """An exchange that began before a standstill has a second more; one begun after it has all."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def one():
            with pytest.raises(TimeoutError):
                await deadlines.wait_for(asyncio.sleep(1e6))
            return loop.time()

        async def sleep():
            await asyncio.sleep(5.0)
            loop.now += 3600.0
            await asyncio.sleep(0)
            return await one()

        assert [3606.0, 3615.0] == await asyncio.gather(one(), sleep())

    virtually(main)


def test_what_others_take_is_not_counted(virtually):
    """An exchange gets on while callbacks of somebody take long: it is not cut off for that."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def six_turns():
            for _ in range(6):
                await asyncio.sleep(0)
                loop.now += 5.0
            return "done"

        assert "done" == await deadlines.wait_for(six_turns())

    virtually(main)


@pytest.mark.parametrize("seconds", [0.8, 1.6, 5.0])
def test_a_loop_that_is_always_late_cuts_all_the_same(virtually, seconds):
    """Where each turn of the loop takes long, an exchange has some turns more, and an end."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def hold_up():
            while loop.now < 600.0:
                loop.now += seconds
                await asyncio.sleep(0)

        holding = asyncio.create_task(hold_up())
        with pytest.raises(TimeoutError):
            await deadlines.wait_for(asyncio.sleep(1e6))
        assert loop.time() <= 10.0 + 12 * (1.0 + 2 * seconds)
        await holding

    virtually(main)


def test_one_timer_for_all(virtually):
    """A thousand exchanges set the timer once."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)
        for _ in range(1000):
            await deadlines.wait_for(asyncio.sleep(0))
        assert 1 == len(loop._scheduled)
        deadlines.close()
        assert loop._scheduled[0].cancelled()

    virtually(main)
