"""Reads the outcomes and files of tickets from a PostgreSQL database. See `results_of_tickets`."""

from collections.abc import Iterable
from typing import Any, Final

from .._models.journal_errors import JournalDamaged
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Unresolved
from .postgres_context import PostgresContext, holders_of
from .postgres_files import files_of_rows
from .recorded_files import RecordedFile
from .results_of_tickets import RecordedResult, RecordedSave, SubmittedKey
from .row_codec import decode
from .schema import OPEN, SAVE_FAILED, SAVED, UNRESOLVED

_OPEN: Final = f"unfinished WHERE batch = $1 AND state = {OPEN}"
_UNRESOLVED: Final = f"unfinished WHERE batch = $1 AND state = {UNRESOLVED}"
# `places` lists every pair of `state` and `run` that can occur in the table `unfinished`. With such
# a pair, the primary key finds a ticket at once. Without it, PostgreSQL reads the index entries of
# all unfinished tickets.
_SELECT_RESULTS: Final = f"""
WITH places AS MATERIALIZED (
    SELECT state, run
    FROM (VALUES ({OPEN}, 0::bigint), ({UNRESOLVED}, 0::bigint)) AS unheld (state, run)
    UNION ALL SELECT {OPEN}, run FROM {holders_of(_OPEN)} AS open
    UNION ALL SELECT {UNRESOLVED}, run FROM {holders_of(_UNRESOLVED)} AS unresolved
)
SELECT known.ticket, given.family, given.id,
    CASE reply.state WHEN {UNRESOLVED} THEN coalesce(reply.run, 0) END, reply.state, body,
    other_fields, saves.state, saves.run, saves.error, saves.argument
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (family, id, n)
    CROSS JOIN LATERAL (
        SELECT ticket FROM tickets
        WHERE batch = $1 AND family = given.family AND id = given.id OFFSET 0
    ) AS known
    LEFT JOIN LATERAL (
        SELECT run, state, body, other_fields FROM replies
        WHERE batch = $1 AND ticket = known.ticket AND completed_at IS NOT NULL OFFSET 0
    ) AS reply ON true
    LEFT JOIN saves ON saves.batch = $1 AND saves.ticket = known.ticket
WHERE reply.state IS NOT NULL OR NOT EXISTS (
    SELECT FROM places CROSS JOIN LATERAL (
        SELECT FROM unfinished
        WHERE batch = $1 AND state = places.state AND run = places.run AND ticket = known.ticket
        OFFSET 0
    ) AS listed
)
ORDER BY n
"""
_SELECT_KEYS: Final = """
SELECT key, track_id, endpoint, payload_hash,
    CASE WHEN replies.completed_at IS NULL THEN NULL ELSE replies.state END, saves.state
FROM submits
    LEFT JOIN replies ON replies.batch = $1 AND replies.ticket = submits.ticket
    LEFT JOIN saves ON saves.batch = $1 AND saves.ticket = submits.ticket
WHERE submits.batch = $1 AND key IS NOT NULL
"""


async def results_of(db: PostgresContext, tickets: Iterable[Ticket]) -> list[RecordedResult]:
    """See `results_of_tickets.results_of`."""
    given = [*tickets]
    rows = await db.fetch(
        _SELECT_RESULTS, [ticket.family for ticket in given], [ticket.id for ticket in given]
    )
    saved = {row[0]: Ticket(row[1], row[2]) for row in rows if row[7] in (SAVE_FAILED, SAVED)}
    files = await files_of_rows(db, saved) if saved else {}
    results = (_result(row, files.get(row[0], ())) for row in rows)
    return [result for result in results if result is not None]


def _result(row: Any, files: tuple[RecordedFile, ...]) -> RecordedResult | None:
    _, family, id_, unresolved_by, *reply, save_state, save_run, error, argument = row
    ticket = Ticket(family, id_)
    try:
        outcome = decode(ticket, reply)
    except JournalDamaged as damaged:
        outcome = Unresolved(ticket=ticket, cause=damaged)
    if isinstance(outcome, Processing):
        return None
    save = None
    if save_state in (SAVE_FAILED, SAVED):
        save = RecordedSave(
            run=save_run,
            files=files,
            error=None if save_state == SAVED else error or "",
            argument=argument or "",
        )
    return RecordedResult(
        outcome=outcome,
        unresolved_by=unresolved_by,
        is_save_queued=save_state is not None,
        save=save,
    )


async def submitted_keys(db: PostgresContext, *, saves_files: bool) -> dict[str, SubmittedKey]:
    """See `results_of_tickets.submitted_keys`."""
    return {
        key: SubmittedKey.of(*submit, saves_files=saves_files)
        for key, *submit in await db.fetch_whole(_SELECT_KEYS)
    }
