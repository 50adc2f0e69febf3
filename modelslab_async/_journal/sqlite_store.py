"""SqliteStore: writes an SQLite file in one thread, and reads it in others. It knows no table."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Self, TypeVar

from .._models.journal_errors import JournalError, JournalReadOnly
from . import read_only_connection
from .sqlite_errors import file_gone_error
from .writer import Writer

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """
    Calls functions with connections to one journal file. Create it with `SqliteStore.open`.

    Attributes:
        path: The path of the file.
    """

    def __init__(
        self,
        path: str,
        writer: Writer,
        *,
        lock_timeout: float,
        read_only_error: JournalReadOnly | None,
    ) -> None:
        self.path = path
        self._writer = writer
        self._lock_timeout = lock_timeout
        self._read_only_error = read_only_error
        self._closed = False

    @classmethod
    async def open(cls, path: str, *, lock_timeout: float) -> Self:
        """
        Open the file, or create it. Without write access, open it for reading only.

        Raises:
            JournalError: The file can be neither written nor read. The message says why.
        """
        writer = Writer(path, lock_timeout)
        read_only_error: JournalReadOnly | None = None
        try:
            await writer.open()
        except JournalReadOnly as error:
            await asyncio.to_thread(read_only_connection.check_readable, path, lock_timeout)
            read_only_error = error
        return cls(path, writer, lock_timeout=lock_timeout, read_only_error=read_only_error)

    def write(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Future[T]:
        """
        Call a function in the next transaction. Return a future with its result after the commit.

        Raises:
            JournalError: The journal is closed or was opened for reading only.
        """
        if self._read_only_error is not None and not self._closed:
            raise JournalReadOnly(self._read_only_error.message, path=self.path)
        return self._writer.enqueue(lambda db: operation(db, *args, **kwargs))

    async def read(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Call a function with a read-only connection in a thread. It does not wait for writers.

        Raises:
            JournalError: The journal is closed or cannot be read.
        """
        if self._closed:
            raise JournalError("this journal is closed; open it again", path=self.path)
        return await asyncio.to_thread(
            read_only_connection.read,
            self.path,
            self._lock_timeout,
            lambda db: operation(db, *args, **kwargs),
        )

    async def aclose(self) -> None:
        """
        Finish all queued writes, and close the file.

        Raises:
            JournalError: The file was deleted or replaced while it was open.
        """
        self._closed = True
        is_file_gone = self._writer.is_file_gone
        await self._writer.aclose()
        if is_file_gone:
            raise file_gone_error(self.path)
