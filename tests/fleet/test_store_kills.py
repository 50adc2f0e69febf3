"""A database server that is killed again and again, while clients submit."""

import asyncio
import itertools
from collections import Counter

from postgres_server import PostgresServer

from modelslab_async import Client, PostgresAccount
from modelslab_async._account import postgres_connection
from modelslab_async.emulator import Emulator, Jobs, run_server

KEY = "a-test-key-1234"
QUEUE = 3
# Between two kills.
SUBMITS = 5


async def test_killed_server_repeats_no_submit(rounds, monkeypatch):
    """The clients go on each time, no submit is sent twice, and none draws a 429."""
    emulator = Emulator(queue_limit=QUEUE, jobs=Jobs(duration=(0.1, 0.3)))
    numbers, is_over = itertools.count(), asyncio.Event()

    async def generate(client):
        while not is_over.is_set():
            await client.generate("realtime/text2img", prompt=f"a fox, {next(numbers)}")

    with PostgresServer.running() as server:
        account = PostgresAccount(server.address, rate=200, queue=QUEUE)
        # As in production: a driver that misses the end of its connection tries again soon.
        monkeypatch.setattr(postgres_connection, "_STATEMENT_TIMEOUT_S", 10.0)
        async with (
            run_server(emulator) as url,
            Client(KEY, base_url=url, account=account) as one,
            Client(KEY, base_url=url, account=account) as other,
            asyncio.TaskGroup() as group,
        ):
            for client in (one, other) * QUEUE:
                group.create_task(generate(client))
            for _ in range(rounds):
                before = len(emulator.submits)
                while len(emulator.submits) < before + SUBMITS:  # noqa: ASYNC110 -- it is in another task.
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(server.stop, "immediate")
                await asyncio.to_thread(server.start)
            is_over.set()
    assert [] == [submit for submit in emulator.submits if submit.ticket is None]
    prompts = Counter(submit.fields["prompt"] for submit in emulator.submits)
    assert {1} == set(prompts.values())
