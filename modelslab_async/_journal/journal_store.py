"""JournalStore: the interface for storing a journal in an SQLite file or in a database."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class JournalStore(Protocol):
    """
    Carries out the operations of a journal.

    An operation is a function for an SQLite file, such as `tickets.add`. A store that uses
    PostgreSQL calls another function in its place.
    """

    @property
    def path(self) -> str:
        """The name of the store, for messages. It contains no password."""
        ...

    @property
    def spans_hosts(self) -> bool:
        """Whether processes of several hosts may have the store open."""
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

    async def wait_briefly(self, write: Awaitable[T]) -> T:
        """
        Wait for the result of `write`. If the database is away, give up after a few seconds.

        Raises:
            JournalError: The database is away. The write may be carried out later.
        """
        ...

    def start_leaving(self) -> None:
        """
        From now on, wait only a few seconds for a database that is away.

        Only `submits.confirm` and `submits.confirm_sent` keep their longer limit, because they
        record the ticket of paid work.
        """
        ...

    async def aclose(self) -> None:
        """Finish all writes, and close the store."""
        ...
