"""Closing a client that had many tickets open costs little."""

import asyncio

import pytest
from virtual_time import JumpingSelector

from modelslab_async import Client, Response
from modelslab_async._models.errors import ModelsLabError

COUNT = 20_000


class Server:
    """Answers that every ticket is still running."""

    async def exchange(self, _request):
        await asyncio.sleep(0.1)
        return Response(status_code=200, body=b'{"status": "processing"}')


@pytest.mark.parametrize("how", ["stream", "gather"])
def test_close_after_cancelled_stream_makes_no_outcomes(virtually, monkeypatch, how):
    """The tickets of a cancelled stream are forgotten in a few steps of the event loop."""
    turns, copies = [], []
    select, with_ticket = JumpingSelector.select, ModelsLabError.with_ticket

    def counted_select(self, timeout=None):
        turns.append(timeout)
        return select(self, timeout)

    def counted_with_ticket(self, ticket):
        copies.append(ticket)
        return with_ticket(self, ticket)

    async def main():
        client = Client("a-key-1234", http=Server())
        tickets = [("realtime", 10_000 + number) for number in range(COUNT)]

        async def read():
            if how == "gather":
                await client.gather(tickets)
            async for _ in client.stream(tickets, window=COUNT):
                pass

        reading = asyncio.create_task(read())
        while len(client.engine.poller._schedule) < COUNT:  # noqa: ASYNC110 -- on virtual time.
            await asyncio.sleep(0.01)
        monkeypatch.setattr(JumpingSelector, "select", counted_select)
        monkeypatch.setattr(ModelsLabError, "with_ticket", counted_with_ticket)
        reading.cancel()
        await client.aclose()
        assert 0 == len(client.engine.poller._schedule)
        await asyncio.wait([reading])

    virtually(main)
    assert len(turns) < 60
    assert [] == copies
