"""How waits outcome when the client is closed or its poller is cancelled."""

import asyncio

import pytest

from modelslab_async import (
    ClientClosed,
)


def test_close_ends_every_wait(virtually, world):
    """Open waits outcome with `ClientClosed`, and later calls raise it."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=100.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(5.0)
            await here.client.aclose()
            await here.client.aclose()
            with pytest.raises(ClientClosed):
                await waiting
            with pytest.raises(ClientClosed, match="make a new one"):
                await here.client.wait("images:1")
            with pytest.raises(ClientClosed):
                await here.client.fetch("images:1")

    virtually(main)


@pytest.mark.parametrize("victim", ["modelslab_async poller", "Poller._run_worker"])
def test_cancelled_poller_ends_all_waits(virtually, world, victim):
    """Code that cancels all tasks of the loop ends present waits and later ones."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=1000.0)
            waiting = asyncio.create_task(here.client.wait("images:1"))
            await asyncio.sleep(5.0)
            for task in asyncio.all_tasks():
                if victim in task.get_name():
                    task.cancel()
            with pytest.raises((ClientClosed, RuntimeError)):
                await waiting
            with pytest.raises((ClientClosed, RuntimeError)):
                await here.client.wait("images:2")

    virtually(main)


def test_cancelled_close_goes_on(virtually, world):
    """A cancelled `aclose` goes on, and the next `aclose` waits for its outcome."""

    async def main():
        async with world() as here:
            waits = [asyncio.create_task(here.client.wait(("images", n))) for n in range(2000)]
            await asyncio.sleep(0.0)
            await asyncio.sleep(0.0)
            closing = asyncio.create_task(here.client.aclose())
            await asyncio.sleep(0.0)
            closing.cancel()
            await here.client.aclose()
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
            assert {ClientClosed} == {type(outcome) for outcome in outcomes}

    virtually(main)
