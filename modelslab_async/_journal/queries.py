"""Reports: what a journal holds, counted and listed. They read, and never write."""

import sqlite3
from typing import Final

from attrs import frozen

from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket
from .compact_ids import compact_id, family_names
from .row_codec import decode
from .schema import (
    FAILED,
    OPEN,
    RUN_IS_ALIVE,
    SAVE_FAILED,
    SAVE_PENDING,
    SAVED,
    SUCCESS,
    UNRESOLVED,
)

_COUNT_TICKETS: Final = f"""
    SELECT count(*), ifnull(sum(state = {UNRESOLVED}), 0), ifnull(sum(state = {SUCCESS}), 0),
        ifnull(sum(state = {FAILED}), 0), ifnull(sum(polls), 0)
    FROM tickets
"""
_COUNT_SAVES: Final = f"""
    SELECT ifnull(sum(state = {SAVE_PENDING}), 0), ifnull(sum(state = {SAVE_FAILED}), 0),
        ifnull(sum(state = {SAVED}), 0)
    FROM saves
"""
_COUNT_RUNNING: Final = f"""
    SELECT count(*) FROM tickets
    WHERE state <= {UNRESOLVED} AND state = {OPEN}
        AND run IN (SELECT run FROM runs WHERE {RUN_IS_ALIVE})
"""
# Of a failure, a row holds the reason where it is another one than that the job failed.
_COUNT_NOT_FOUND: Final = f"""
    SELECT count(*) FROM tickets JOIN replies ON replies.ticket = tickets.ticket
    WHERE tickets.state = {FAILED} AND instr(extra, '"reason":"not_found"')
"""
_SELECT_OUTCOMES: Final = f"""
    SELECT tickets.ticket, family, id, added_at, completed_at, polls, max_lag, replies.state, body, extra
    FROM tickets JOIN replies ON replies.ticket = tickets.ticket
    WHERE tickets.ticket > ? AND tickets.state >= {UNRESOLVED}
    ORDER BY tickets.ticket LIMIT ?
"""
_SELECT_LAST: Final = """
    SELECT tickets.state, replies.state, body, extra
    FROM tickets JOIN families USING (family) JOIN replies ON replies.ticket = tickets.ticket
    WHERE name = ? AND id = ?
"""


@frozen(kw_only=True)
class Report:
    """
    How far a batch has come.

    Attributes:
        tickets: How many there are.
        open: How many have no outcome yet, those included that are being looked at.
        running: How many of the open ones a living run polls at.
        unresolved: How many the last run gave up; the next one takes them up again.
        success: How many ended well.
        failed: How many ended badly, by the server's word.
        not_found: How many of those that failed the server knows no such id of.
        polls: How many polls were noted, over all of them.
        files: How many files were recorded.
        save_pending: How many successes have files that are still to be saved, with no try so far.
        unsaved: Of how many not all files could be saved; the next `save` tries again.
        saved: Of how many all files are saved.
        uncertain: How many submits may or may not have started work.
    """

    tickets: int
    open: int
    running: int
    unresolved: int
    success: int
    failed: int
    not_found: int = 0
    polls: int
    files: int
    save_pending: int
    unsaved: int
    saved: int
    uncertain: int

    @property
    def finished(self) -> int:
        """How many need no further look."""
        return self.success + self.failed


@frozen(kw_only=True)
class RecordedOutcome:
    """
    A ticket with its outcome, as the journal has them.

    Attributes:
        outcome: How it ended.
        polls: How many polls were noted.
        added_at: When it came into the journal, in seconds since 1970.
        completed_at: When its outcome was written down, in seconds since 1970.
        max_lag: At most how many seconds after its end it was noticed: those from the last look that
            saw it running to the one that saw it over. None where no look of the same run did.
    """

    outcome: Outcome
    polls: int
    added_at: float
    completed_at: float
    max_lag: float | None = None


def report(db: sqlite3.Connection, *, now: float) -> Report:
    """Count everything."""
    db.execute("BEGIN")
    tickets, unresolved, success, failed, polls = db.execute(_COUNT_TICKETS).fetchone()
    save_pending, unsaved, saved = db.execute(_COUNT_SAVES).fetchone()
    return Report(
        tickets=tickets,
        open=tickets - unresolved - success - failed,
        running=db.execute(_COUNT_RUNNING, (now,)).fetchone()[0],
        unresolved=unresolved,
        success=success,
        failed=failed,
        not_found=db.execute(_COUNT_NOT_FOUND).fetchone()[0] if failed else 0,
        polls=polls,
        files=db.execute("SELECT count(*) FROM files").fetchone()[0],
        save_pending=save_pending,
        unsaved=unsaved,
        saved=saved,
        uncertain=db.execute("SELECT count(*) FROM submits WHERE state = 'uncertain'").fetchone()[
            0
        ],
    )


def outcome_page(
    db: sqlite3.Connection, after: int, limit: int
) -> tuple[list[RecordedOutcome], int | None]:
    """A page of outcomes, in the order in which their tickets were added, and where it stops."""
    names = family_names(db)
    rows = db.execute(_SELECT_OUTCOMES, (after, limit)).fetchall()
    page: list[RecordedOutcome] = []
    for _, family, id_, added_at, completed_at, polls, max_lag, *columns in rows:
        outcome = decode(Ticket(names[family], str(id_)), (columns[0], columns[1], columns[2]))
        if not isinstance(outcome, Processing):
            page.append(
                RecordedOutcome(
                    outcome=outcome,
                    polls=polls,
                    added_at=added_at,
                    completed_at=completed_at,
                    max_lag=max_lag,
                )
            )
    return page, rows[-1][0] if len(rows) == limit else None


def last(db: sqlite3.Connection, ticket: Ticket) -> Processing | Outcome | None:
    """The last word on a ticket: its outcome, or the last reply that was noted."""
    row = db.execute(_SELECT_LAST, (ticket.family, compact_id(ticket))).fetchone()
    if row is None:
        return None
    state, *columns = row
    reply = decode(ticket, (columns[0], columns[1], columns[2]))
    if state != OPEN or isinstance(reply, Processing):
        return reply
    # It was opened again since, and how it ended then is its outcome no more.
    return reply.last if isinstance(reply, Unresolved) else None
