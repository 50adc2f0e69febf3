"""Schema: the tables of a journal and their version; makes, migrates and recognises files."""

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from .._models.journal_errors import JournalReadOnly, WrongJournal
from .write_lock import transaction

Migration: TypeAlias = Sequence[str]

# The letters "MLaj": tells the file of a journal from every other SQLite database.
APPLICATION_ID: Final = 0x4D4C616A

OPEN: Final = 0
UNRESOLVED: Final = 1
SUCCESS: Final = 2
FAILED: Final = 3

SAVE_PENDING: Final = 0
SAVE_FAILED: Final = 1
SAVED: Final = 2

# Whether a run is, at a time that is given. Every connection of ours knows the function.
RUN_IS_ALIVE: Final = "lease_until > ? AND NOT has_died(process)"

_VERSION_1: Migration = (
    "CREATE TABLE families (family INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE states (state INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    f"""
    INSERT INTO states (state, name) VALUES
        ({OPEN}, 'open'), ({UNRESOLVED}, 'unresolved'), ({SUCCESS}, 'success'), ({FAILED}, 'failed')
    """,
    """
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY AUTOINCREMENT,
        started_at REAL NOT NULL,
        lease_until REAL,
        process TEXT
    )
    """,
    # No type for the id: SQLite keeps 123 as a number of four bytes, and '00123' as that text.
    """
    CREATE TABLE tickets (
        ticket INTEGER PRIMARY KEY,
        family INTEGER NOT NULL REFERENCES families,
        id NOT NULL,
        state INTEGER NOT NULL DEFAULT 0 REFERENCES states,
        run INTEGER NOT NULL DEFAULT 0,
        added_at REAL NOT NULL,
        completed_at REAL,
        polls INTEGER NOT NULL DEFAULT 0,
        max_lag REAL,
        UNIQUE (family, id)
    )
    """,
    # Every question about what is left to do is answered by this, however much is done.
    f"CREATE INDEX unfinished ON tickets (state, run) WHERE state <= {UNRESOLVED}",
    """
    CREATE TABLE replies (
        ticket INTEGER PRIMARY KEY REFERENCES tickets,
        state INTEGER NOT NULL REFERENCES states,
        body TEXT,
        extra TEXT
    )
    """,
    """
    CREATE TABLE files (
        ticket INTEGER NOT NULL REFERENCES tickets,
        output_index INTEGER NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        url TEXT NOT NULL,
        recorded_at REAL NOT NULL,
        PRIMARY KEY (ticket, output_index)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE submits (
        submit INTEGER PRIMARY KEY,
        track_id TEXT NOT NULL UNIQUE,
        endpoint TEXT NOT NULL,
        payload_hash TEXT NOT NULL,
        recorded_at REAL NOT NULL,
        state TEXT NOT NULL DEFAULT 'uncertain' CHECK (state IN ('uncertain', 'confirmed')),
        ticket INTEGER REFERENCES tickets,
        run INTEGER REFERENCES runs
    )
    """,
    "CREATE INDEX uncertain ON submits (submit) WHERE state = 'uncertain'",
    """
    CREATE VIEW overview AS
    SELECT families.name || ':' || tickets.id AS ticket, states.name AS state, polls,
        datetime(added_at, 'unixepoch') AS added_at, datetime(completed_at, 'unixepoch') AS completed_at, body, extra
    FROM tickets JOIN families USING (family) JOIN states USING (state)
        LEFT JOIN replies ON replies.ticket = tickets.ticket
    """,
    f"""
    CREATE TABLE saves (
        ticket INTEGER PRIMARY KEY REFERENCES tickets,
        state INTEGER NOT NULL DEFAULT {SAVE_PENDING} CHECK (state IN ({SAVE_PENDING}, {SAVE_FAILED}, {SAVED})),
        run INTEGER NOT NULL DEFAULT 0,
        completed_at REAL,
        error TEXT
    )
    """,
    "CREATE TABLE pace_state (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL)",
    f"CREATE INDEX unfinished_saves ON saves (state, run) WHERE state <= {SAVE_FAILED}",
)

# The way from each version to the next. A file of version 1 has gone the first step.
MIGRATIONS: tuple[Migration, ...] = (_VERSION_1,)


def prepare(
    db: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """
    Make an empty file a journal, or bring an older journal to this version.

    Raises:
        WrongJournal: The file is something else, or of a newer version. It is left as it was.
    """
    if _read_version(db, path, len(migrations)) < len(migrations):
        # Write-ahead: readers never wait, and a commit is one write and one sync.
        db.execute("PRAGMA journal_mode = WAL")
        with transaction(db):
            # Another process may have been faster.
            for migration in migrations[_read_version(db, path, len(migrations)) :]:
                for statement in migration:
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {len(migrations)}")


def check_current(db: sqlite3.Connection, path: str) -> None:
    """
    See that a file that may only be read is a journal of this version.

    Raises:
        WrongJournal: It is something else, or of a newer version.
        JournalReadOnly: It is of an older one, and cannot be migrated.
    """
    version = _read_version(db, path, len(MIGRATIONS))
    if version < len(MIGRATIONS):
        raise JournalReadOnly(
            f"this journal has version {version} and may not be written, so that it cannot be "
            f"brought to version {len(MIGRATIONS)}; let somebody open it who may write it",
            path=path,
        )


def _read_version(db: sqlite3.Connection, path: str, newest_version: int) -> int:
    """Which version a file has; 0 for an empty one."""
    application_id, version, object_count = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application_id != APPLICATION_ID and (application_id or version or object_count):
        raise WrongJournal(
            "this is a database of another program and was left as it is; "
            "give the path of a journal, or of a file that does not exist yet",
            path=path,
        )
    if version > newest_version:
        raise WrongJournal(
            f"this journal has version {version}, and this package knows versions up to {newest_version}; "
            "upgrade modelslab_async to open it",
            path=path,
        )
    return int(version)
