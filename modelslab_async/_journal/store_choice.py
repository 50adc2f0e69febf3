"""Opens the store of a journal: an SQLite file or, for an address, a PostgreSQL database."""

import os
import time
from collections.abc import Callable

from .._models.argument_checks import check_callback, check_nonnegative_seconds
from .._postgres.postgres_address import is_address
from .journal_store import JournalStore
from .sqlite_path import check_journal_path
from .sqlite_store import SqliteStore


async def open_store(
    path: str | os.PathLike[str], *, clock: Callable[[], float], lock_timeout: float
) -> tuple[JournalStore, Callable[[], float]]:
    """
    Open the store of a journal, and return it with its clock.

    Args:
        path: The path of a file, or the address of a database.
        clock: The clock to use. If it is `time.time`, a PostgreSQL database uses its own clock
            instead.
        lock_timeout: How many seconds to wait while another process has the file locked.

    Raises:
        JournalError: The store cannot be opened.
        TypeError: An argument has the wrong type.
        ValueError: The path or the address is malformed, or the timeout is negative.
    """
    check_callback("clock", clock, allow_async=False, allow_none=False)
    check_nonnegative_seconds("lock_timeout", lock_timeout)
    if is_address(path):
        # Imported here, because few programs use a database.
        from .postgres_store import PostgresStore  # noqa: PLC0415

        store = await PostgresStore.open(path, clock=None if clock is time.time else clock)
        return store, store.clock
    return await SqliteStore.open(check_journal_path(path), lock_timeout=lock_timeout), clock
