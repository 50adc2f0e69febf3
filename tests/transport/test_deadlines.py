"""One timer serves all exchanges, and each is cut off at its own deadline only."""

import asyncio
import socket
import time
from contextlib import suppress

import pytest

from modelslab_async._transport.deadlines import DeadlinePassed, Deadlines


def test_each_exchange_has_its_own_deadline(virtually):
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


def test_old_exchanges_are_given_up_before_their_deadline(virtually):
    """Younger ones go on, and an exchange is given up once. The error tells how long it took."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def one(start):
            await asyncio.sleep(start)
            try:
                await deadlines.wait_for(asyncio.sleep(99))
            except DeadlinePassed as late:
                assert 0 == asyncio.current_task().cancelling()
                return late.seconds, loop.time()

        def give_up():
            deadlines.give_up(loop.time(), 5.0)
            deadlines.give_up(loop.time(), 4.5)

        loop.call_at(6.0, give_up)
        ends = await asyncio.gather(one(0), one(1), one(2))
        assert [(5.0, 6.0), (5.0, 6.0), (10.0, 12.0)] == ends

    virtually(main)


def test_close_cuts_all_exchanges_in_flight(virtually):
    """Each ends at once, and its error tells how long it took. No timer is left."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def one(start):
            await asyncio.sleep(start)
            with pytest.raises(DeadlinePassed) as caught:
                await deadlines.wait_for(asyncio.sleep(99))
            assert 0 == asyncio.current_task().cancelling()
            return caught.value.seconds, loop.time()

        loop.call_at(5.0, deadlines.close)
        assert [(5.0, 5.0), (3.0, 5.0)] == await asyncio.gather(one(0), one(2))
        assert all(timer.cancelled() for timer in loop._scheduled)

    virtually(main)


def test_cancellation_at_the_deadline_stays_a_cancellation(virtually):
    """A cancelled task gets its CancelledError, even if the deadline passes at the same moment."""

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


def test_slow_cleanup_is_cancelled_once(virtually):
    """An exchange that cleans up slowly is cancelled once, and its own result counts."""

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


def test_lost_cancellation_is_repeated(virtually):
    """An exchange whose transport goes on all the same ends a minute after its deadline."""

    async def main():
        deadlines = Deadlines(10.0)

        async def deaf():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(99)
            await asyncio.Event().wait()

        with pytest.raises(DeadlinePassed) as late:
            await deadlines.wait_for(deaf())
        assert 10.0 == late.value.seconds
        assert 70.0 == asyncio.get_running_loop().time()
        assert 0 == asyncio.current_task().cancelling()

    virtually(main)


@pytest.mark.parametrize("seconds", [0.15, 0.8])
async def test_response_received_while_the_loop_was_blocked_is_read(seconds):
    """A response that lies in the socket when the loop continues is read, however late."""
    deadlines = Deadlines(0.1)
    ours, theirs = socket.socketpair()
    ours.settimeout(0.0)
    with ours, theirs:
        answer = asyncio.create_task(
            deadlines.wait_for(asyncio.get_running_loop().sock_recv(ours, 10))
        )
        await asyncio.sleep(0)
        theirs.send(b"answer")
        time.sleep(seconds)  # noqa: ASYNC251 -- the process must stand still.
        assert b"answer" == await answer


def test_exchange_without_response_after_a_standstill_is_cut(virtually):
    """An exchange from before the standstill has half a second; a new one has its full time."""

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

        assert [3605.5, 3615.0] == await asyncio.gather(one(), sleep())

    virtually(main)


def test_exchange_that_makes_progress_on_a_blocked_loop_is_not_cut(virtually):
    """Callbacks that block the loop do not cut off an exchange that advances in each iteration."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def six_turns():
            for _ in range(6):
                await asyncio.sleep(0)
                loop.now += 5.0
            return "done"

        assert "done" == await deadlines.wait_for(six_turns())

    virtually(main)


@pytest.mark.parametrize("timeout", [0.5, 10.0])
@pytest.mark.parametrize("iteration_s", [0.15, 0.3, 0.8, 1.6, 5.0])
def test_always_late_loop_moves_a_deadline_by_a_second_at_most(virtually, timeout, iteration_s):
    """Beside the grace period, a deadline needs at most four iterations, or six long ones."""
    iterations = 4 if iteration_s < 0.5 else 6

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(timeout)

        async def block_loop():
            while loop.now < 600.0:
                loop.now += iteration_s
                await asyncio.sleep(0)

        blocking = asyncio.create_task(block_loop())
        with pytest.raises(TimeoutError):
            await deadlines.wait_for(asyncio.sleep(1e6))
        assert loop.time() <= timeout + min(timeout, 1.0) + iterations * iteration_s + 1e-6
        await blocking

    virtually(main)


def test_grace_is_granted_once_to_each_exchange(virtually):
    """Exchanges that begin one after the other on a late loop all end in their own time."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(0.5)

        async def exchange(number):
            await asyncio.sleep(number * 0.1)
            started_at = loop.time()
            with pytest.raises(TimeoutError):
                await deadlines.wait_for(asyncio.sleep(1e6))
            return loop.time() - started_at

        async def block_loop():
            while loop.now < 60.0:
                loop.now += 0.15
                await asyncio.sleep(0)

        blocking = asyncio.create_task(block_loop())
        assert max(await asyncio.gather(*map(exchange, range(100)))) <= 1.0 + 4 * 0.15 + 1e-6
        await blocking

    virtually(main)


def test_one_timer_serves_all_exchanges(virtually):
    """A thousand exchanges set the timer once."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)
        for _ in range(1000):
            await deadlines.wait_for(asyncio.sleep(0))
        assert 1 == len(loop._scheduled)
        deadlines.close()
        assert loop._scheduled[0].cancelled()

    virtually(main)
