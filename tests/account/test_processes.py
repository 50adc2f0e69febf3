"""Processes that share an account: one is killed at any moment, and the limits hold."""

import asyncio
import multiprocessing
import random
import signal
import time

import pytest

from modelslab_async import Client
from modelslab_async.emulator import Emulator, Jobs, run_server

KEY = "a-test-key-1234"
QUEUE = 6
RATE = 100
# For a process on a busy machine.
MOST_SECONDS = 300.0


def work(url, open_account, name, count):
    """Generate some pictures, one after the other in three tasks."""

    async def main():
        account = open_account(rate=RATE, queue=QUEUE)
        async with Client(KEY, base_url=url, account=account) as client:
            numbers = iter(range(count))

            async def generate():
                for number in numbers:
                    await client.generate("realtime/text2img", prompt=f"{name}, {number}")

            await asyncio.gather(*(generate() for _ in range(3)))

    asyncio.run(main())


def start(*arguments):
    """Run a worker in a fork, which has everything imported."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


@pytest.mark.parametrize(
    ("kills", "workers", "count"),
    [(2, 3, 8), pytest.param(30, 4, 100, marks=pytest.mark.thorough)],
)
async def test_killed_processes_break_no_limit(store, kills, workers, count):
    """No submit draws a 429, the polls keep to the rate, and the last worker gets all it wants."""
    dice = random.Random(kills)
    emulator = Emulator(queue_limit=QUEUE, jobs=Jobs(duration=(0.1, 0.6)))
    team = []
    began = time.monotonic()
    try:
        async with run_server(emulator) as url:
            for number in range(kills + workers):
                team.append(start(url, store.opener(), f"worker {number}", count))
                if number >= workers:
                    submits = len(emulator.submits)
                    while len(emulator.submits) < submits + dice.randint(1, 8):  # noqa: ASYNC110 -- it is in another task.
                        await asyncio.sleep(0.01)
                    victim = team.pop(dice.randrange(len(team)))
                    victim.kill()
                    await asyncio.to_thread(victim.join)
                    assert victim.exitcode in (-signal.SIGKILL, 0)
            for process in team:
                await asyncio.to_thread(process.join, MOST_SECONDS)
                assert 0 == process.exitcode
    finally:
        for process in team:
            process.kill()
            process.join()
    assert [] == [submit for submit in emulator.submits if submit.ticket is None]
    assert emulator.polls.total() <= RATE * (time.monotonic() - began + 1.0)
    assert count <= len(emulator.submits)
