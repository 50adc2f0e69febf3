"""Counts and lists the contents of a journal."""

import sqlite3
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final, NamedTuple

from attrs import field, frozen

from .._models.replies import Processing
from .._models.ticket import Columns, Ticket
from .._models.unresolved_outcomes import Outcome, Unresolved
from .page_size import PAGE_BYTES, rows_of_page
from .recorded_files import RecordedFile, files_between
from .row_codec import damaged_row, decode, decode_columns
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
from .submits import count_uncertain
from .ticket_id_codec import compact_id, family_names, read_ticket

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
# Counts the tickets whose id the server does not know. The JSON in their column `other_fields` has
# the reason "not_found".
_COUNT_NOT_FOUND: Final = f"""
    SELECT count(*) FROM tickets JOIN replies ON replies.ticket = tickets.ticket
    WHERE tickets.state = {FAILED} AND 'not_found' =
        CASE WHEN json_valid(other_fields) THEN json_extract(other_fields, '$.reason') END
"""
_COUNT_FILES: Final = "SELECT count(*) FROM files"
_SELECT_OUTCOMES: Final = f"""
    SELECT tickets.ticket, family, id, added_at, completed_at, polls, max_lag,
        replies.state, body, other_fields, columns
    FROM tickets JOIN replies ON replies.ticket = tickets.ticket
        LEFT JOIN inputs ON inputs.ticket = tickets.ticket
    WHERE tickets.ticket > ? AND tickets.state >= {UNRESOLVED}
    ORDER BY tickets.ticket LIMIT ?
"""
_SELECT_COLUMNS: Final = """
    SELECT inputs.ticket, family, id, columns
    FROM inputs JOIN tickets ON tickets.ticket = inputs.ticket ORDER BY inputs.ticket
"""
_SELECT_LAST: Final = """
    SELECT tickets.state, replies.state, body, other_fields
    FROM tickets JOIN families USING (family) JOIN replies ON replies.ticket = tickets.ticket
    WHERE name = ? AND id = ?
"""
# The latest time that a `datetime` can hold (the end of the year 9999), in seconds since 1970.
_MAX_TIME_S: Final = 253_402_300_799.0


@frozen(kw_only=True)
class Report:
    """
    Counts that show the progress of a batch.

    Attributes:
        tickets: All tickets.
        open: Tickets without an outcome, including those that a run polls now.
        running: Open tickets that an active run has claimed.
        unresolved: Tickets that a run could not resolve. The next run polls them again.
        success: Tickets whose work succeeded.
        failed: Tickets whose work failed, including those in `not_found`.
        not_found: Tickets whose id the server does not know.
        polls: All recorded polls.
        files: All recorded files.
        save_pending: Succeeded tickets whose files are queued to be saved.
        unsaved: Succeeded tickets with files that could not be saved. The next `save` retries them.
        saved: Succeeded tickets whose files are all saved.
        uncertain: Submits that may or may not have started work. A submit whose process waits for
            its reply does not count.
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
        """The number of tickets that need no further poll."""
        return self.success + self.failed


class SubmitOrigin(NamedTuple):
    """The submit that started the work of a ticket."""

    track_id: str
    endpoint: str
    key: str


@frozen(kw_only=True)
class RecordedOutcome:
    """
    The recorded outcome of a ticket.

    Attributes:
        outcome: The outcome.
        polls: The number of recorded polls of the ticket.
        added_at: When the ticket was added, in seconds since 1970.
        completed_at: When the outcome was recorded, in seconds since 1970.
        max_lag: An upper bound, in seconds, on the time from the end of the work to the poll that
            discovered this end. None if no earlier poll of the same run found the work in progress.
        files: The files that were saved, in the order of the outputs.
        track_id: The `track_id` of the submit that started the work; "" for a ticket that was
            added by its id.
        endpoint: The endpoint of that submit, or "".
        key: The submission key, which is the caller's own name for that submit, or "".
        columns: The values of the ticket's row in the input table, keyed by the name of the column.
    """

    outcome: Outcome
    polls: int
    added_at: float
    completed_at: float
    max_lag: float | None = None
    files: tuple[RecordedFile, ...] = ()
    track_id: str = ""
    endpoint: str = ""
    key: str = ""
    columns: Columns = field(factory=dict[str, Any])


def report(db: sqlite3.Connection, own_submits: Set[str], *, now: float) -> Report:
    """
    Return all counts of a journal, as they are at one moment.

    See `count_uncertain` about `own_submits`.
    """
    db.execute("BEGIN")
    tickets, unresolved, success, failed, polls = db.execute(_COUNT_TICKETS).fetchone()
    save_pending, unsaved, saved = db.execute(_COUNT_SAVES).fetchone()
    return Report(
        tickets=tickets,
        open=tickets - unresolved - success - failed,
        running=_count(db, _COUNT_RUNNING, now),
        unresolved=unresolved,
        success=success,
        failed=failed,
        not_found=_count(db, _COUNT_NOT_FOUND) if failed else 0,
        polls=polls,
        files=_count(db, _COUNT_FILES),
        save_pending=save_pending,
        unsaved=unsaved,
        saved=saved,
        uncertain=count_uncertain(db, own_submits, now=now),
    )


def _count(db: sqlite3.Connection, query: str, *parameters: object) -> int:
    (count,) = db.execute(query, parameters).fetchone()
    return int(count)


def outcome_page(
    db: sqlite3.Connection, after: int, limit: int
) -> tuple[list[RecordedOutcome], int | None]:
    """
    Return a page of at most `limit` outcomes, and the value of `after` for the next page.

    The page begins after the row with the number `after`. It is shorter if its texts are large. If
    no page follows, the value for the next page is None.
    """
    found = db.execute(_SELECT_OUTCOMES, (after, limit))
    rows = [*rows_of_page(found, PAGE_BYTES)]
    is_full = len(rows) == limit or found.fetchone() is not None
    # Load the names of the families after the rows, because another process may just have added a
    # row with a new family.
    names = family_names(db)
    tickets = {row[0]: read_ticket(names, *row[:3]) for row in rows}
    last_row_id = rows[-1][0] if rows else after
    files = files_between(db, tickets, after, last_row_id)
    origins = _origins_between(db, after, last_row_id)
    page: list[RecordedOutcome] = []
    for row in rows:
        row_id, _, _, added_at, completed_at, polls, max_lag, *reply, columns = row
        ticket = tickets[row_id]
        outcome = decode(ticket, reply)
        _check_numbers(ticket, added_at, completed_at, polls, max_lag)
        origin = origins.get(row_id, SubmitOrigin("", "", ""))
        if not isinstance(outcome, Processing):
            page.append(
                RecordedOutcome(
                    outcome=outcome,
                    polls=polls,
                    added_at=added_at,
                    completed_at=completed_at,
                    max_lag=max_lag,
                    files=files.get(row_id, ()),
                    track_id=origin.track_id,
                    endpoint=origin.endpoint,
                    key=origin.key,
                    columns=decode_columns(ticket, columns, "inputs"),
                )
            )
    return page, last_row_id if is_full else None


def _origins_between(db: sqlite3.Connection, after: int, last: int) -> Mapping[int, SubmitOrigin]:
    """
    Return the submits that started the work of some tickets, keyed by the ticket's row number.

    Args:
        db: The journal.
        after: Skip the tickets up to this row number.
        last: The row number of the last ticket to include.
    """
    rows = db.execute(
        "SELECT ticket, CAST(track_id AS TEXT), CAST(endpoint AS TEXT), "
        "ifnull(CAST(key AS TEXT), '') FROM submits WHERE ticket > ? AND ticket <= ? "
        "ORDER BY submit",
        (after, last),
    )
    return {row_id: SubmitOrigin(*origin) for row_id, *origin in rows}


def input_rows(db: sqlite3.Connection) -> Iterator[Columns]:
    """
    Yield each ticket's row of the input table. Skip tickets that have no such row.

    Raises:
        JournalDamaged: The row of a ticket cannot be read.
    """
    names = family_names(db)
    for row_id, family, id_, columns in db.execute(_SELECT_COLUMNS):
        yield decode_columns(read_ticket(names, row_id, family, id_), columns, "inputs")


def _check_numbers(
    ticket: Ticket, added_at: Any, completed_at: Any, polls: Any, max_lag: Any
) -> None:
    """Check that the values are valid numbers, because SQLite does not enforce types."""
    times_are_valid = all(
        isinstance(time, float | int) and 0 <= time <= _MAX_TIME_S
        for time in (added_at, completed_at)
    )
    if not (times_are_valid and isinstance(polls, int) and isinstance(max_lag, float | int | None)):
        error = ValueError(
            f"{added_at!r:.40}, {completed_at!r:.40}, {polls!r:.40}, {max_lag!r:.40}"
        )
        raise damaged_row(ticket, "row of times and polls", "tickets", error)


def last(db: sqlite3.Connection, ticket: Ticket) -> Processing | Outcome | None:
    """
    Return the outcome of a ticket. If the ticket is open, return its last recorded reply.

    Return None if neither is recorded.
    """
    row = db.execute(_SELECT_LAST, (ticket.family, compact_id(ticket))).fetchone()
    if row is None:
        return None
    ticket_state, reply_state, body, other_fields = row
    reply = decode(ticket, (reply_state, body, other_fields))
    if ticket_state != OPEN or isinstance(reply, Processing):
        return reply
    # The ticket was reopened or claimed after it got this outcome, so the outcome is no longer
    # valid.
    return reply.last if isinstance(reply, Unresolved) else None
