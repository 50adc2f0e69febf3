"""Whatever is killed, stopped or cut off, each ticket of a shared batch has one outcome."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from journal_states import states
from postgres_server import PostgresServer

from modelslab_async import Batch, Client, JournalError, Pace, Submission
from modelslab_async._journal import postgres_patience
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async.emulator import Emulator, Jobs, run_server

WORKER = Path(__file__).with_name("postgres_worker.py")
COUNT = 60


@asynccontextmanager
async def workers(address, count, *, lease):
    """Start workers on a new batch. The last two jobs never end, until a test scripts them."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.3), seed=1))
    tickets = emulator.add_jobs(COUNT, ["images"])
    held = [emulator.add_job(("video", number), duration=1e6) for number in (1, 2)]
    async with Batch.open(address) as batch:
        await batch.add([*held, *tickets])
    async with run_server(emulator) as url:
        started = [await start(address, url, lease) for _ in range(count)]
        try:
            emulator.url = url
            yield emulator, held, started
        finally:
            for process in started:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


async def start(address, url, lease):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, WORKER, address, url, str(lease)), stdout=PIPE
    )


async def line(process: Process) -> str:
    """The next ticket that a worker prints."""
    return (await process.stdout.readline()).decode().strip()


async def lines(process: Process) -> list[str]:
    """The tickets that a worker printed since the last call, up to its end."""
    return (await process.stdout.read()).decode().split()


async def test_killed_worker_loses_nothing(address):
    """Another worker of its host takes over at once, though the lease goes on."""
    async with workers(address, 1, lease=3600) as (emulator, held, running):
        (killed,) = running
        # The other worker starts later. Before that it could take all tickets.
        told = [await line(killed)]
        other = await start(address, emulator.url, 3600)
        running.append(other)
        killed.kill()
        told += await lines(killed)
        for ticket in held:
            emulator.add_job(ticket, duration=0.0)
        told += await lines(other)
        assert 0 == await other.wait()
    assert COUNT + 2 == list(states(address).values()).count("success")
    # An outcome that was committed just before the kill may not have been told.
    assert {1} == {*Counter(told).values()}
    assert {*told} <= {*states(address)}


async def test_stopped_worker_tells_nothing_that_another_told(address):
    """Its lease is over, so another worker has its tickets when it goes on."""
    async with workers(address, 1, lease=3) as (emulator, held, (stopped,)):
        told = [await line(stopped)]
        os.kill(stopped.pid, signal.SIGSTOP)
        async with run_server(emulator) as url:
            # However slow the machine is, the lease of this worker is never over.
            other = await start(address, url, 3600)
            for ticket in held:
                emulator.add_job(ticket, duration=0.0)
            told += await lines(other)
            assert 0 == await other.wait()
        os.kill(stopped.pid, signal.SIGCONT)
        told += await lines(stopped)
        assert 0 == await stopped.wait()
    assert {"success"} == {*states(address).values()}
    assert {1} == {*Counter(told).values()}


@pytest.fixture
def own_server(postgres):
    """A server that a test may kill. It is another one than that of the other tests."""
    server = PostgresServer.make(postgres.programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def test_run_outlasts_a_killed_database(own_server):
    """Outcomes that are ready meanwhile are told after it is back, each once."""
    address = f"{own_server.address}&batch=cats"
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.3), seed=1))
    pace = Pace(floor=0.05, ceiling=0.1, max_failures=1000)
    told = Counter()
    async with (
        run_server(emulator) as url,
        Client("a-key-for-tests", base_url=url, pace=pace) as client,
        Batch.open(address, client=client, lease=3600) as batch,
    ):
        await batch.add(emulator.add_jobs(COUNT, ["images"]))
        async for outcome in batch.run(window=20):
            told[outcome.ticket] += 1
            if told.total() in (1, COUNT // 2):
                await asyncio.to_thread(own_server.stop, "immediate")
                await asyncio.to_thread(own_server.start)
        assert COUNT == (await batch.report()).success
    assert (COUNT, {1}) == (len(told), {*told.values()})


async def test_key_of_a_submit_that_was_given_up_is_free_again(address, monkeypatch):
    """Its record was committed, but its caller got an error, and it was not sent."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), seed=1))
    submission = Submission("realtime/text2img", {"prompt": "a cat"}, key="row 1")
    run_script = PostgresSession.run_script

    async def losing(self, statements):
        await run_script(self, statements)
        if statements == "COMMIT":
            self.drop()
            raise ConnectionError("connection lost")

    async with (
        Client("a-key-for-tests", http=httpx.ASGITransport(app=emulator)) as client,
        Batch.open(address, client=client, lease=1) as batch,
    ):
        await batch.submit("realtime/text2img", prompt="a dog")
        with monkeypatch.context() as patch:
            patch.setattr(PostgresSession, "run_script", losing)
            patch.setattr(postgres_patience, "PATIENCE_S", 0.0)
            with pytest.raises(JournalError):
                await batch.submit(submission)
            assert await batch.journal.find_submit_by_key("row 1") is not None
        async with asyncio.timeout(300):
            reply = await batch.submit(submission)
        assert reply.ticket == (await batch.submit(submission)).ticket
    assert 2 == len(emulator.submits)
