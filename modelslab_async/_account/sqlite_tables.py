"""Creates the tables of an `SQLiteAccount`, but not in the file of another program."""

import sqlite3
from typing import Final

from .._journal.fair_write_lock import transaction
from .._journal.schema import read_identity
from .._models.account_errors import WrongAccount
from .._submitting.uncertain_slots import DEFAULT_DURATION_S

# The letters "MLac", which mark an SQLite database as an account.
_APPLICATION_ID: Final = 0x4D4C6163
_VERSION: Final = 2
# Accounts of this version have no table `poll_permits`. The table is added when such an account is
# opened.
_VERSION_WITHOUT_PERMITS: Final = 1

# The tables of an account. All times are on the machine's monotonic clock, which restarts at each
# boot.
_TABLES: Final = (
    """
    CREATE TABLE limits (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        rate,
        queue INTEGER,
        last_seen REAL NOT NULL
    )
    """,
    "CREATE TABLE clients (client INTEGER PRIMARY KEY, seen_at REAL NOT NULL, process TEXT)",
    """
    CREATE TABLE held_tickets (
        key TEXT NOT NULL,
        family TEXT NOT NULL,
        id TEXT NOT NULL,
        client INTEGER NOT NULL,
        endpoint TEXT NOT NULL,
        submitted_at REAL NOT NULL,
        PRIMARY KEY (key, family, id)
    ) WITHOUT ROWID
    """,
    # The table `submitting` counts each client's submits that are in flight or wait for a slot.
    # Submits that may or may not have started work are in the table `uncertain`.
    """
    CREATE TABLE submitting (
        key TEXT NOT NULL,
        client INTEGER NOT NULL,
        in_flight INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        reported_at REAL NOT NULL,
        granted_at REAL NOT NULL,
        PRIMARY KEY (key, client)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE uncertain (key TEXT NOT NULL, client INTEGER NOT NULL, until REAL NOT NULL)",
    """
    CREATE TABLE poll_times (
        key TEXT PRIMARY KEY,
        next_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pollers (
        key TEXT NOT NULL,
        client INTEGER NOT NULL,
        asked_at REAL NOT NULL,
        PRIMARY KEY (key, client)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE pauses (
        key TEXT PRIMARY KEY,
        submits REAL NOT NULL,
        polls REAL NOT NULL
    ) WITHOUT ROWID
    """,
)
# The table of webhook hints. An older account may lack this table, because it was added without a
# new version number.
_WEBHOOK_HINTS: Final = """
    CREATE TABLE IF NOT EXISTS webhook_hints (
        hint INTEGER PRIMARY KEY AUTOINCREMENT,
        client INTEGER NOT NULL,
        body TEXT NOT NULL,
        added_at REAL NOT NULL
    )
    """


# One row for each permit. The latest grant was to `client`, for a poll at the time `granted`.
# `latest_start` is the latest possible start of this poll. `last_start` is the start of the latest
# poll whose end was reported. When the end of the granted poll is reported, both columns become
# equal. While they differ, the permit is open.
_POLL_PERMITS: Final = """
    CREATE TABLE IF NOT EXISTS poll_permits (
        key TEXT NOT NULL,
        permit INTEGER NOT NULL,
        client INTEGER NOT NULL,
        granted REAL NOT NULL,
        last_start REAL NOT NULL,
        latest_start REAL NOT NULL,
        PRIMARY KEY (key, permit)
    ) WITHOUT ROWID
    """
# An older account may lack these indexes, because they were added without a new version number.
_POLL_PERMITS_INDEXES: Final = (
    """
    CREATE INDEX IF NOT EXISTS poll_permits_by_latest_start
        ON poll_permits (key, latest_start)
    """,
    "CREATE INDEX IF NOT EXISTS poll_permits_by_granted ON poll_permits (key, granted)",
)


def prepare_tables(db: sqlite3.Connection, path: str) -> None:
    """
    Create the tables in an empty file, or check that the file holds a shared account.

    Raises:
        WrongAccount: The file belongs to another program, or to a newer version. It is left
            unchanged.
    """
    # The journal mode is stored in the file, so check first whose file it is.
    _find_version(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    with transaction(db):
        # Check again, because another process may have created the tables before this process got
        # the lock.
        version = _find_version(db, path)
        if version is None:
            for statement in _TABLES:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        if version != _VERSION:
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute(_WEBHOOK_HINTS)
        db.execute(_POLL_PERMITS)
        for statement in _POLL_PERMITS_INDEXES:
            db.execute(statement)


def _find_version(db: sqlite3.Connection, path: str) -> int | None:
    """
    Return the version of the account in a file; None if the file is empty.

    Raises:
        WrongAccount: The file belongs to another program, or to a newer version.
    """
    identity = read_identity(db)
    if not any(identity):
        return None
    if identity.application_id != _APPLICATION_ID:
        raise WrongAccount(
            "this is the file of another program; it was left as it is; give the path of an "
            "account, or of a file that does not exist yet",
            path=path,
        )
    if identity.version not in (_VERSION_WITHOUT_PERMITS, _VERSION):
        raise WrongAccount(
            f"this account has version {identity.version}, and this library knows version "
            f"{_VERSION}; use the same version of the library in all processes",
            path=path,
        )
    return identity.version


def forget_times(db: sqlite3.Connection, now: float) -> None:
    """After a reboot, discard all recorded times, because the machine's clock has restarted."""
    for table in ("clients", "poll_times", "poll_permits", "pollers", "pauses", "webhook_hints"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 -- the names stand in this function.
    # Tickets and uncertain submits keep their slots, because the server may still work on them.
    db.execute("UPDATE held_tickets SET submitted_at = ?", (now,))
    db.execute("UPDATE uncertain SET until = ?", (now + DEFAULT_DURATION_S,))
