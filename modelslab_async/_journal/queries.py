"""Reports: what a journal holds, counted and listed. They read, and never write."""

import sqlite3
from typing import Final

from attrs import frozen

from .._models.outcomes import Outcome, Unresolved
from .._models.replies import Processing
from .._models.ticket import Ticket
from .compact_ids import id_of, names_of
from .row_codec import decode
from .schema import ALIVE, FAILED, OPEN, OWED, SAVED, SUCCESS, UNRESOLVED, UNSAVED

_COUNT: Final = f"""
    SELECT count(*), ifnull(sum(state = {UNRESOLVED}), 0), ifnull(sum(state = {SUCCESS}), 0),
        ifnull(sum(state = {FAILED}), 0), ifnull(sum(looks), 0)
    FROM tickets
"""
_SAVES: Final = f"""
    SELECT ifnull(sum(state = {OWED}), 0), ifnull(sum(state = {UNSAVED}), 0),
        ifnull(sum(state = {SAVED}), 0)
    FROM saves
"""
_RUNNING: Final = f"""
    SELECT count(*) FROM tickets
    WHERE state <= {UNRESOLVED} AND state = {OPEN}
        AND run IN (SELECT run FROM runs WHERE {ALIVE})
"""
# Of a failure, a row holds the reason where it is another one than that the job failed.
_NOT_FOUND: Final = f"""
    SELECT count(*) FROM tickets JOIN replies ON replies.ticket = tickets.ticket
    WHERE tickets.state = {FAILED} AND instr(rest, '"reason":"not_found"')
"""
_ENDED: Final = f"""
    SELECT tickets.ticket, family, id, added, ended, looks, late, replies.state, body, rest
    FROM tickets JOIN replies ON replies.ticket = tickets.ticket
    WHERE tickets.ticket > ? AND tickets.state >= {UNRESOLVED}
    ORDER BY tickets.ticket LIMIT ?
"""
_LAST: Final = """
    SELECT tickets.state, replies.state, body, rest
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
        running: How many of the open ones a living run looks at.
        unresolved: How many the last run gave up; the next one takes them up again.
        success: How many ended well.
        failed: How many ended badly, by the server's word.
        not_found: How many of those that failed the server knows no such id of.
        looks: How many looks were noted, over all of them.
        files: How many files were recorded.
        owed: How many successes have files that are still to be saved, with no try so far.
        unsaved: Of how many not all files could be saved; the next `save` tries again.
        saved: Of how many all files are saved.
        doubtful: How many submits may or may not have started work.
    """

    tickets: int
    open: int
    running: int
    unresolved: int
    success: int
    failed: int
    not_found: int = 0
    looks: int
    files: int
    owed: int
    unsaved: int
    saved: int
    doubtful: int

    @property
    def over(self) -> int:
        """How many need no further look."""
        return self.success + self.failed


@frozen(kw_only=True)
class Ended:
    """
    A ticket with its outcome, as the journal has them.

    Attributes:
        outcome: How it ended.
        looks: How many looks were noted.
        added: When it came into the journal, in seconds since 1970.
        ended: When its outcome was written down, in seconds since 1970.
        late: At most how many seconds after its end it was noticed: those from the last look that
            saw it running to the one that saw it over. None where no look of the same run did.
    """

    outcome: Outcome
    looks: int
    added: float
    ended: float
    late: float | None = None


def report(db: sqlite3.Connection, *, now: float) -> Report:
    """Count everything."""
    db.execute("BEGIN")
    tickets, unresolved, success, failed, looks = db.execute(_COUNT).fetchone()
    owed, unsaved, saved = db.execute(_SAVES).fetchone()
    return Report(
        tickets=tickets,
        open=tickets - unresolved - success - failed,
        running=db.execute(_RUNNING, (now,)).fetchone()[0],
        unresolved=unresolved,
        success=success,
        failed=failed,
        not_found=db.execute(_NOT_FOUND).fetchone()[0] if failed else 0,
        looks=looks,
        files=db.execute("SELECT count(*) FROM files").fetchone()[0],
        owed=owed,
        unsaved=unsaved,
        saved=saved,
        doubtful=db.execute("SELECT count(*) FROM intents WHERE state = 'doubtful'").fetchone()[0],
    )


def ended(db: sqlite3.Connection, after: int, most: int) -> tuple[list[Ended], int | None]:
    """A page of outcomes, in the order in which their tickets were added, and where it stops."""
    names = names_of(db)
    rows = db.execute(_ENDED, (after, most)).fetchall()
    page: list[Ended] = []
    for _, family, id_, added, end, looks, late, *columns in rows:
        outcome = decode(Ticket(names[family], str(id_)), (columns[0], columns[1], columns[2]))
        if not isinstance(outcome, Processing):
            page.append(Ended(outcome=outcome, looks=looks, added=added, ended=end, late=late))
    return page, rows[-1][0] if len(rows) == most else None


def last(db: sqlite3.Connection, ticket: Ticket) -> Processing | Outcome | None:
    """The last word on a ticket: its outcome, or the last reply that was noted."""
    row = db.execute(_LAST, (ticket.family, id_of(ticket))).fetchone()
    if row is None:
        return None
    state, *columns = row
    said = decode(ticket, (columns[0], columns[1], columns[2]))
    if state != OPEN or isinstance(said, Processing):
        return said
    # It was opened again since, and how it ended then is its outcome no more.
    return said.last if isinstance(said, Unresolved) else None
