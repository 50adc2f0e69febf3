"""Closing a client that had many tickets open costs little."""

import asyncio

import pytest
from virtual_time import JumpingSelector

from modelslab_async import Client, Response
from modelslab_async._models.errors import ModelsLabError
from modelslab_async._scheduling.family_queue import DueHeap

COUNT = 20_000


class Server:
    """Answers that every ticket is still running."""

    async def exchange(self, _request):
        await asyncio.sleep(0.1)
        return Response(status_code=200, body=b'{"status": "processing"}')


async def stream(client, tickets):
    """Start to read one stream; return its task."""

    async def read():
        async for _ in client.stream(tickets, window=COUNT):
            pass

    return [asyncio.create_task(read())]


async def gather(client, tickets):
    """Start one gather; return its task."""
    return [asyncio.create_task(client.gather(tickets))]


async def wait_for_each(client, tickets):
    """Start a wait for each ticket; return their tasks."""
    return [asyncio.create_task(client.wait(ticket)) for ticket in tickets]


@pytest.fixture
def work(monkeypatch):
    """Count steps of the event loop, outcomes that are made and entries that queues move."""
    counts = {"steps": 0, "outcomes": 0, "moves": 0}

    def count(owner, method, name):
        function = getattr(owner, method)

        def counted(*args, **kwargs):
            counts[name] += 1
            return function(*args, **kwargs)

        monkeypatch.setattr(owner, method, counted)

    count(JumpingSelector, "select", "steps")
    count(ModelsLabError, "with_ticket", "outcomes")
    for method in ("push", "pop", "pop_any"):
        count(DueHeap, method, "moves")
    return counts


@pytest.mark.parametrize("start", [stream, gather, wait_for_each])
def test_close_after_cancelled_waits_makes_no_outcomes(virtually, work, start):
    """Cancelled tickets are forgotten in a few steps of the event loop."""

    async def main():
        client = Client("a-key-1234", http=Server())
        tickets = [("realtime", 10_000 + number) for number in range(COUNT)]
        tasks = await start(client, tickets)
        while len(client.engine.poller._schedule) < COUNT:  # noqa: ASYNC110 -- on virtual time.
            await asyncio.sleep(0.01)
        work.update(steps=0, outcomes=0, moves=0)
        for task in tasks:
            task.cancel()
        await client.aclose()
        assert 0 == len(client.engine.poller._schedule)
        await asyncio.wait(tasks)

    virtually(main)
    assert 0 == work["outcomes"]
    assert work["steps"] < 60
    assert work["moves"] < 4 * COUNT
