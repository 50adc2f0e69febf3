"""Clients that share an account: together they keep to its limits, and none holds up another."""

import asyncio
import gc
import logging
import re
import weakref

import pytest

from modelslab_async import Client, ClientClosed, Paused, RateLimited, WaitTimeout
from modelslab_async._account.report_and_answer_types import KeyReport, Pauses
from modelslab_async._transport.credentials import Credentials
from modelslab_async.emulator import Emulator, Jobs, run_server

from .stores import SQLiteStore

KEY = "a-test-key-1234"
ENDPOINT = "realtime/text2img"


def refusals(emulator):
    """The submits that the emulator refused, because too many were queued."""
    return [submit for submit in emulator.submits if submit.ticket is None]


async def test_clients_share_the_queue(store):
    """Four clients with more prompts than slots draw no 429."""
    emulator = Emulator(queue_limit=3, jobs=Jobs(duration=(0.1, 0.4)))
    async with run_server(emulator) as url:
        clients = [
            Client(KEY, base_url=url, account=store.account(rate=200, queue=3)) for _ in range(4)
        ]
        await asyncio.gather(
            *(
                clients[number % 4].generate(ENDPOINT, prompt=f"a fox, {number}")
                for number in range(24)
            )
        )
        for client in clients:
            await client.aclose()
    assert [] == refusals(emulator)
    assert 24 == len(emulator.submits)


async def test_one_account_serves_several_clients_of_one_loop(store):
    """The same object may be given to each client."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(0.1, 0.2)))
    account = store.account(queue=1)
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as one,
        Client(KEY, base_url=url, account=account) as other,
    ):
        await asyncio.gather(
            *(
                each.generate(ENDPOINT, prompt=f"{number}")
                for number in range(3)
                for each in (one, other)
            )
        )
    assert [] == refusals(emulator)


async def test_ticket_of_a_closed_client_keeps_its_slot(store):
    """The work goes on at the service. Another client adopts the ticket, and sees its end."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(1.0, 1.0)))
    async with run_server(emulator) as url:
        async with Client(KEY, base_url=url, account=store.account(queue=1)) as first:
            ticket = (await first.submit(ENDPOINT, prompt="a fox")).ticket
        async with Client(KEY, base_url=url, account=store.account(queue=1)) as second:
            await second.submit(ENDPOINT, prompt="a hare")
        assert [] == refusals(emulator)
        assert emulator.polls[str(ticket)]


async def test_closed_client_is_freed_while_another_waits_for_its_slot(store):
    """It polls its tickets for the other client until it has left the account, and not longer."""
    emulator = Emulator(queue_limit=1, jobs=Jobs(duration=(600.0, 600.0)))
    account = store.account(queue=1)
    async with (
        asyncio.timeout(300),
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=account) as other,
    ):
        client = Client(KEY, base_url=url, account=account)
        async with client:
            await client.submit(ENDPOINT, prompt="a fox")
            waiting = asyncio.create_task(other.submit(ENDPOINT, prompt="a hare"))
            while not client.engine.submitter.slots["standard"].has_other_waiters:
                await asyncio.wait([waiting], timeout=0.01)
        engine = weakref.ref(client.engine)
        del client
        # A task that has just ended is freed in the next iteration of the event loop.
        await asyncio.sleep(0)
        gc.collect()
        assert engine() is None
        waiting.cancel()
        await asyncio.wait([waiting])


async def report_pauses(store, **pauses):
    """Be a client that the server has asked to pause for an hour."""
    membership = store.membership(store.account(rate=100, queue=5))
    digest = Credentials.resolve(KEY, None).digest("standard")
    until = {name: membership.clock() + 3600.0 for name in pauses}
    reports = {digest: KeyReport(pauses=Pauses(**until))}
    await membership.exchange(reports)
    await membership.leave({})


async def test_pause_of_polls_is_shared(store):
    """The server asked another client to pause, so this one does not even try."""
    await report_pauses(store, polls=True)
    emulator = Emulator()
    ticket = emulator.add_job("images:1")
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=store.account(rate=100, queue=5)) as client,
    ):
        with pytest.raises(WaitTimeout):
            await client.wait(ticket, timeout=1.0)
    assert 0 == emulator.polls.total()


async def test_pause_of_submits_is_shared(store):
    """The same for submits."""
    await report_pauses(store, submits=True)
    emulator = Emulator()
    async with (
        run_server(emulator) as url,
        Client(KEY, base_url=url, account=store.account(rate=100, queue=5)) as client,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.submit(ENDPOINT, prompt="a fox"), 1.0)
    assert [] == emulator.submits


async def test_rate_limit_of_one_client_is_reported(store):
    """A 429 for a poll of one client is reported to the account, with the end of the pause."""
    account = store.account(rate=100, queue=5)
    paused = asyncio.Event()

    async def exchange(_):
        raise RateLimited("slow down", retry_after=500.0)

    def on_event(event):
        if isinstance(event, Paused):
            paused.set()

    transport = type("Refusing", (), {"exchange": staticmethod(exchange)})()
    async with Client(KEY, account=account, http=transport, on_event=on_event) as client:
        waiting = asyncio.create_task(client.wait("images:1"))
        await paused.wait()
        waiting.cancel()
    ((until,),) = store.run("SELECT polls FROM pauses")
    assert until > store.membership(account).clock() + 400.0


async def test_locked_account_is_logged_once_and_submits_wait(store, monkeypatch, caplog):
    """While the file cannot be used, submits wait. After that they go on."""
    emulator = Emulator(jobs=Jobs(duration=(0.1, 0.2)))
    account = store.account(queue=1)
    store.give_up_locks_soon(monkeypatch)
    async with run_server(emulator) as url, Client(KEY, base_url=url, account=account) as client:
        async with store.locked():
            task = asyncio.create_task(client.generate(ENDPOINT, prompt="a fox"))
            caplog.set_level(logging.INFO, logger="modelslab_async")
            while not caplog.records:  # noqa: ASYNC110 -- a log has no event.
                await asyncio.sleep(0.01)
            assert [] == emulator.submits
        await task
    messages = [record.getMessage() for record in caplog.records]
    assert [
        "submits and polls wait for the account",
        "the account can be used again; submits and polls go on",
    ] == [each.partition(":")[0] for each in messages]
    assert re.search("locked|lock timeout", messages[0])
    assert KEY not in messages[0]


def test_client_without_a_loop_costs_nothing(store):
    """A client that is made and never used reports nothing."""
    Client(KEY, account=store.account())
    assert [] == store.run("SELECT client FROM clients")


async def test_adopted_ticket_keeps_its_slot_if_the_heir_closes_at_once(store):
    """The heir is closed while the account still answers that a ticket is now its own."""
    emulator = Emulator(jobs=Jobs(duration=(60.0, 60.0)))
    account = store.account(queue=1)
    async with run_server(emulator) as url:
        async with Client(KEY, base_url=url, account=account) as first:
            await first.submit(ENDPOINT, prompt="a fox")
        heir = Client(KEY, base_url=url, account=account)
        async with store.locked():
            submitting = asyncio.create_task(heir.submit(ENDPOINT, prompt="a hare"))
            await asyncio.sleep(0.5)
            closing_task = asyncio.create_task(heir.aclose())
            with pytest.raises(ClientClosed):
                await submitting
        await closing_task
    assert 1 == len(store.run("SELECT id FROM held_tickets"))


async def test_unexpected_error_of_the_account_is_logged_and_submits_wait(store, caplog):
    """A damaged row ends neither the reports nor the client. Submits go on once it is gone."""
    emulator = Emulator(jobs=Jobs(duration=(0.1, 0.2)))
    account = store.account(queue=2)
    digest = Credentials.resolve(KEY, None).digest("standard")
    async with run_server(emulator) as url, Client(KEY, base_url=url, account=account) as client:
        columns = "key, family, id, client, endpoint, submitted_at"
        since = ("", "") if isinstance(store, SQLiteStore) else (", since", ", 0")
        store.run(
            f"INSERT INTO held_tickets ({columns}{since[0]}) "
            f"VALUES ('{digest}', '', '', 1, '', 9e9{since[1]})"
        )
        task = asyncio.create_task(client.generate(ENDPOINT, prompt="a fox"))
        with caplog.at_level(logging.WARNING, logger="modelslab_async"):
            while not caplog.records:  # noqa: ASYNC110 -- a log has no event.
                await asyncio.sleep(0.01)
        store.run("DELETE FROM held_tickets WHERE family = ''")
        await task
    assert "submits and polls wait for the account" in caplog.text


def set_rate(store, rate):
    """Change the limit in the store, as other clients may while this one stands still."""
    table = "limits" if isinstance(store, SQLiteStore) else "account"
    store.run(f"UPDATE {table} SET rate = {rate}")


async def test_client_polls_without_limit_if_the_account_has_lost_its_rate(store):
    """Once the account has answered, its limits hold, and not those of the client."""
    emulator = Emulator()
    tickets = [emulator.add_job("images:1"), emulator.add_job("images:2")]
    account = store.account(rate=10)
    async with run_server(emulator) as url, Client(KEY, base_url=url, account=account) as client:
        await client.wait(tickets[0], timeout=300.0)
        set_rate(store, "NULL")
        await client.wait(tickets[1], timeout=300.0)


async def test_client_keeps_to_a_rate_that_the_account_got_later(store):
    """The account object names no rate, but the file has one now."""
    emulator = Emulator(jobs=Jobs(duration=(1.0, 1.0)))
    account = store.account(rate=None, queue=5)
    async with run_server(emulator) as url, Client(KEY, base_url=url, account=account) as client:
        await client.submit(ENDPOINT, prompt="a fox")
        set_rate(store, 1000)
        await client.generate(ENDPOINT, prompt="another fox")
    assert 1 == len(store.run("SELECT key FROM poll_times"))
