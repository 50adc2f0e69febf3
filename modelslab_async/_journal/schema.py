"""Creates and migrates a journal's tables. Never changes the database of another program."""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from .._models.journal_errors import JournalReadOnly, WrongJournal
from .fair_write_lock import transaction

Migration: TypeAlias = Sequence[str]

# The letters "MLaj", which mark an SQLite database as a journal.
APPLICATION_ID: Final = 0x4D4C616A

# The states of a ticket.
OPEN: Final = 0
UNRESOLVED: Final = 1
SUCCESS: Final = 2
FAILED: Final = 3

# The states of saving a ticket's files.
SAVE_PENDING: Final = 0
SAVE_FAILED: Final = 1
SAVED: Final = 2

# The SQL condition for an active run. Its parameter is the current time. `has_died` is an SQL
# function that `writer.configured` adds to every connection.
RUN_IS_ALIVE: Final = "lease_until > ? AND NOT has_died(process)"

_VERSION_2: Migration = (
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
    # The column `id` has no type, so that SQLite stores 123 as a short integer and '00123' as text.
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
    # All queries for unfinished tickets use the index `unfinished`, so finished tickets do not slow
    # them down.
    f"CREATE INDEX unfinished ON tickets (state, run) WHERE state <= {UNRESOLVED}",
    """
    CREATE TABLE replies (
        ticket INTEGER PRIMARY KEY REFERENCES tickets,
        state INTEGER NOT NULL REFERENCES states,
        body TEXT,
        other_fields TEXT
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
        is_length_verified INTEGER NOT NULL,
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
        datetime(added_at, 'unixepoch') AS added_at,
        datetime(completed_at, 'unixepoch') AS completed_at, body, other_fields
    FROM tickets JOIN families USING (family) JOIN states USING (state)
        LEFT JOIN replies ON replies.ticket = tickets.ticket
    """,
    f"""
    CREATE TABLE saves (
        ticket INTEGER PRIMARY KEY REFERENCES tickets,
        state INTEGER NOT NULL DEFAULT {SAVE_PENDING}
            CHECK (state IN ({SAVE_PENDING}, {SAVE_FAILED}, {SAVED})),
        run INTEGER NOT NULL DEFAULT 0,
        completed_at REAL,
        error TEXT,
        argument TEXT
    )
    """,
    "CREATE TABLE pace_state (id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL)",
    f"CREATE INDEX unfinished_saves ON saves (state, run) WHERE state <= {SAVE_FAILED}",
)

_VERSION_3: Migration = (
    # `columns` contains a ticket's row of the input table as JSON. It is not in the table
    # `tickets`, so that counting the tickets does not read these texts.
    "CREATE TABLE inputs (ticket INTEGER PRIMARY KEY REFERENCES tickets, columns TEXT NOT NULL)",
    "ALTER TABLE submits ADD COLUMN columns TEXT",
    "CREATE INDEX submits_of_tickets ON submits (ticket) WHERE ticket IS NOT NULL",
    # The column `key` contains the submission key, which is the caller's own name for a submit. It
    # is never sent to the server.
    "ALTER TABLE submits ADD COLUMN key TEXT",
    "CREATE UNIQUE INDEX submits_by_key ON submits (key) WHERE key IS NOT NULL",
)

_VERSION_4: Migration = (
    # The host that saved the file. Null if an older version of this package recorded the file.
    "ALTER TABLE files ADD COLUMN host TEXT",
)

_VERSION_5: Migration = (
    # The ticket that the reply to an uncertain submit names, as text. Null if it names none.
    "ALTER TABLE submits ADD COLUMN named_ticket TEXT",
)

# The version that the first migration creates. Version 1 was never released.
_FIRST_VERSION: Final = 2
# The first migration creates the tables in an empty file. Each later migration upgrades them to the
# next version.
MIGRATIONS: tuple[Migration, ...] = (_VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)


class FileIdentity(NamedTuple):
    """
    The values that show to which program a database file belongs, and which version it has.

    In an empty file, all are 0.
    """

    application_id: int
    version: int
    object_count: int


def read_identity(db: sqlite3.Connection) -> FileIdentity:
    """Read the identity of a database file. This never changes the file."""
    return FileIdentity(
        *db.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
            "FROM pragma_application_id, pragma_user_version"
        ).fetchone()
    )


def newest_version(migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Return the version that a journal has after the last migration."""
    return _FIRST_VERSION + len(migrations) - 1


def prepare(
    db: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """
    Create the tables in an empty file, or migrate an older journal to the newest version.

    Raises:
        WrongJournal: The file is not a journal or has an unknown version. It is left unchanged.
    """
    if _pending_migrations(db, path, migrations):
        # Use a write-ahead log: readers never wait, and a commit needs one write and one fsync.
        db.execute("PRAGMA journal_mode = WAL")
        with transaction(db):
            # Ask again which migrations are needed, because another process may have migrated the
            # file before this process got the lock.
            for migration in _pending_migrations(db, path, migrations):
                for statement in migration:
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {newest_version(migrations)}")


def check_current(
    db: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """
    Check that a read-only file is a journal of the newest version.

    Without write access, an older journal cannot be migrated.

    Raises:
        WrongJournal: The file is not a journal or has an unknown version.
        JournalReadOnly: The journal has an older version.
    """
    if _pending_migrations(db, path, migrations):
        raise JournalReadOnly(
            "this journal is of an older version and may not be written, so that it cannot be "
            f"brought to version {newest_version(migrations)}; open it once as a user who may "
            "write it",
            path=path,
        )


def _pending_migrations(
    db: sqlite3.Connection, path: str, migrations: Sequence[Migration]
) -> Sequence[Migration]:
    """Return the migrations that a file still needs. An empty file needs all of them."""
    identity = read_identity(db)
    newest = newest_version(migrations)
    if identity.application_id != APPLICATION_ID:
        if any(identity):
            raise WrongJournal(
                "this is a database of another program and was left as it is; "
                "give the path of a journal, or of a file that does not exist yet",
                path=path,
            )
        return migrations
    if identity.version > newest:
        raise WrongJournal(
            f"this journal has version {identity.version}, and this package knows versions up to "
            f"{newest}; upgrade modelslab_async to open it",
            path=path,
        )
    if identity.version < _FIRST_VERSION:
        raise WrongJournal(
            f"this journal has version {identity.version}, which no release of modelslab_async "
            f"wrote, and was left as it is; this package knows versions from {_FIRST_VERSION}; "
            "give the path of a file that does not exist yet",
            path=path,
        )
    return migrations[identity.version - _FIRST_VERSION + 1 :]
