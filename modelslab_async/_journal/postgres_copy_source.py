"""PostgresCopySource: reads the rows of a batch in PostgreSQL, and marks the batch as copied."""

from collections.abc import Sequence
from typing import Any, Final

from . import postgres_copy_marks as copy_marks
from .copy_marks import CopyMark, active_run_error
from .copy_rows import PAGE_ROWS, CopiedFile, CopiedSubmit, CopiedTicket, Page
from .page_size import PAGE_BYTES, bytes_of
from .postgres_context import PostgresContext
from .postgres_copy_connection import PostgresCopyConnection
from .postgres_leases import expire_runs
from .postgres_session import LONG_TIMEOUT_S
from .process_identity import has_died
from .recorded_files import FilePosition
from .row_codec import text_size
from .schema import OPEN

_LEASED_RUNS: Final = """
SELECT run, lease_until - date_part('epoch', clock_timestamp()), process FROM runs
WHERE batch = $1 AND lease_until IS NOT NULL AND lease_until < 'infinity'
ORDER BY lease_until DESC
"""


# `bytes_before` is the total size of the texts in earlier rows of the page. The row that reaches
# `PAGE_BYTES` is the last row of the page.
_TICKET_BYTES: Final = bytes_of("body", "other_fields", "columns", "error", "argument")
_FILE_BYTES: Final = bytes_of("path", "sha256", "url", "host")
_SELECT_TICKETS: Final = f"""
SELECT ticket, family, id, added_at,
    CASE WHEN completed_at IS NULL THEN {OPEN} ELSE state END, completed_at, polls, max_lag,
    state, body, other_fields, columns, save_state, save_completed_at, error, argument
FROM (
    SELECT known.ticket, family, id, added_at, replies.completed_at,
        coalesce(polls, 0) AS polls, max_lag, replies.state, body, other_fields, columns,
        saves.state AS save_state, saves.completed_at AS save_completed_at, error, argument,
        sum({_TICKET_BYTES}) OVER (ORDER BY known.ticket) - ({_TICKET_BYTES}) AS bytes_before
    FROM (
        SELECT * FROM tickets WHERE batch = $1 AND ticket > $2 ORDER BY ticket LIMIT {PAGE_ROWS}
    ) AS known
        LEFT JOIN LATERAL (
            SELECT * FROM replies WHERE batch = $1 AND ticket = known.ticket OFFSET 0
        ) AS replies ON true
        LEFT JOIN LATERAL (
            SELECT columns FROM inputs WHERE batch = $1 AND ticket = known.ticket OFFSET 0
        ) AS inputs ON true
        LEFT JOIN LATERAL (
            SELECT * FROM saves WHERE batch = $1 AND ticket = known.ticket OFFSET 0
        ) AS saves ON true
) AS page
WHERE bytes_before < {PAGE_BYTES} ORDER BY ticket
"""
_SELECT_FILES: Final = f"""
SELECT ticket, family, id, output_index, path, sha256, size, url, is_length_verified, recorded_at,
    host
FROM (
    SELECT found.*, family, id,
        sum({_FILE_BYTES}) OVER (ORDER BY found.ticket, output_index) - ({_FILE_BYTES})
            AS bytes_before
    FROM (
        SELECT * FROM files WHERE batch = $1 AND (ticket, output_index) > ($2, $3)
        ORDER BY ticket, output_index LIMIT {PAGE_ROWS}
    ) AS found CROSS JOIN LATERAL (
        SELECT family, id FROM tickets WHERE batch = $1 AND ticket = found.ticket OFFSET 0
    ) AS known
) AS page
WHERE bytes_before < {PAGE_BYTES} ORDER BY ticket, output_index
"""
# No index contains the submits of a batch in the order of their numbers, so the server must sort
# them. With a cursor, it sorts them only once, and not for each page. `format` is safe here,
# because `batch` is a number.
_OPEN_SUBMITS: Final = """
SET LOCAL cursor_tuple_fraction = 1.0;
DECLARE submits_to_copy NO SCROLL CURSOR FOR
SELECT submit, track_id, endpoint, payload_hash, recorded_at, columns, key, named_ticket, family, id
FROM submits LEFT JOIN LATERAL (
    SELECT family, id FROM tickets
    WHERE batch = submits.batch AND ticket = submits.ticket OFFSET 0
) AS known ON true
WHERE batch = {batch} ORDER BY submit
"""
# Fetch only a few rows at a time. A page ends when its rows reach a total size, and the size of a
# row is known only after the fetch.
_SUBMITS_PER_FETCH: Final = 50
_NEXT_SUBMITS: Final = f"FETCH {_SUBMITS_PER_FETCH} FROM submits_to_copy"
_SELECT_PACE: Final = "SELECT state FROM pace_state WHERE batch = $1"


class PostgresCopySource:
    """
    See `CopySource`. During a copy, all reads of rows use one snapshot of the batch.

    One connection marks the batch, and another one reads it. The marking transaction waits for a
    lock that prevents new tickets and submits. The reading connection takes its snapshot only when
    the lock is held, so the snapshot shows all rows. If it waited for the lock itself, its snapshot
    would be older than the lock, and could lack rows that were added during the wait.

    Attributes:
        path: The name of the journal: the hosts, the database and the batch.
    """

    def __init__(self, address: str) -> None:
        self._connection = PostgresCopyConnection(address)
        self._marking = PostgresCopyConnection(address)
        self.path = self._connection.path

    async def find_mark(self) -> CopyMark | None:
        """See `CopySource.find_mark`."""
        return await self._marking.run(copy_marks.find_mark)

    async def check_idle(self) -> None:
        """See `CopySource.check_idle`."""
        await self._marking.run(check_idle)

    async def begin(self, target: str) -> None:
        """See `CopySource.begin`."""

        async def keep_runs_out(db: PostgresContext) -> None:
            await copy_marks.keep_runs_out(db)
            await check_idle(db)

        async def mark(db: PostgresContext) -> None:
            await check_idle(db, allows_expired=False)
            if await copy_marks.find_mark(db) is None:
                await copy_marks.set_mark(db, CopyMark(target, is_complete=False))

        await self._marking.begin()
        await self._marking.run(keep_runs_out)
        # A run whose lease has run out may belong to a suspended process. After this call, such a
        # process cannot continue its run, and the mark keeps it from beginning another run. Do not
        # end these runs in the marking transaction, because it would keep their rows locked during
        # the whole copy. A resumed process that renews its lease would wait for the lock of its
        # run. Meanwhile, it could not record the ticket of a paid submit.
        await self._connection.run(lambda db: expire_runs(db, 0, 0.0))
        await self._marking.run(mark)
        await self._connection.begin_snapshot()

    async def ticket_page(self, after: int) -> Page[CopiedTicket, int]:
        """See `CopySource.ticket_page`."""
        rows = await self._fetch(_SELECT_TICKETS, after)
        return Page([CopiedTicket(*row[1:]) for row in rows], rows[-1][0] if rows else after)

    async def file_page(self, after: FilePosition) -> Page[CopiedFile, FilePosition]:
        """See `CopySource.file_page`."""
        rows = await self._fetch(_SELECT_FILES, *after)
        last = FilePosition(rows[-1][0], rows[-1][3]) if rows else after
        return Page([CopiedFile(*row[1:]) for row in rows], last)

    async def submit_page(self, after: int) -> Page[CopiedSubmit, int]:
        """See `CopySource.submit_page`."""

        async def fetch(db: PostgresContext) -> list[Any]:
            if after == 0:
                await db.session.run_script(_OPEN_SUBMITS.format(batch=db.batch))
            rows: list[Any] = []
            size = 0
            while len(rows) < PAGE_ROWS and size < PAGE_BYTES:
                fetched = await db.session.fetch(_NEXT_SUBMITS, timeout=LONG_TIMEOUT_S)
                if not fetched:
                    break
                rows += fetched
                size += sum(text_size([*row]) for row in fetched)
            return rows

        rows = await self._connection.run(fetch)
        return Page([CopiedSubmit(*row[1:]) for row in rows], rows[-1][0] if rows else after)

    async def pace_state(self) -> str | None:
        """See `CopySource.pace_state`."""
        rows = await self._fetch(_SELECT_PACE)
        return str(rows[0][0]) if rows else None

    async def commit_mark(self) -> None:
        """See `CopySource.commit_mark`."""
        await self._marking.commit()

    async def roll_back(self) -> None:
        """See `CopySource.roll_back`."""
        await self._connection.roll_back()
        await self._marking.roll_back()

    async def finish(self) -> None:
        """See `CopySource.finish`."""

        async def complete(db: PostgresContext) -> None:
            if (mark := await copy_marks.find_mark(db)) is not None:
                await copy_marks.set_mark(db, CopyMark(mark.target, is_complete=True))

        await self._connection.roll_back()
        await self._marking.begin()
        await self._marking.run(complete)
        await self._marking.commit()

    async def aclose(self) -> None:
        """See `CopySource.aclose`."""
        await self._connection.aclose()
        await self._marking.aclose()

    async def _fetch(self, statement: str, *arguments: Any) -> Sequence[Any]:
        return await self._connection.run(lambda db: db.fetch(statement, *arguments))


async def check_idle(db: PostgresContext, *, allows_expired: bool = True) -> None:
    """
    Check that no run is active.

    Args:
        db: The batch and the connection.
        allows_expired: Whether to ignore runs whose lease has expired. Such a run can still renew
            its lease until `expire_runs` ends it.

    Raises:
        JournalLocked: A run is active.
    """
    for run_id, lease_s, process in await db.fetch(_LEASED_RUNS):
        if (lease_s > 0 or not allows_expired) and not has_died(process):
            raise active_run_error(run_id, lease_s)
