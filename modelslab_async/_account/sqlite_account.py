"""SQLiteAccount: a shared account for the clients on one machine, in an SQLite file."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from .._journal.fair_write_lock import WriteLock, transaction
from .._journal.sqlite_path import check_account_path
from .._models.key_kind import Tier
from .account_link import AccountLink
from .shared_limits import SharedLimits, check_account_limits
from .sqlite_report_exchange import (
    LOCK_TIMEOUT_S,
    SQLiteMembership,
    connect,
    remove_dead_clients,
    set_or_check_limits,
    to_account_error,
)
from .sqlite_slots import orphan_slots
from .sqlite_tables import forget_times, prepare_tables


class SQLiteAccount:
    """
    An account for clients on one machine. They share its slots, its poll rate and its pauses.

    A client that gets a webhook tells the other clients. The client that waits for the ticket then
    polls the ticket at once.

    Give the account to each client:
    `Client(account=SQLiteAccount("account.db", rate=100, queue=5))`. All processes that name the
    same file share the account. No server is needed. If a client is killed, the others take over
    its tickets, and free the slots when these tickets end.

    The file holds only a digest of the API key. You may delete the file while no client is open.

    Args:
        path: The file. It must be on a local disk: locks on network file systems are unreliable.
        rate: The maximum number of polls a second with one API key, of all clients together, up to
            2,147,483,647; None for no limit.
        queue: The maximum number of queued generations for each API key, of all clients together:
            5, 10 or 15, depending on the plan, and up to 2,147,483,647; None for no limit.
        clock: Returns the time in seconds. All processes of the machine must use the same clock.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range, the path names no file, or other clients have
            opened the account with other limits. The limits are checked again when a client of this
            object opens. If they differ then, the client's waits and submits raise the error.
        AccountError: The file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float | None = None,
        queue: int | None = 5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_account_limits(rate, queue)
        self.path = check_account_path(path)
        self._limits = SharedLimits(rate, queue)
        self._clock = clock
        try:
            lock = WriteLock(LOCK_TIMEOUT_S)
            with closing(lock.run_exclusive(lambda: connect(self.path))) as db:
                # Retry each transaction separately. If many processes start at the same time, both
                # transactions would seldom succeed in the same attempt.
                lock.run_exclusive(lambda: prepare_tables(db, self.path))
                lock.run_exclusive(lambda: self._prepare_limits(db))
        except sqlite3.Error as error:
            raise to_account_error(error, self.path) from error

    @property
    def rate(self) -> float | None:
        """The maximum number of polls a second with one API key; None for no limit."""
        return self._limits.rate

    @property
    def queue(self) -> int | None:
        """The maximum number of queued generations for each API key; None for no limit."""
        return self._limits.queue

    def __repr__(self) -> str:
        return f"SQLiteAccount({self.path!r}, rate={self.rate!r}, queue={self.queue!r})"

    def join(self, digest_of: Callable[[Tier], str]) -> AccountLink:
        """Let one more client join this account. Only `Client` calls this method."""
        return AccountLink(self.make_membership(), digest_of, has_rate=self.rate is not None)

    def make_membership(self) -> SQLiteMembership:
        """Return a membership for one more client, with a connection of its own."""
        return SQLiteMembership(self.path, self._limits, self._clock)

    def _prepare_limits(self, db: sqlite3.Connection) -> None:
        now = self._clock()
        with transaction(db):
            if db.execute("SELECT 1 FROM limits WHERE last_seen > ?", (now,)).fetchone():
                forget_times(db, now)
                orphan_slots(db, now)
            remove_dead_clients(db, now)
            set_or_check_limits(db, self.path, self._limits, now)
