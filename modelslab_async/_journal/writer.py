"""Writer: the one thread that writes a journal. What waits together is committed together."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from attrs import frozen

from .._models.errors import JournalError
from .process_identity import has_died
from .schema import prepare
from .sqlite_errors import check_file, explained, gone
from .write_lock import Turns, transaction

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# So many jobs share a commit at the most.
_GROUP: Final = 1000
# KiB of pages in memory: new tickets touch the index of ids all over.
_CACHE: Final = 64 * 1024
# Pages of the write-ahead file before they are moved over: fewer and larger moves.
_CHECKPOINT: Final = 4000


@frozen(eq=False)
class _Job:
    """Some work on the journal, and who waits for its result."""

    work: Work[Any]
    future: asyncio.Future[Any]


def connect(path: str, patience: float) -> sqlite3.Connection:
    """Open a file, or make it. A commit is on the disk when it returns."""
    return set_up(lambda: sqlite3.connect(path, timeout=patience, isolation_level=None))


def set_up(opened: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
    """A connection as all of ours are."""
    db = opened()
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = {-_CACHE}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        db.create_function("has_died", 1, has_died)
    except BaseException:
        db.close()
        raise
    return db


class Barred:
    """Stands for a writer where a journal may only be read."""

    is_gone = False

    def __init__(self, why: JournalError) -> None:
        self._why = why

    def do(self, _work: Work[T]) -> asyncio.Future[T]:
        """
        Refuse.

        Raises:
            JournalError: As when the journal was opened.
        """
        raise type(self._why)(self._why.message, path=self._why.path)

    async def aclose(self) -> None:
        """There is nothing to close."""


class Writer:
    """Does work on one file, in the order given, from the event loop in which it was made."""

    def __init__(self, path: str, patience: float) -> None:
        self._path = path
        self._turns = Turns(patience)
        self._process = os.getpid()
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._closed = False
        self._file: os.stat_result | None = None
        # A program that ends without closing its journal is not held up: what was answered is kept.
        self._thread = threading.Thread(
            target=self._run, name="modelslab_async journal", daemon=True
        )

    async def open(self) -> None:
        """
        Open the file, or make it.

        Raises:
            JournalError: That is not possible, and why.
        """
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            self._jobs.put(None)
            raise

    def do(self, work: Work[T]) -> asyncio.Future[T]:
        """
        Have some work done. Its result comes when it is committed, its error when all is undone.

        Raises:
            JournalError: The journal is closed.
        """
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self._path)
        if self._process != os.getpid():
            raise RuntimeError("this journal belongs to another process; open it in each")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, future))
        return future

    @property
    def is_gone(self) -> bool:
        """Whether the file is not where it was any more, and what is written would be lost."""
        try:
            return self._file is not None and not os.path.samestat(
                self._file,
                os.stat(self._path),  # noqa: PTH116 -- asked with each commit.
            )
        except OSError:
            return True

    async def aclose(self) -> None:
        """Do what was given before, and close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await self._ended.wait()

    def _run(self) -> None:
        try:
            db = self._open_file()
        except JournalError as error:
            self._answer([(self._opened, None, error)])
        else:
            self._answer([(self._opened, None, None)])
            while self._work(db):
                pass
            db.close()
        self._in_loop(self._ended.set)

    def _open_file(self) -> sqlite3.Connection:
        check_file(self._path)
        try:
            # It waits for its turns itself.
            db = self._turns.take(lambda: connect(self._path, patience=0.0))
        except sqlite3.Error as error:
            raise explained(error, self._path) from error
        try:
            self._turns.take(lambda: prepare(db, self._path))
        except sqlite3.Error as error:
            db.close()
            raise explained(error, self._path) from error
        except BaseException:
            db.close()
            raise
        self._file = os.stat(self._path)  # noqa: PTH116
        return db

    def _work(self, db: sqlite3.Connection) -> bool:
        """One group of jobs. Returns whether there will be another."""
        job = self._jobs.get()
        jobs: list[_Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == _GROUP:
                break
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
        if jobs:
            self._commit(db, jobs)
        return job is not None

    def _commit(self, db: sqlite3.Connection, jobs: list[_Job]) -> None:
        def write() -> list[Any]:
            with transaction(db):
                return [job.work(db) for job in jobs]

        if self.is_gone:
            self._answer([(job.future, None, gone(self._path)) for job in jobs])
            return
        try:
            results = self._turns.take(write)
        except sqlite3.Error as error:
            self._answer([(job.future, None, explained(error, self._path)) for job in jobs])
        except Exception as error:  # noqa: BLE001 -- it is told to whom it belongs.
            # The bad one shall not spoil the others.
            if len(jobs) == 1:
                if isinstance(error, JournalError):
                    error.path = self._path
                self._answer([(jobs[0].future, None, error)])
            else:
                for job in jobs:
                    self._commit(db, [job])
        else:
            pairs = zip(jobs, results, strict=True)
            self._answer([(job.future, result, None) for job, result in pairs])

    def _answer(self, answers: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
        def resolve() -> None:
            for answer in answers:
                _resolve(*answer)

        self._in_loop(resolve)

    def _in_loop(self, call: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # The loop has ended, and nobody waits any more.
            return


def _resolve(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
