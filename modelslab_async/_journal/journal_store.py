"""JournalStore: the interface for storing a journal in an SQLite file or a PostgreSQL database."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from .exports import ExportFormat

P = ParamSpec("P")
T = TypeVar("T")


class JournalStore(Protocol):
    """
    Carries out the operations of a journal.

    The argument `operation` of `write` and `read` is a function for SQLite, such as `tickets.add`.
    The store for PostgreSQL calls the corresponding function for PostgreSQL instead.
    """

    @property
    def path(self) -> str:
        """The name of the store, for messages. It contains no password."""
        ...

    @property
    def spans_hosts(self) -> bool:
        """Whether processes on several hosts may use the store at the same time."""
        ...

    def write(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[T]:
        """Carry out an operation in a transaction, and return its result after the commit."""
        ...

    async def read(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out an operation that only reads."""
        ...

    async def export(self, path: str, file_format: ExportFormat) -> int:
        """
        Write all outcomes to a file, and return their number.

        If this task is cancelled, stop at the next page, and wait until nothing writes any more.
        """
        ...

    async def wait_briefly(self, write: Awaitable[T]) -> T:
        """
        Wait for the result of `write`, but only a few seconds if the database cannot be reached.

        Raises:
            JournalError: The database cannot be reached. The write may be carried out later.
        """
        ...

    def start_leaving(self) -> None:
        """
        Prepare to close: from now on, wait only a few seconds if the database cannot be reached.

        If the batch is in a database and is being copied, do not wait for the end of the copy.
        `submits.confirm` and `own_submits.confirm_sent` may still wait for minutes, because they
        record the ticket of paid work.
        """
        ...

    async def aclose(self) -> None:
        """Finish all writes, and close the store."""
        ...
