"""A database server that is killed again and again, while clients submit."""

import asyncio
import itertools
from collections import Counter

import pytest
from postgres_server import PostgresServer

from modelslab_async import Batch, Client, PostgresAccount, Submission, Success
from modelslab_async._account import postgres_connection
from modelslab_async.emulator import Emulator, Jobs, run_server

ENDPOINT = "realtime/text2img"
KEY = "a-test-key-1234"
QUEUE = 3


@pytest.fixture
def server(monkeypatch):
    """A server whose clients have the patience of production."""
    with PostgresServer.running() as server:
        # A driver that misses the end of its connection tries again soon.
        monkeypatch.setattr(postgres_connection, "_STATEMENT_TIMEOUT_S", 10.0)
        yield server


async def kill_and_restart(server, emulator, *, rounds, submits):
    """Kill the server once after each number of submits."""
    for number in range(1, rounds + 1):
        while len(emulator.submits) < number * submits:  # noqa: ASYNC110 -- it is in another task.
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


def check(emulator):
    """No submit drew a 429, and none was sent twice."""
    assert [] == [submit for submit in emulator.submits if submit.ticket is None]
    prompts = Counter(submit.fields["prompt"] for submit in emulator.submits)
    assert {1} == set(prompts.values())


async def test_killed_server_repeats_no_submit(server, rounds, submits):
    """The clients of an account go on each time."""
    emulator = Emulator(queue_limit=QUEUE, jobs=Jobs(duration=(0.1, 0.3)))
    numbers, is_over = itertools.count(), asyncio.Event()

    async def generate(client):
        while not is_over.is_set():
            await client.generate(ENDPOINT, prompt=f"a fox, {next(numbers)}")

    account = PostgresAccount(server.address, rate=200, queue=QUEUE)
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as one,
        Client(KEY, base_url=url, account=account) as other,
        asyncio.TaskGroup() as group,
    ):
        for client in (one, other) * QUEUE:
            group.create_task(generate(client))
        await kill_and_restart(server, emulator, rounds=rounds, submits=submits)
        is_over.set()
    check(emulator)


async def test_killed_server_repeats_no_row(server, rounds, submits):
    """A batch whose journal and account the server keeps goes on each time, and ends."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1)))
    rows = [
        Submission(ENDPOINT, {"prompt": f"a fox, {number}"}, key=f"row {number}")
        for number in range((rounds + 1) * submits)
    ]
    # Few enough slots that each kill finds rows that are not submitted.
    account = PostgresAccount(server.address, rate=2000, queue=max(QUEUE, submits // 20))
    ends = Counter()
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as client,
        Batch.open(f"{server.address}&batch=foxes", client=client) as batch,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(kill_and_restart(server, emulator, rounds=rounds, submits=submits))
        async for _, result in batch.generate_many(rows):
            ends[type(result)] += 1
        assert len(rows) == (await batch.report()).success
    assert {Success: len(rows)} == ends
    assert len(rows) == len(emulator.submits)
    check(emulator)
