"""JournalStore: what a journal needs of the place that it is kept in. It stores nothing itself."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class JournalStore(Protocol):
    """
    Carries out the operations of a journal.

    Each operation is named by the function that carries it out in an SQLite file, such as
    `tickets.add`. Another store has a counterpart with the same arguments for each of them.
    """

    @property
    def path(self) -> str:
        """The name of the store, for messages. It contains no password."""
        ...

    def write(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[T]:
        """Carry out an operation in a transaction. The result comes after the commit."""
        ...

    async def read(
        self,
        operation: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Carry out an operation that changes nothing."""
        ...

    async def aclose(self) -> None:
        """Finish all writes, and close the store."""
        ...
