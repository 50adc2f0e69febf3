"""One timer for all exchanges, and each is cut off in its own time and for that reason alone."""

import asyncio

import pytest

from modelslab_async._transport.deadlines import Deadlines


def test_each_has_its_own_time(virtually):
    """Whenever it begins, an exchange may take so many seconds and no more."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)

        async def one(start, takes):
            await asyncio.sleep(start)
            try:
                await deadlines.within(asyncio.sleep(takes))
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
        first = asyncio.create_task(deadlines.within(asyncio.sleep(99)))
        second = asyncio.create_task(deadlines.within(asyncio.sleep(99)))
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

        other = asyncio.create_task(deadlines.within(asyncio.sleep(5)))
        assert "after all" == await deadlines.within(stubborn())
        assert 0 == asyncio.current_task().cancelling()
        assert 60.0 == asyncio.get_running_loop().time()
        await other

    virtually(main)


def test_one_timer_for_all(virtually):
    """A thousand exchanges set the timer once."""

    async def main():
        loop, deadlines = asyncio.get_running_loop(), Deadlines(10.0)
        for _ in range(1000):
            await deadlines.within(asyncio.sleep(0))
        assert 1 == len(loop._scheduled)
        deadlines.close()
        assert loop._scheduled[0].cancelled()

    virtually(main)
