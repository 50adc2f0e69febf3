"""`SystemExit` leaves the event loop, and `asyncio.run` cancels all tasks. The batch is closed."""

import asyncio
import sys

import httpx
import pytest

from modelslab_async import Batch, Client, Pace, Submission
from modelslab_async._journal import own_submits
from modelslab_async._journal import tickets as journal_tickets
from modelslab_async.journal import Journal

from .conftest import HeldReplies

# A program that has not ended after this time fails its test, instead of holding the suite.
TIMEOUT_S = 120
ROW = Submission("realtime/text2img", {"prompt": "a cat"}, key="row 1")


def run_until_exit(main):
    """Run a program that ends by `sys.exit(3)` in one of its tasks. Fail if it does not end."""

    async def guarded():
        asyncio.get_running_loop().call_later(TIMEOUT_S, sys.exit, "it has not ended")
        await main()

    with pytest.raises(SystemExit) as raised:
        asyncio.run(guarded())
    assert 3 == raised.value.code


def client_of(http, **more):
    return Client("a-key-for-tests", http=http, pace=Pace(floor=0.05, max_failures=1000), **more)


def submitted_again(path, emulator):
    """Submit the row in a new process. Return its ticket."""

    async def submit():
        async with (
            client_of(httpx.ASGITransport(app=emulator)) as client,
            Batch.open(path, client=client) as batch,
        ):
            return (await batch.submit(ROW)).ticket

    return asyncio.run(submit())


@pytest.fixture
def leave_at(monkeypatch):
    """End the program as soon as the journal gets a given operation."""

    def leave_at(batch, chosen):
        write, seen = batch.journal._store.write, []

        def write_and_leave(operation, *args, **more):
            seen.append(operation)
            if operation is chosen and 1 == seen.count(chosen):
                asyncio.get_running_loop().call_soon(sys.exit, 3)
            return write(operation, *args, **more)

        monkeypatch.setattr(batch.journal._store, "write", write_and_leave)

    return leave_at


def test_idle_batch_is_closed(emulator, path):
    """Its submit is known to the next process."""
    tickets = []

    async def main():
        async with (
            client_of(httpx.ASGITransport(app=emulator)) as client,
            Batch.open(path, client=client) as batch,
        ):
            tickets.append((await batch.submit(ROW)).ticket)
            asyncio.get_running_loop().call_soon(sys.exit, 3)
            await asyncio.Event().wait()

    run_until_exit(main)
    assert tickets == [submitted_again(path, emulator)]
    assert 1 == len(emulator.submits)


def test_ticket_that_is_being_recorded_is_known_to_the_next_process(emulator, path, leave_at):
    """The program ends while the journal writes the ticket."""

    async def main():
        async with (
            client_of(httpx.ASGITransport(app=emulator)) as client,
            Batch.open(path, client=client) as batch,
        ):
            leave_at(batch, own_submits.confirm_sent)
            await batch.submit(ROW)

    run_until_exit(main)
    assert [submitted_again(path, emulator)] == [each.ticket for each in emulator.submits]


def test_submit_without_a_reply_is_uncertain(emulator, path):
    """The program ends while the server has the request."""

    async def main():
        held = HeldReplies(emulator)
        async with client_of(held) as client, Batch.open(path, client=client) as batch:
            submitting = asyncio.create_task(batch.submit(ROW))
            await held.arrived.wait()
            asyncio.get_running_loop().call_soon(sys.exit, 3)
            await submitting

    async def uncertain():
        async with Batch.open(path) as batch:
            return await batch.uncertain()

    run_until_exit(main)
    assert ["row 1"] == [each.key for each in asyncio.run(uncertain())]


def test_program_that_ends_while_its_batch_is_being_closed_closes_the_journal(
    emulator, path, leave_at
):
    """The ticket is recorded, although something cancels the task that closes the batch."""

    async def main():
        async with (
            client_of(httpx.ASGITransport(app=emulator)) as client,
            Batch.open(path, client=client) as batch,
        ):
            leave_at(batch, journal_tickets.end_run)
            await batch.submit(ROW)

    run_until_exit(main)
    assert [submitted_again(path, emulator)] == [each.ticket for each in emulator.submits]


@pytest.mark.parametrize("method", ["run", "generate_many"])
def test_tickets_of_a_run_are_free_for_the_next_process(emulator, path, method):
    """Its lease does not have to run out first."""
    ticket = emulator.add_job("images:7", duration=1e6)

    async def main():
        async with (
            client_of(httpx.ASGITransport(app=emulator)) as client,
            Batch.open(path, client=client, lease=1000) as batch,
        ):
            await batch.add([ticket])

            def leave(_event):
                client.engine.listeners.remove(leave)
                asyncio.get_running_loop().call_soon(sys.exit, 3)

            client.engine.listeners.add(leave)
            results = batch.run() if method == "run" else batch.generate_many([ROW])
            async for _ in results:
                pass

    async def claimed():
        async with Journal.open(path) as journal:
            run_id = await journal.leases.begin_run(lease=1000)
            claim = await journal.leases.claim(run_id, before_run=0, limit=10, lease=1000)
            return [each.ticket for each in claim.tickets]

    run_until_exit(main)
    assert ticket in asyncio.run(claimed())
