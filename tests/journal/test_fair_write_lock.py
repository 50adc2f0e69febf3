"""Each of many writers of one file gets the write lock."""

import asyncio
import time
from contextlib import AsyncExitStack

from modelslab_async.journal import Journal


async def test_busy_writer_does_not_starve_another(path):
    """The other waits for a few of its commits, not for all of them."""
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
        commits_meanwhile = commits
        for task in writing:
            task.cancel()
        await asyncio.wait(writing)
    assert commits_meanwhile < 400
