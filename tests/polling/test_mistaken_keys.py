"""A caller passes the API key where a ticket or an endpoint belongs. No error shows the key."""

import traceback

import httpx
import pytest

from modelslab_async import Batch, Client, Ticket
from modelslab_async.emulator import Emulator

KEY = "k3y5ecret0fSixtyCharacters"


async def _stream(client, *tickets):
    return [outcome async for outcome in client.stream(tickets)]


async def _watch(client, ticket):
    return [update async for update in client.watch(ticket)]


async def _add(client, ticket):
    async with Batch.open("journal", client=client) as batch:
        await batch.add([ticket])


CALLS = {
    "fetch": lambda client, ticket: client.fetch(ticket),
    "wait": lambda client, ticket: client.wait(ticket),
    "gather": lambda client, ticket: client.gather([ticket]),
    "stream": _stream,
    "watch": _watch,
    "add": _add,
    "submit": lambda client, _: client.submit(KEY, prompt="a cat"),
    "ask": lambda client, _: client.ask(KEY),
}


@pytest.mark.parametrize(
    "ticket",
    [KEY, (KEY, 1), f"{KEY}:1", f"images:{KEY}", Ticket("workflows", f"1/{KEY}")],
    ids=["text", "pair", "family", "id", "part of an id"],
)
@pytest.mark.parametrize("call", CALLS)
async def test_key_in_place_of_a_ticket_is_not_shown(call, ticket, tmp_path, monkeypatch):
    """The error says what was expected, and what the key was taken for."""
    monkeypatch.chdir(tmp_path)
    emulator = Emulator()
    async with Client(KEY, http=httpx.ASGITransport(app=emulator)) as client:
        with pytest.raises(ValueError, match="key") as caught:
            await CALLS[call](client, ticket)
    assert not emulator.polls
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in f"{shown} {caught.value!r} {vars(caught.value)} {caught.value.__context__!r}"


async def test_text_that_is_no_key_is_shown():
    """It helps to find the row of a table that is wrong."""
    async with Client(KEY, http=httpx.ASGITransport(app=Emulator())) as client:
        with pytest.raises(ValueError, match="got '13443927'"):
            await client.wait("13443927")
