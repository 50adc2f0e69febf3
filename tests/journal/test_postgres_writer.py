"""The task that writes to a database may be cancelled at any time, and carries out each write."""

import asyncio

import pytest

from modelslab_async import Ticket
from modelslab_async._journal.postgres_session import PostgresSession
from modelslab_async.journal import Journal

A, B = Ticket("images", 1), Ticket("images", 2)


def cancel_writer():
    (task,) = [each for each in asyncio.all_tasks() if each.get_name() == "modelslab_async journal"]
    task.cancel()


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
async def test_write_whose_task_is_cancelled_is_carried_out_once(address, monkeypatch, statement):
    """The server may have committed it. A second `add` would find no new ticket."""
    run_script, cancelled = PostgresSession.run_script, []

    async def run_and_cancel(session, statements):
        if statement in statements and not cancelled:
            cancelled.append(statements)
            # The statement is sent by then, and its reply has not come.
            asyncio.get_running_loop().call_soon(cancel_writer)
        await run_script(session, statements)

    async with Journal.open(address) as journal:
        monkeypatch.setattr(PostgresSession, "run_script", run_and_cancel)
        assert 1 == await journal.add([A])
        assert 1 == (await journal.report()).tickets
    assert 1 == len(cancelled)


@pytest.mark.parametrize("statement", ["BEGIN", "COMMIT"])
def test_write_in_which_the_program_is_interrupted_is_carried_out(address, monkeypatch, statement):
    """Ctrl-C comes while the task writes. The journal is closed, and then the program ends."""
    run_script, interrupted = PostgresSession.run_script, []

    async def run_and_interrupt(session, statements):
        await run_script(session, statements)
        if statement in statements and not interrupted:
            interrupted.append(statements)
            raise KeyboardInterrupt

    async def main():
        async with Journal.open(address) as journal:
            monkeypatch.setattr(PostgresSession, "run_script", run_and_interrupt)
            await journal.add([A])

    async def count():
        async with Journal.open(address) as journal:
            return (await journal.report()).tickets

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert 1 == asyncio.run(count())


async def test_write_whose_task_is_cancelled_before_it_begins_is_carried_out(address):
    """Its operation is queued, and another task takes it."""
    async with Journal.open(address) as journal:
        adding = asyncio.create_task(journal.add([A]))
        await asyncio.sleep(0)
        cancel_writer()
        assert 1 == await adding


async def test_journal_that_is_closed_by_a_cancelled_task_finishes_its_writes(address):
    """`asyncio.run` cancels all tasks at the end of a program, and waits for their ends."""
    async with Journal.open(address) as journal:
        adding = asyncio.create_task(journal.add([A]))
        await asyncio.sleep(0)
        closing = asyncio.create_task(journal._store.aclose())
        await asyncio.sleep(0)
        cancel_writer()
        closing.cancel()
        await asyncio.wait([closing])
        assert (True, 1) == (adding.done(), adding.result())


async def test_idle_journal_has_no_task(address):
    """A program that never closes its journal can end: no task of it waits for writes."""
    async with Journal.open(address) as journal:
        await journal.add([A])
        assert {asyncio.current_task()} == asyncio.all_tasks()
        assert 1 == await journal.add([B])
