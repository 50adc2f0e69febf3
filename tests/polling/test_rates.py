"""The limit on polls a second, and how tickets share it."""

import asyncio
import math

import pytest

from modelslab_async import (
    Pace,
    Success,
)


@pytest.mark.parametrize("rate", [0.5, 1.5, 3.0, 10.9, 40.0])
def test_rate_bounds_polls_in_every_second(virtually, world, rate):
    """No second has more polls than the rate, they are evenly spaced, and none is lost."""

    async def main():
        async with world(rate=rate, latency=0.01) as here:
            families = ["images", "video", "legacy_v3"]
            tickets = here.emulator.add_jobs(int(20 * rate), families)
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            moments = here.wire.moments
            most = math.ceil(rate)
            span = most / rate
            for number, moment in enumerate(moments):
                later = moments[number:]
                assert most >= sum(each < moment + span - 1e-6 for each in later)
            assert (len(moments) - 1) / rate == pytest.approx(moments[-1], rel=0.2)

    virtually(main)


@pytest.mark.parametrize("rate", [2**63, 1e300])
def test_huge_rate_polls_without_a_limit(virtually, world, rate):
    """A program may give a huge rate to mean that there is no limit."""

    async def main():
        async with world(rate=rate) as here:
            tickets = [here.emulator.add_job(("images", n), duration=0) for n in range(100)]
            outcomes = await here.client.gather(tickets)
            assert [Success] * 100 == [type(outcome) for outcome in outcomes]

    virtually(main)


def test_rate_starves_no_ticket(virtually, world):
    """With more due than the rate allows, each ticket is polled before any three times."""

    async def main():
        async with world(rate=10.0) as here:
            tickets = [here.emulator.add_job(("images", n), duration=1e6) for n in range(100)]
            await here.client.gather(tickets, timeout=15.0)
            assert {1, 2} == set(here.emulator.polls.values())

    virtually(main)


@pytest.mark.parametrize("rate", [20.0, None])
def test_families_share_the_rate(virtually, world, rate):
    """One ticket of a family does not wait for a thousand of another, on any host."""

    async def main():
        async with world(rate=rate, workers=2, latency=0.1, pace=Pace.fixed(1.0)) as here:
            many = [here.emulator.add_job(("images", n), duration=1e6) for n in range(1000)]
            waiting = asyncio.create_task(here.client.gather(many))
            await asyncio.sleep(20.0)
            for family in ("video", "legacy_v3"):
                here.emulator.add_job((family, 1), duration=0.0)
                started = asyncio.get_running_loop().time()
                await here.client.wait((family, 1))
                assert asyncio.get_running_loop().time() <= started + 1.0
            seen = here.emulator.polls.total()
            await asyncio.sleep(10.0)
            assert here.emulator.polls.total() >= seen + 150
            waiting.cancel()

    virtually(main)


def test_rate_holds_after_long_sleep(virtually, world):
    """After a machine has slept for an hour, no burst of polls makes up for it."""

    async def main():
        async with world(rate=10.0, workers=5) as here:
            tickets = [here.emulator.add_job(("images", n), duration=3000.0) for n in range(200)]
            loop = asyncio.get_running_loop()
            waiting = asyncio.create_task(here.client.gather(tickets))
            await asyncio.sleep(100.0)
            loop.now += 3600.0
            woke = loop.time()
            outcomes = await waiting
            assert all(isinstance(each, Success) for each in outcomes)
            first = [moment for moment in here.wire.moments if woke <= moment < woke + 1.0]
            assert 1 <= len(first) <= 10

    virtually(main)
