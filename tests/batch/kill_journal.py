"""The journal of `kill.py` and `submit_kill.py`: a file, or a batch in a database of its own."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from postgres_server import PostgresServer

from modelslab_async.journal import Journal

Location: TypeAlias = Path | str

# For a busy machine.
_LOCK_TIMEOUT_S = 300.0


@contextmanager
def new_journals(*, in_database: bool) -> Iterator[Callable[[Path], Location]]:
    """
    Give a function that returns the location of a new journal for a folder.

    It is a file in the folder, or a batch on a PostgreSQL server. The server is a new one, which
    ends with the block. Forks of this process are patient with it. Without PostgreSQL, the script
    ends with a message.
    """
    if not in_database:
        yield lambda folder: folder / "journal"
        return
    with ExitStack() as stack:
        try:
            server = stack.enter_context(PostgresServer.running())
        except pytest.skip.Exception as missing:
            sys.exit(str(missing))
        yield lambda folder: f"{server.address}&batch=kills-{folder.name}"


class JournalReader:
    """Opens the journal of the workers in the process of the server."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._kept: Journal | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Journal, None]:
        """
        Open the journal for the block.

        A file is closed afterwards, because SQLite recovers the log of a killed process only once
        no other process has the file open. A database stays open, because opening it takes long.
        """
        if isinstance(self._location, Path):
            async with Journal.open(self._location, lock_timeout=_LOCK_TIMEOUT_S) as journal:
                yield journal
            return
        async with self._opening:
            if self._kept is None:
                opening = Journal.open(self._location)
                self._kept = await self._stack.enter_async_context(opening)
        yield self._kept
