"""Reads the outcome of some tickets together with their saved files. It never writes."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from .._models.journal_errors import JournalDamaged
from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket
from .compact_ids import compact_id
from .recorded_files import RecordedFile, files_of
from .row_codec import decode
from .schema import FAILED, SAVE_FAILED, SAVED, SUCCESS, UNRESOLVED

_SELECT_RESULT: Final = f"""
    SELECT tickets.run, replies.state, body, other_fields,
        saves.state, saves.run, saves.error, saves.argument
    FROM tickets JOIN families USING (family) JOIN replies ON replies.ticket = tickets.ticket
        LEFT JOIN saves ON saves.ticket = tickets.ticket
    WHERE name = ? AND id = ? AND tickets.state >= {UNRESOLVED}
"""
_SELECT_KEYS: Final = """
    SELECT key, tickets.state, saves.state
    FROM submits LEFT JOIN tickets ON tickets.ticket = submits.ticket
        LEFT JOIN saves ON saves.ticket = submits.ticket
    WHERE key IS NOT NULL
"""


@frozen(kw_only=True)
class RecordedSave:
    """
    How the last attempt to save the files of a ticket ended.

    Attributes:
        run: The run that made the attempt.
        files: The recorded files.
        error: The message of the error; None if all files are saved.
        argument: The keyword argument that would allow saving; see `DownloadError`.
    """

    run: int
    files: tuple[RecordedFile, ...]
    error: str | None
    argument: str


@frozen(kw_only=True)
class RecordedResult:
    """
    What the journal holds of a ticket that has an outcome.

    Attributes:
        outcome: The outcome.
        run: The run that recorded it; 0 if the reply to the submit brought it.
        save: How saving its files ended; None if it has not ended.
    """

    outcome: Outcome
    run: int
    save: RecordedSave | None


def results_of(db: sqlite3.Connection, tickets: Iterable[Ticket]) -> list[RecordedResult]:
    """Return the results of those tickets that have an outcome. A damaged row is `Unresolved`."""
    return [result for ticket in tickets for result in _results_of(db, ticket)]


def submitted_keys(db: sqlite3.Connection, *, saves_files: bool) -> dict[str, bool]:
    """
    Return the keys of all recorded submits, and whether each has its final result.

    Args:
        db: The journal.
        saves_files: Whether a success is final only once its files are saved.
    """
    return {
        key: state == FAILED or (state == SUCCESS and (not saves_files or save_state == SAVED))
        for key, state, save_state in db.execute(_SELECT_KEYS)
    }


def _results_of(db: sqlite3.Connection, ticket: Ticket) -> Iterator[RecordedResult]:
    key = (ticket.family, compact_id(ticket))
    for run, state, body, other_fields, save_state, *save in db.execute(_SELECT_RESULT, key):
        files: tuple[RecordedFile, ...] = ()
        try:
            outcome = decode(ticket, (state, body, other_fields))
            if save_state in (SAVE_FAILED, SAVED):
                files = tuple(files_of(db, ticket))
        except JournalDamaged as damaged:
            outcome = Unresolved(ticket=ticket, cause=damaged)
        if isinstance(outcome, Processing):
            continue
        recorded_save = None
        if save_state in (SAVE_FAILED, SAVED):
            save_run, error, argument = save
            recorded_save = RecordedSave(
                run=save_run,
                files=files,
                error=None if save_state == SAVED else error or "",
                argument=argument or "",
            )
        yield RecordedResult(outcome=outcome, run=run, save=recorded_save)
