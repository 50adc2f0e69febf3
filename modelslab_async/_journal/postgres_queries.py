"""Counts and lists the contents of a journal in PostgreSQL. See `queries`."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from attrs import frozen

from .._aio.threads import run_in_thread
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .page_size import PAGE_BYTES, bytes_of
from .postgres_context import PostgresContext, now_sql
from .postgres_files import files_between
from .postgres_submits import count_uncertain
from .process_identity import has_died
from .queries import RecordedOutcome, Report, SubmitOrigin
from .recorded_files import RecordedFile
from .row_codec import damaged_row, decode, decode_columns
from .schema import FAILED, OPEN, SAVE_FAILED, SAVE_PENDING, SAVED, SUCCESS, UNRESOLVED

# Counting reads whole tables, so allow sequential scans here. `PostgresSession` turns them off for
# all other statements.
_BEGIN_REPORT: Final = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = on;
SET LOCAL enable_bitmapscan = on
"""
_COUNT_TICKETS: Final = "SELECT count(*) FROM tickets WHERE batch = $1"
# Search `other_fields` as text, because PostgreSQL cannot parse JSON with a NUL character. No error
# message in the JSON can match the pattern, because JSON escapes the quotes in a message.
_COUNT_OUTCOMES: Final = f"""
SELECT count(*) FILTER (WHERE state = {UNRESOLVED} AND completed_at IS NOT NULL),
    count(*) FILTER (WHERE state = {SUCCESS} AND completed_at IS NOT NULL),
    count(*) FILTER (WHERE state = {FAILED} AND completed_at IS NOT NULL),
    coalesce(sum(polls), 0),
    count(*) FILTER (WHERE state = {FAILED} AND completed_at IS NOT NULL
        AND other_fields LIKE '%"reason":"not_found"%')
FROM replies WHERE batch = $1
"""
_COUNT_RUNNING: Final = f"""
SELECT process, (SELECT count(*) FROM unfinished
    WHERE unfinished.batch = $1 AND unfinished.state = {OPEN} AND unfinished.run = runs.run)
FROM runs WHERE batch = $1 AND lease_until > {now_sql(2)}
"""
_COUNT_SAVES: Final = f"""
SELECT count(*) FILTER (WHERE state = {SAVE_PENDING}),
    count(*) FILTER (WHERE state = {SAVE_FAILED}), count(*) FILTER (WHERE state = {SAVED})
FROM saves WHERE batch = $1
"""
_COUNT_FILES: Final = "SELECT count(*) FROM files WHERE batch = $1"
_OUTCOME_BYTES: Final = bytes_of("body", "other_fields", "columns")
# `bytes_read` is the total size of the texts up to and including a row. A page ends with the row
# that reaches `$4`.
_SELECT_OUTCOMES: Final = f"""
SELECT bytes_read, ticket, family, id, added_at, completed_at, polls, max_lag, state, body,
    other_fields, columns
FROM (
    SELECT *, {_OUTCOME_BYTES} AS own_bytes,
        sum({_OUTCOME_BYTES}) OVER (ORDER BY ticket) AS bytes_read
    FROM (
        SELECT tickets.ticket, family, id, added_at, completed_at, polls, max_lag, replies.state,
            body, other_fields, columns
        FROM tickets
            JOIN replies ON replies.batch = $1 AND replies.ticket = tickets.ticket
            LEFT JOIN inputs ON inputs.batch = $1 AND inputs.ticket = tickets.ticket
        WHERE tickets.batch = $1 AND tickets.ticket > $2 AND replies.ticket > $2
            AND completed_at IS NOT NULL
        ORDER BY tickets.ticket LIMIT $3
    ) AS known
) AS page
WHERE bytes_read - own_bytes < $4::bigint ORDER BY ticket
"""
_SELECT_ORIGINS: Final = """
SELECT ticket, track_id, endpoint, coalesce(key, '') FROM submits
WHERE batch = $1 AND ticket IS NOT NULL AND ticket > $2 AND ticket <= $3 ORDER BY submit
"""
_SELECT_LAST: Final = """
SELECT completed_at IS NOT NULL, replies.state, body, other_fields
FROM tickets JOIN replies ON replies.batch = $1 AND replies.ticket = tickets.ticket
WHERE tickets.batch = $1 AND family = $2 AND id = $3 AND replies.state IS NOT NULL
"""


async def report(db: PostgresContext, own_submits: Set[str], *, now: float) -> Report:
    """See `queries.report`."""
    await db.session.run_script(_BEGIN_REPORT)
    ((tickets,),) = await db.fetch_whole(_COUNT_TICKETS)
    ((unresolved, success, failed, polls, not_found),) = await db.fetch_whole(_COUNT_OUTCOMES)
    running = await db.fetch_whole(_COUNT_RUNNING, db.moment(now))
    ((save_pending, unsaved, saved),) = await db.fetch_whole(_COUNT_SAVES)
    ((files,),) = await db.fetch_whole(_COUNT_FILES)
    uncertain = await count_uncertain(db, own_submits, now=now)
    return Report(
        tickets=tickets,
        open=tickets - unresolved - success - failed,
        running=sum(count for process, count in running if not has_died(process)),
        unresolved=unresolved,
        success=success,
        failed=failed,
        not_found=not_found,
        polls=polls,
        files=files,
        save_pending=save_pending,
        unsaved=unsaved,
        saved=saved,
        uncertain=uncertain,
    )


@frozen(kw_only=True)
class OutcomeRows:
    """
    A page of outcomes whose rows are not decoded yet.

    Attributes:
        rows: The rows of the outcomes.
        tickets: The tickets, keyed by their row number.
        files: The recorded files of tickets, keyed by the ticket's row number.
        origins: The submits of this batch that started the work, keyed by the ticket's row number.
        next_cursor: Where the next page begins; None if this page is the last one.
    """

    rows: Sequence[Any]
    tickets: Mapping[int, Ticket]
    files: Mapping[int, tuple[RecordedFile, ...]]
    origins: Mapping[int, SubmitOrigin]
    next_cursor: int | None

    def decode(self) -> list[RecordedOutcome]:
        """
        Return the outcomes in these rows. Call this in a thread, because it takes long.

        Raises:
            JournalDamaged: A row contains no valid outcome.
        """
        return [self._decode_row(row) for row in self.rows]

    def _decode_row(self, row: Any) -> RecordedOutcome:
        _, row_id, _, _, added_at, completed_at, polls, max_lag, *reply, columns = row
        ticket = self.tickets[row_id]
        return RecordedOutcome(
            outcome=decode_outcome(ticket, reply),
            polls=polls,
            added_at=added_at,
            completed_at=completed_at,
            max_lag=max_lag,
            files=self.files.get(row_id, ()),
            columns=decode_columns(ticket, columns, "inputs"),
            **self.origins.get(row_id, SubmitOrigin("", "", ""))._asdict(),
        )


async def outcome_page(
    db: PostgresContext, after: int, limit: int
) -> tuple[list[RecordedOutcome], int | None]:
    """See `queries.outcome_page`."""
    rows = await read_page(db, after, limit)
    return await run_in_thread(rows.decode), rows.next_cursor


async def read_page(db: PostgresContext, after: int, limit: int) -> OutcomeRows:
    """Read a page of outcomes without decoding it. The arguments are those of `outcome_page`."""
    rows = await db.fetch(_SELECT_OUTCOMES, after, limit, PAGE_BYTES)
    bytes_read, last_row_id, *_ = rows[-1] if rows else (0, after)
    tickets = {row_id: Ticket(family, id_) for _, row_id, family, id_, *_ in rows}
    is_full = len(rows) == limit or bytes_read >= PAGE_BYTES
    return OutcomeRows(
        rows=rows,
        tickets=tickets,
        files=await files_between(db, tickets, after, last_row_id),
        origins=await _origins_between(db, after, last_row_id),
        next_cursor=last_row_id if is_full else None,
    )


def decode_outcome(ticket: Ticket, reply: Any) -> Outcome:
    """
    Decode the outcome in a row.

    Raises:
        JournalDamaged: The row contains no valid outcome.
    """
    outcome = decode(ticket, reply)
    if isinstance(outcome, Processing):
        raise damaged_row(ticket, "outcome", "replies", TypeError("it is still processing"))
    return outcome


async def _origins_between(
    db: PostgresContext, after: int, last: int
) -> Mapping[int, SubmitOrigin]:
    rows = await db.fetch(_SELECT_ORIGINS, after, last)
    return {row_id: SubmitOrigin(*origin) for row_id, *origin in rows}


async def last(db: PostgresContext, ticket: Ticket) -> Processing | Outcome | None:
    """See `queries.last`."""
    row = await db.fetch_row(_SELECT_LAST, ticket.family, ticket.id)
    if row is None:
        return None
    is_complete, *columns = row
    reply = decode(ticket, columns)
    if is_complete or isinstance(reply, Processing):
        return reply
    # The ticket was reopened after it got this outcome, so the outcome is no longer valid.
    return reply.last if isinstance(reply, Unresolved) else None
