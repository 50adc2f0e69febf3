"""SQLiteMembership: records a client's usage in a file, and returns what the client may use."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

from attrs import evolve

from .._journal.fair_write_lock import WriteLock, transaction
from .._journal.process_identity import has_died, this_process
from .._models.account_errors import AccountError, WrongAccount
from .._parsing.webhook_ids import WebhookHint
from .report_and_answer_types import (
    ASKING_INTERVAL_S,
    LIVENESS_CHECK_S,
    Allotments,
    KeyAllotment,
    KeyReport,
    Pauses,
    Reports,
)
from .shared_limits import SharedLimits
from .sqlite_poll_times import PollTimesOfKey
from .sqlite_slots import SlotsOfKey, free_expired_slots, orphan_slots
from .sqlite_webhook_hints import SharedHints

T = TypeVar("T")

# A client that has sent no report for this many seconds counts as dead. On Linux, a client whose
# process has ended counts as dead after `LIVENESS_CHECK_S` seconds.
_LEASE_S: Final = 30.0
LOCK_TIMEOUT_S: Final = 5.0


class SQLiteMembership:
    """
    One client as a member of an `SQLiteAccount`. A separate thread reads and writes the file.

    Args:
        path: The file of the account.
        limits: The limits that the caller gave to the `SQLiteAccount`.
        clock: Returns the time in seconds.
    """

    def __init__(self, path: str, limits: SharedLimits, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.waiting_interval_s = ASKING_INTERVAL_S
        self._path = path
        self._limits = limits
        self._has_joined = False
        self._client = secrets.randbits(62) + 1
        self._process = this_process()
        self._hints = SharedHints(self._client)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="modelslab_async account")
        self._lock = WriteLock(LOCK_TIMEOUT_S)
        self._db: sqlite3.Connection | None = None

    def call_on_news(self, on_news: Callable[[], object]) -> None:
        """Do nothing, because a file cannot notify a client of changes."""

    async def exchange(self, reports: Reports) -> Allotments:
        """
        Record the client's usage, and return what the client may use from now on.

        The first report sets the limits of the account if no other client is open.

        Raises:
            OtherLimits: At the first report, other clients are open with other limits.
            AccountError: The file cannot be used.
        """
        allotments = await self._run(lambda db: self._join_and_exchange(db, reports))
        self._has_joined = True
        return allotments

    async def share_hints(self, hints: Sequence[WebhookHint]) -> Sequence[WebhookHint]:
        """
        Pass webhook hints to the other clients, and return hints from them.

        The result contains the hints that were added since the previous call.

        Raises:
            AccountError: The file cannot be used.
        """
        now = self.clock()
        if hints:
            await self._run(lambda db: self._hints.add(db, hints, now))
        return await self._run(lambda db: self._hints.read_new(db, now), is_writing=False)

    async def leave(self, reports: Reports) -> None:
        """
        Record the client's tickets, so that other clients can adopt them. Close the file.

        Raises:
            AccountError: The file cannot be used.
        """
        try:
            await self._run(lambda db: self._leave(db, reports))
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)

    async def _run(
        self, operation: Callable[[sqlite3.Connection], T], *, is_writing: bool = True
    ) -> T:
        def in_thread() -> T:
            if self._db is None:
                self._db = self._lock.run_exclusive(lambda: connect(self._path))
            db = self._db
            if not is_writing:
                return operation(db)

            def in_transaction() -> T:
                with transaction(db):
                    return operation(db)

            return self._lock.run_exclusive(in_transaction)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, in_thread)
        except sqlite3.Error as error:
            raise to_account_error(error, self._path) from error

    def _join_and_exchange(self, db: sqlite3.Connection, reports: Reports) -> Allotments:
        if not self._has_joined:
            set_or_check_limits(db, self._path, self._limits, self.clock(), own_client=self._client)
        return self._exchange(db, reports)

    def _exchange(self, db: sqlite3.Connection, reports: Reports) -> Allotments:
        now = self.clock()
        # Record this client first. Otherwise, after a long suspension, it would count as dead and
        # remove itself.
        db.execute(
            "INSERT OR REPLACE INTO clients (client, seen_at, process) VALUES (?, ?, ?)",
            (self._client, now, self._process),
        )
        remove_dead_clients(db, now, unseen_s=LIVENESS_CHECK_S)
        free_expired_slots(db, now)
        # Record the time. If the clock later shows an earlier time, the machine was rebooted.
        db.execute("UPDATE limits SET last_seen = ?", (now,))
        limits = SharedLimits(*db.execute("SELECT rate, queue FROM limits").fetchone())
        return {
            key: self._exchange_key(db, key, report, limits, now) for key, report in reports.items()
        }

    def _exchange_key(
        self, db: sqlite3.Connection, key: str, report: KeyReport, limits: SharedLimits, now: float
    ) -> KeyAllotment:
        slots = SlotsOfKey(db=db, key=key, queue=limits.queue, client=self._client, now=now)
        poll_times: tuple[float, ...] | None = ()
        if limits.rate is None:
            poll_times = None
        else:
            times = PollTimesOfKey(db, key, self._client, limits.rate, now)
            times.record(report.poll_results)
            if report.polls_wanted:
                poll_times = times.take(report.polls_wanted)
        return evolve(
            slots.exchange(report.slots),
            poll_times=poll_times,
            pauses=_exchange_pauses(db, key, report.pauses),
        )

    def _leave(self, db: sqlite3.Connection, reports: Reports) -> Allotments:
        allotments = self._exchange(db, reports)
        db.execute("DELETE FROM clients WHERE client = ?", (self._client,))
        orphan_slots(db, self.clock())
        return allotments

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            # Everything is committed already, so a failed close loses nothing.
            with suppress(sqlite3.Error):
                db.close()


def connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    try:
        # With `synchronous = NORMAL`, a power cut may undo the latest commits. The power cut also
        # ends all clients, so the only harm is that slots of the latest submits count as free.
        db.execute("PRAGMA synchronous = NORMAL")
        db.create_function("has_died", 1, has_died)
    except BaseException:
        db.close()
        raise
    return db


def remove_dead_clients(db: sqlite3.Connection, now: float, *, unseen_s: float = 0.0) -> None:
    """
    Remove clients that have died or stopped reporting. Other clients can adopt their tickets.

    Args:
        db: A connection to the account, in a transaction that may write.
        now: The time on the account's clock.
        unseen_s: Skip clients that have reported within the last `unseen_s` seconds.
    """
    removed = db.execute(
        "DELETE FROM clients WHERE seen_at < ? OR (seen_at <= ? AND has_died(process))",
        (now - _LEASE_S, now - unseen_s),
    ).rowcount
    if removed:
        orphan_slots(db, now)


def set_or_check_limits(
    db: sqlite3.Connection, path: str, limits: SharedLimits, now: float, *, own_client: int = 0
) -> None:
    """
    Set the limits of an account, or check that its open clients have the same limits.

    Args:
        db: A connection to the account, in a transaction that may write.
        path: The file of the account.
        limits: The limits to set or to compare.
        now: The time on the account's clock.
        own_client: The number of the client that has these limits; 0 if the caller is not a
            client. The limits are compared only with those of other clients.

    Raises:
        OtherLimits: Open clients have other limits.
    """
    recorded = db.execute("SELECT rate, queue FROM limits").fetchone()
    if recorded is not None and recorded != limits:
        remove_dead_clients(db, now)
        if db.execute("SELECT 1 FROM clients WHERE client <> ?", (own_client,)).fetchone():
            raise limits.refusal(path, SharedLimits(*recorded))
    db.execute(
        "INSERT OR REPLACE INTO limits (id, rate, queue, last_seen) VALUES (1, ?, ?, ?)",
        (*limits, now),
    )


def _exchange_pauses(db: sqlite3.Connection, key: str, pauses: Pauses) -> Pauses:
    row = db.execute("SELECT submits, polls FROM pauses WHERE key = ?", (key,)).fetchone()
    recorded = Pauses() if row is None else Pauses(submits=row[0], polls=row[1])
    merged = pauses.merge(recorded)
    if merged != recorded:
        db.execute(
            "INSERT OR REPLACE INTO pauses (key, submits, polls) VALUES (?, ?, ?)",
            (key, merged.submits, merged.polls),
        )
    return merged


def to_account_error(error: sqlite3.Error, path: str) -> AccountError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
        return WrongAccount(
            "this is no SQLite database; it was left as it is; give the path of an account, or of "
            "a file that does not exist yet",
            path=path,
        )
    return AccountError(
        "the account cannot be used; see that its folder exists, may be written and has room "
        f"(SQLite: {error})",
        path=path,
    )
