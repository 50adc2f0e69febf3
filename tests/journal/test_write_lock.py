"""Many writers of one file: each gets its turn."""

import asyncio
import time
from contextlib import AsyncExitStack

from modelslab_async.journal import Journal


async def test_one_that_writes_without_a_break_starves_nobody(path):
    """Others wait for a few of its commits, and not until it has nothing left to write."""
    async with AsyncExitStack() as stack:
        busy, other = [await stack.enter_async_context(Journal.open(path)) for _ in range(2)]
        commits = 0

        async def write():
            nonlocal commits
            while True:
                await busy._store.write(lambda _: time.sleep(0.002))
                commits += 1

        # With two of them something to write is always waiting.
        writing = [asyncio.create_task(write()) for _ in range(2)]
        for number in range(20):
            await other.add([f"images:{number}"])
        seen = commits
        for task in writing:
            task.cancel()
        await asyncio.wait(writing)
    assert seen < 400
