"""Submits share commits. If a commit fails, each caller is told of its own submit only."""

import asyncio
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

from modelslab_async import Batch, Client, JournalError
from modelslab_async._journal import postgres_patience, writer
from modelslab_async._journal.postgres_session import PostgresSession

from .conftest import HeldReplies

REALTIME = "realtime/text2img"


class FullDisk:
    """Holds the commits to a file until a test releases them. Then they find no room."""

    def __init__(self, monkeypatch):
        self._began, self._released = threading.Event(), threading.Event()
        monkeypatch.setattr(writer, "transaction", self._transaction)

    @contextmanager
    def _transaction(self, _db):
        self._began.set()
        self._released.wait()
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error
        yield  # Without it, this would be no context manager.

    async def begin(self):
        """Wait until a commit is held."""
        await asyncio.to_thread(self._began.wait)

    def release(self):
        """Let all commits fail."""
        self._released.set()

    @staticmethod
    def count_queued(journal):
        """Return how many operations wait for the next commit."""
        return journal._store._queue.qsize()


class Outage:
    """Holds the transactions of a database until a test releases them. Then it is away."""

    def __init__(self, monkeypatch):
        self._began, self._released = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(postgres_patience, "PATIENCE_S", 0.0)
        monkeypatch.setattr(PostgresSession, "run_script", self._run_script)

    async def _run_script(self, *_args):
        self._began.set()
        await self._released.wait()
        raise ConnectionError("connection lost")

    async def begin(self):
        """Wait until a transaction is held."""
        await self._began.wait()

    def release(self):
        """Let all transactions fail."""
        self._released.set()

    @staticmethod
    def count_queued(journal):
        """Return how many operations wait for the next transaction."""
        return len(journal._store._writer._queue)


async def test_submit_that_was_not_sent_is_not_told_the_ticket_of_another(
    emulator, path, monkeypatch
):
    """Its record and the ticket of the other were to be committed together, without success."""
    held = HeldReplies(emulator)
    async with (
        Client("a-key-for-tests", http=held) as client,
        Batch.open(path, client=client, lease=1000) as batch,
    ):
        started = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=1))
        await held.arrived.wait()
        with monkeypatch.context() as patch:
            failing = (FullDisk if isinstance(path, Path) else Outage)(patch)
            adding = asyncio.create_task(batch.add(["images:1"]))
            try:
                await failing.begin()
                held.released.set()
                unsent = asyncio.create_task(batch.submit(REALTIME, prompt="a dog", track_id=2))
                while failing.count_queued(batch.journal) < 2:
                    done, _ = await asyncio.wait([started, unsent], timeout=0.01)
                    assert set() == done
            finally:
                failing.release()
            errors = await asyncio.gather(started, unsent, adding, return_exceptions=True)
    assert all(isinstance(each, JournalError) for each in errors)
    (submit,) = emulator.submits
    notes = [getattr(each, "__notes__", []) for each in errors]
    assert [[f"it was raised after the work was started as {submit.ticket}"], [], []] == notes
