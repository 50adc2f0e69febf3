"""A batch is left within seconds while its database is away, and loses nothing."""

import asyncio
import logging
from collections import Counter

import asyncpg
import httpx
import pytest
from journal_states import run_sql, states

from modelslab_async import Batch, Client, JournalError, Pace
from modelslab_async._journal import postgres_patience
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async._journal.postgres_tables import DEFAULT_SCHEMA
from modelslab_async.emulator import Emulator, Jobs
from modelslab_async.journal import Journal

from .conftest import HeldReplies

REALTIME = "realtime/text2img"


class Outage:
    """Cuts all connections of journals while it lasts."""

    def __init__(self, monkeypatch):
        self.lasts, self.failures = False, asyncio.Event()
        for name in ("connect", "fetch", "run_script"):
            monkeypatch.setattr(PostgresSession, name, self._cut(getattr(PostgresSession, name)))

    def _cut(self, method):
        async def call(session, *arguments, **more):
            if self.lasts:
                session.drop()
                self.failures.set()
                raise ConnectionError("connection lost")
            return await method(session, *arguments, **more)

        return call


@pytest.fixture
def outage(monkeypatch):
    """An outage that a test begins. Without an end to the patience, a batch would wait for ever."""
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 1e9)
    monkeypatch.setattr(postgres_patience, "LEAVE_S", 0.2)
    return Outage(monkeypatch)


@pytest.fixture
def client():
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), seed=1))
    client = Client(
        "a-key-for-tests",
        http=httpx.ASGITransport(app=emulator),
        pace=Pace(floor=0.05, max_failures=1000),
    )
    client.emulator = emulator
    return client


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_run_is_left_while_the_database_is_away(
    address, outage, client, caplog, is_cancelled
):
    """The log tells it, and the next run polls what was not recorded."""
    told = Counter()

    async def run(until, *, timeout=None):
        async with (
            asyncio.timeout(timeout),
            Batch.open(address, client=client, lease=1) as batch,
        ):
            await batch.add(tickets)
            async for outcome in batch.run():
                told[outcome.ticket] += 1
                if until(told.total()):
                    outage.lasts = True
                    if not is_cancelled:
                        break
                    # These outcomes cannot be recorded.
                    end(running_jobs[:5])

    def end(tickets):
        for ticket in tickets:
            client.emulator.add_job(ticket, duration=0.0)

    async with client:
        running_jobs = [
            client.emulator.add_job(("video", number), duration=1e6) for number in range(10)
        ]
        tickets = [*client.emulator.add_jobs(3, ["images"]), *running_jobs]
        running = asyncio.create_task(run(lambda count: count == 3, timeout=300))
        await outage.failures.wait()
        if is_cancelled:
            running.cancel()
        await asyncio.wait([running])
        assert is_cancelled == running.cancelled()
        assert "open tickets stay leased for up to 1 s" in caplog.text
        outage.lasts = False
        unrecorded = {ticket for ticket, state in states(address).items() if state == "open"}
        assert {*map(str, running_jobs)} == unrecorded
        end(running_jobs)
        await run(lambda _: False)
    assert {"success"} == {*states(address).values()}
    assert (13, {1}) == (len(told), {*told.values()})


async def test_ticket_of_a_submit_is_recorded_however_late_in_the_leave_it_comes(
    address, outage, client, monkeypatch
):
    """The leave has given up other writes by then, and the ticket's first commit is lost, too."""
    monkeypatch.setattr(postgres_patience, "LEAVE_S", 0.0)
    held, is_leaving = HeldReplies(app=client.emulator), asyncio.Event()

    async def leave(client):
        async with asyncio.timeout(300), Batch.open(address, client=client, lease=1) as batch:
            submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
            await held.arrived.wait()
            is_leaving.set()
        await submit

    async with client, Client("a-key-for-tests", http=held) as submitting:
        leaving = asyncio.create_task(leave(submitting))
        await is_leaving.wait()
        outage.lasts = True
        # The renewal of the lease is given up at once.
        await outage.failures.wait()
        held.released.set()
        for _ in range(3):
            outage.failures.clear()
            await outage.failures.wait()
        outage.lasts = False
        await leaving
        (ticket,) = [each.ticket for each in client.emulator.submits]
        async with Batch.open(address, client=client) as batch:
            assert ticket == (await batch.journal.find_submit("7")).ticket


async def test_closing_journal_repeats_a_write_that_fails_late(address, outage, monkeypatch):
    """The time of a leave counts from the write's first lost connection."""
    monkeypatch.setattr(postgres_patience, "LEAVE_S", 1e6)
    async with Journal.open(address) as journal:
        journal.leases.start_leaving()
        # The leave began long ago.
        now = asyncio.get_running_loop().time
        monkeypatch.setattr(journal._store._patience, "_leaving_since", now() - 1e7)
        outage.lasts = True
        adding = asyncio.create_task(journal.add([("images", 1)]))
        await outage.failures.wait()
        outage.lasts = False
        assert 1 == await adding


async def test_ticket_that_is_not_recorded_when_the_batch_is_left_is_told(
    address, outage, client, caplog, monkeypatch
):
    """The database stays away for too long. The submit is uncertain then: it is not paid twice."""
    monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.5)
    held = HeldReplies(app=client.emulator)

    async def leave():
        async with (
            asyncio.timeout(300),
            Client("a-key-for-tests", http=held) as submitting,
            Batch.open(address, client=submitting, lease=1) as batch,
        ):
            submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
            await held.arrived.wait()
            outage.lasts = True
            submit.cancel()
            held.released.set()

    async with client:
        await leave()
        (ticket,) = [each.ticket for each in client.emulator.submits]
        assert f"missed JournalError: {ticket}" in caplog.text
        assert "a run stays open for up to 1 s" in caplog.text
        outage.lasts = False
        async with Batch.open(address, client=client) as batch:
            assert (await batch.journal.find_submit("7")).ticket is None


@pytest.mark.usefixtures("outage")
async def test_slow_database_is_not_left_early(address, client, caplog):
    """It is not away, so the end of the run is recorded, however long it takes."""
    database = address.rpartition("&batch=")[0]
    locking, watching = await asyncpg.connect(database), await asyncpg.connect(database)
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    async def leave():
        async with Batch.open(address, client=client, lease=1000) as batch:
            await batch.add(client.emulator.add_jobs(3, ["images"]))
            async for _ in batch.run():
                await locking.execute(f"BEGIN; SELECT FROM {DEFAULT_SCHEMA}.runs FOR UPDATE")
                break

    async with client:
        leaving = asyncio.create_task(leave())
        while not await watching.fetch(waiting):
            await asyncio.wait([leaving], timeout=0.01)
            assert not leaving.done()
        # Longer than the wait for a database that is away.
        await asyncio.wait([leaving], timeout=1)
        assert not leaving.done()
        await locking.close()
        await leaving
        await watching.close()
    assert [] == [each for each in caplog.records if each.levelno >= logging.WARNING]
    leased = "lease_until IS NOT NULL AND batch = (SELECT max(batch) FROM batches)"
    assert [] == run_sql(address, f"SELECT FROM runs WHERE {leased}")


async def test_journal_that_closes_in_an_outage_gives_up_what_is_queued(address, outage, client):
    """Its callers get the error of the outage."""
    async with client, Batch.open(address, client=client) as batch:
        adding = asyncio.create_task(batch.add([("images", 1)]))
        outage.lasts = True
        await outage.failures.wait()
    with pytest.raises(JournalError, match="connection lost"):
        await adding
