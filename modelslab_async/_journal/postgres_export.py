"""Exports a journal from a PostgreSQL database. See `exports`."""

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from typing import Any, Final, TypeVar

from .._aio.threads import run_in_thread
from .._models.ticket import Columns, Ticket
from . import exports
from .export_columns import InputColumn, input_columns
from .exports import ExportFormat
from .page_size import PAGE_BYTES, bytes_of
from .postgres_context import PostgresContext
from .postgres_errors import LocalError
from .postgres_queries import read_page
from .queries import RecordedOutcome
from .row_codec import decode_columns

T = TypeVar("T")

# Read everything in one transaction, so that all pages show the same moment. The transaction has no
# idle timeout, because it is idle while a page is written to the file.
_BEGIN: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = 0
"""
_SELECT_COLUMNS: Final = f"""
SELECT page.ticket, family, id, columns
FROM (
    SELECT *, sum({bytes_of("columns")}) OVER (ORDER BY ticket) - {bytes_of("columns")}
        AS bytes_before
    FROM (
        SELECT ticket, columns FROM inputs WHERE batch = $1 AND ticket > $2
        ORDER BY ticket LIMIT $3
    ) AS given
) AS page CROSS JOIN LATERAL (
    SELECT family, id FROM tickets WHERE batch = $1 AND ticket = page.ticket OFFSET 0
) AS known
WHERE bytes_before < $4::bigint ORDER BY page.ticket
"""


async def export(
    db: PostgresContext,
    path: str,
    file_format: ExportFormat,
    stop: threading.Event,
) -> int:
    """See `exports.export`."""
    await db.session.run_script(_BEGIN)
    snapshot = PostgresSnapshot(db, stop)
    try:
        # The thread needs this event loop to read a page.
        return await run_in_thread(
            exports.write_export,
            snapshot,
            path,
            file_format,
            waits_for_loop=True,
            on_cancel=stop.set,
        )
    except Exception as error:
        if snapshot.read_error is None:
            # Every read succeeded, so the error does not come from the database. Wrap it, so that
            # the store does not mistake it for a lost connection and retry.
            raise LocalError(error) from error
        raise


class PostgresSnapshot:
    """
    A snapshot of all outcomes of a journal in a database. A thread writes it to a file.

    Attributes:
        count: The number of outcomes that have been read so far.
        read_error: The error of a read that failed; None if all reads succeeded.
    """

    def __init__(self, db: PostgresContext, stop: threading.Event) -> None:
        self.count = 0
        self.read_error: BaseException | None = None
        self._db = db
        self._stop = stop
        self._loop = asyncio.get_running_loop()

    def pages(self) -> Iterator[list[RecordedOutcome]]:
        """See `Snapshot`."""
        cursor: int | None = 0
        while cursor is not None:
            rows = self._read(read_page(self._db, cursor, exports.PAGE_SIZE))
            cursor = rows.next_cursor
            page = rows.decode()
            self.count += len(page)
            yield page

    def input_columns(self) -> tuple[InputColumn, ...]:
        """See `Snapshot`."""
        return input_columns(self._input_rows())

    def check_not_cancelled(self) -> None:
        """See `exports.Snapshot`."""
        if self._stop.is_set():
            raise InterruptedError("the export was cancelled")

    def _input_rows(self) -> Iterator[Columns]:
        rows: list[Any] = []
        while rows := self._read(
            self._db.fetch(
                *(_SELECT_COLUMNS, rows[-1][0] if rows else 0, exports.PAGE_SIZE, PAGE_BYTES)
            )
        ):
            for _, family, id_, columns in rows:
                yield decode_columns(Ticket(family, id_), columns, "inputs")

    def _read(self, reading: Awaitable[T]) -> T:
        """Run a read in the event loop, and block this thread until the read is done."""

        async def read() -> T:
            return await reading

        try:
            result = asyncio.run_coroutine_threadsafe(read(), self._loop).result()
        except BaseException as error:
            self.read_error = error
            raise
        self.check_not_cancelled()
        return result
