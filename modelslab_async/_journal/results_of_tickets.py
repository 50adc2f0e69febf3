"""Reads the outcomes of tickets together with their saved files."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from .._models.journal_errors import JournalDamaged
from .._models.replies import Processing
from .._models.ticket import Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .recorded_files import RecordedFile, files_of
from .row_codec import decode
from .schema import FAILED, SAVE_FAILED, SAVED, SUCCESS, UNRESOLVED
from .ticket_id_codec import compact_id

_SELECT_RESULT: Final = f"""
    SELECT CASE tickets.state WHEN {UNRESOLVED} THEN tickets.run END, replies.state, body,
        other_fields, saves.state, saves.run, saves.error, saves.argument
    FROM tickets JOIN families USING (family)
        LEFT JOIN replies ON replies.ticket = tickets.ticket
        LEFT JOIN saves ON saves.ticket = tickets.ticket
    WHERE name = ? AND id = ? AND tickets.state >= {UNRESOLVED}
        AND (tickets.state > {UNRESOLVED} OR replies.ticket IS NOT NULL)
"""
_SELECT_KEYS: Final = """
    SELECT key, track_id, endpoint, payload_hash, tickets.state, saves.state
    FROM submits LEFT JOIN tickets ON tickets.ticket = submits.ticket
        LEFT JOIN saves ON saves.ticket = submits.ticket
    WHERE key IS NOT NULL
"""


@frozen(kw_only=True)
class SubmittedKey:
    """
    What the journal records about a submit with a submission key, the caller's own name for it.

    Attributes:
        track_id: The `track_id` of the request, or a random string if the request has none.
        endpoint: The name of the endpoint.
        payload_hash: The digest of the endpoint and the parameters.
        has_failed: Whether the server reported the work as failed.
        is_finished: Whether the work has failed or succeeded. If the caller saves files, a success
            is finished only after its files are saved.
    """

    track_id: str
    endpoint: str
    payload_hash: str
    has_failed: bool
    is_finished: bool

    @classmethod
    def of(
        cls,
        track_id: str,
        endpoint: str,
        payload_hash: str,
        state: int | None,
        save_state: int | None,
        *,
        saves_files: bool,
    ) -> "SubmittedKey":
        """
        Return the submit that a row of the database describes.

        With `saves_files`, a submit that succeeded is finished only after its files are saved.
        """
        is_saved = not saves_files or save_state == SAVED
        return cls(
            track_id=track_id,
            endpoint=endpoint,
            payload_hash=payload_hash,
            has_failed=state == FAILED,
            is_finished=state == FAILED or (state == SUCCESS and is_saved),
        )


@frozen(kw_only=True)
class RecordedSave:
    """
    How the most recent attempt to save the files of a ticket ended.

    Attributes:
        run: The run that made the attempt; 0 if the record was copied from another journal.
        files: The recorded files.
        error: The message of the error; None if all files are saved.
        argument: The keyword argument that would allow the save; see `DownloadError`.
    """

    run: int
    files: tuple[RecordedFile, ...]
    error: str | None
    argument: str


@frozen(kw_only=True)
class RecordedResult:
    """
    What the journal records about a ticket that has an outcome.

    Attributes:
        outcome: The outcome.
        unresolved_by: The run that left the ticket unresolved, or 0 if the outcome was copied from
            another journal. None if the ticket succeeded or failed.
        is_save_queued: Whether the files were ever queued to be saved.
        save: How the most recent attempt to save the files ended; None if no attempt has ended.
    """

    outcome: Outcome
    unresolved_by: int | None
    is_save_queued: bool
    save: RecordedSave | None


def results_of(db: sqlite3.Connection, tickets: Iterable[Ticket]) -> list[RecordedResult]:
    """
    Return the result of each ticket that has an outcome.

    If the row of a ticket is damaged, the outcome in its result is `Unresolved`.
    """
    results = (_result_of(db, ticket) for ticket in tickets)
    return [result for result in results if result is not None]


def submitted_keys(db: sqlite3.Connection, *, saves_files: bool) -> dict[str, SubmittedKey]:
    """
    Return all submits that have a submission key, in a dictionary from key to submit.

    Args:
        db: The journal.
        saves_files: True if the caller also saves files. A success then counts as finished only
            after its files are saved.
    """
    return {
        key: SubmittedKey.of(*submit, saves_files=saves_files)
        for key, *submit in db.execute(_SELECT_KEYS)
    }


def _result_of(db: sqlite3.Connection, ticket: Ticket) -> RecordedResult | None:
    row = db.execute(_SELECT_RESULT, (ticket.family, compact_id(ticket))).fetchone()
    if row is None:
        return None
    unresolved_by, state, body, other_fields, save_state, save_run, error, argument = row
    has_save_ended = save_state in (SAVE_FAILED, SAVED)
    files: tuple[RecordedFile, ...] = ()
    try:
        outcome = decode(ticket, (state, body, other_fields))
        if has_save_ended:
            files = tuple(files_of(db, ticket))
    except JournalDamaged as damaged:
        outcome = Unresolved(ticket=ticket, cause=damaged)
    if isinstance(outcome, Processing):
        return None
    save = None
    if has_save_ended:
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
