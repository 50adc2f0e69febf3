"""Schema: the tables of a journal and their version; makes, migrates and recognises files."""

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from .._models.errors import JournalReadOnly, WrongJournal
from .write_lock import transaction

Step: TypeAlias = Sequence[str]

# The letters "MLaj": tells the file of a journal from every other SQLite database.
APPLICATION: Final = 0x4D4C616A

OPEN: Final = 0
UNRESOLVED: Final = 1
SUCCESS: Final = 2
FAILED: Final = 3

OWED: Final = 0
UNSAVED: Final = 1
SAVED: Final = 2

# Whether a run is, at a time that is given. Every connection of ours knows the function.
ALIVE: Final = "lease_until > ? AND NOT has_died(holder)"

_FIRST: Step = (
    "CREATE TABLE families (family INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE states (state INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    f"""
    INSERT INTO states (state, name) VALUES
        ({OPEN}, 'open'), ({UNRESOLVED}, 'unresolved'), ({SUCCESS}, 'success'), ({FAILED}, 'failed')
    """,
    """
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY AUTOINCREMENT,
        began REAL NOT NULL,
        lease_until REAL,
        holder TEXT
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
        added REAL NOT NULL,
        ended REAL,
        looks INTEGER NOT NULL DEFAULT 0,
        late REAL,
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
        rest TEXT
    )
    """,
    """
    CREATE TABLE files (
        ticket INTEGER NOT NULL REFERENCES tickets,
        number INTEGER NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        url TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (ticket, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE intents (
        intent INTEGER PRIMARY KEY,
        track_id TEXT NOT NULL UNIQUE,
        endpoint TEXT NOT NULL,
        payload_hash TEXT NOT NULL,
        at REAL NOT NULL,
        state TEXT NOT NULL DEFAULT 'doubtful' CHECK (state IN ('doubtful', 'confirmed')),
        ticket INTEGER REFERENCES tickets,
        run INTEGER REFERENCES runs
    )
    """,
    "CREATE INDEX doubtful ON intents (intent) WHERE state = 'doubtful'",
    """
    CREATE VIEW overview AS
    SELECT families.name || ':' || tickets.id AS ticket, states.name AS state, looks,
        datetime(added, 'unixepoch') AS added, datetime(ended, 'unixepoch') AS ended, body, rest
    FROM tickets JOIN families USING (family) JOIN states USING (state)
        LEFT JOIN replies ON replies.ticket = tickets.ticket
    """,
    f"""
    CREATE TABLE saves (
        ticket INTEGER PRIMARY KEY REFERENCES tickets,
        state INTEGER NOT NULL DEFAULT {OWED} CHECK (state IN ({OWED}, {UNSAVED}, {SAVED})),
        run INTEGER NOT NULL DEFAULT 0,
        ended REAL,
        why TEXT
    )
    """,
    "CREATE TABLE lessons (one INTEGER PRIMARY KEY CHECK (one = 1), learned TEXT NOT NULL)",
    f"CREATE INDEX unsaved ON saves (state, run) WHERE state <= {UNSAVED}",
)

# The way from each version to the next. A file of version 1 has gone the first step.
STEPS: tuple[Step, ...] = (_FIRST,)


def prepare(db: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """
    Make an empty file a journal, or bring an older journal to this version.

    Raises:
        WrongJournal: The file is something else, or of a newer version. It is left as it was.
    """
    if _version(db, path, len(steps)) < len(steps):
        # Write-ahead: readers never wait, and a commit is one write and one sync.
        db.execute("PRAGMA journal_mode = WAL")
        with transaction(db):
            # Another process may have been faster.
            for step in steps[_version(db, path, len(steps)) :]:
                for statement in step:
                    db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {len(steps)}")


def check_current(db: sqlite3.Connection, path: str) -> None:
    """
    See that a file that may only be read is a journal of this version.

    Raises:
        WrongJournal: It is something else, or of a newer version.
        JournalReadOnly: It is of an older one, and cannot be migrated.
    """
    version = _version(db, path, len(STEPS))
    if version < len(STEPS):
        raise JournalReadOnly(
            f"this journal has version {version} and may not be written, so that it cannot be "
            f"brought to version {len(STEPS)}; let somebody open it who may write it",
            path=path,
        )


def _version(db: sqlite3.Connection, path: str, newest: int) -> int:
    """Which version a file has; 0 for an empty one."""
    application, version, things = db.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION and (application or version or things):
        raise WrongJournal(
            "this is a database of another program and was left as it is; "
            "give the path of a journal, or of a file that does not exist yet",
            path=path,
        )
    if version > newest:
        raise WrongJournal(
            f"this journal has version {version}, and this package knows versions up to {newest}; "
            "upgrade modelslab_async to open it",
            path=path,
        )
    return int(version)
