"""PostgresCopyConnection: the connection that `copy_journal` uses to read or write a batch."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._models.journal_errors import JournalLocked
from .postgres_batch_location import PostgresBatch
from .postgres_context import PostgresContext
from .postgres_copy_marks import lock_key
from .postgres_errors import is_lost

T = TypeVar("T")

# The kind of advisory lock that a copy holds, so that no other copy of the batch can begin.
_COPY_LOCK: Final = 0x4D4C6A63
_TRY_LOCK: Final = f"SELECT pg_try_advisory_xact_lock({lock_key(_COPY_LOCK)})"
# The transaction has no idle timeout. It is idle while the other side of the copy reads or writes a
# page, and this can take long.
_NO_IDLE_TIMEOUT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_BEGIN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED; {_NO_IDLE_TIMEOUT}"
_BEGIN_SNAPSHOT: Final = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {_NO_IDLE_TIMEOUT}"


class PostgresCopyConnection:
    """
    The connection through which a copy reads or writes a batch in PostgreSQL.

    The connection opens at the first call of a method that needs it.

    Attributes:
        path: The name of the journal: the hosts, the database and the batch.
    """

    def __init__(self, address: str) -> None:
        self._batch = PostgresBatch.parse(address)
        self.path = self._batch.shown
        self._session = self._batch.make_session()
        self._context: PostgresContext | None = None

    async def run(self, work: Callable[[PostgresContext], Awaitable[T]]) -> T:
        """
        Call `work` with the connection, and return its result. Create the batch if it is missing.

        Raises:
            JournalError: The server cannot be reached or used, or `work` raised this error.
        """
        try:
            return await work(await self._connected())
        except Exception as error:  # noqa: BLE001 -- the driver raises errors of many bases.
            translate = self._batch.translate
            failure = translate(error) if is_lost(error) else translate.for_caller(error)
        # Raise outside the `except` block. Otherwise `__context__` would hold the original error,
        # whose message could contain the password.
        raise failure

    async def begin(self) -> None:
        """
        Begin a transaction. Until it ends, no other process can copy the batch.

        Raises:
            JournalLocked: Another process is copying the batch.
        """

        async def begin(db: PostgresContext) -> None:
            await db.session.run_script(_BEGIN)
            (is_free,) = await db.fetch_row(_TRY_LOCK)
            if not is_free:
                raise JournalLocked("another process copies this batch now; wait for its end")

        await self.run(begin)

    async def begin_snapshot(self) -> None:
        """Begin a transaction whose reads all show the same moment: that of the first read."""
        await self.run(lambda db: db.session.run_script(_BEGIN_SNAPSHOT))

    async def commit(self) -> None:
        """Commit the transaction."""
        await self.run(lambda db: db.session.run_script("COMMIT"))

    async def roll_back(self) -> None:
        """Undo the transaction, if there is one. If the connection is broken, drop it."""
        if self._context is None:
            return
        try:
            await self._session.run_script("ROLLBACK")
        except Exception:  # noqa: BLE001 -- the driver raises errors of many bases.
            self._session.drop()
            self._context = None

    async def aclose(self) -> None:
        """Close the connection."""
        await self._session.aclose()

    async def _connected(self) -> PostgresContext:
        if self._context is None:
            number = await self._batch.prepare()
            await self._session.connect()
            self._context = PostgresContext(self._session, number, has_server_clock=True)
        return self._context
