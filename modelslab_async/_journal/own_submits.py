"""Records the submits that runs of this process send. Never changes another process's submit."""

import sqlite3

from attrs import frozen

from .._models.replies import Failed, Success
from .._models.ticket import NewTicket, Ticket, encode_columns
from .lease_rows import renew
from .submits import DuplicateSubmit, PendingSubmit, add_ticket, insert, record_submit, set_ticket


@frozen(eq=False)
class OwnSubmit:
    """
    A submit that a run of this process has recorded, and where it is recorded.

    If another process deletes the record, a newer submit with the same track_id may be recorded. So
    a track_id does not identify the submit of this process.

    Attributes:
        submit: The submit.
        row_id: The number of its row.
        run_id: The run that recorded it.
    """

    submit: PendingSubmit
    row_id: int
    run_id: int


class SubmitSettled(DuplicateSubmit):
    """
    Another process has settled this submit, so this process could not delete the record.

    The user of that process may have submitted the work again, in this journal or elsewhere.
    """


def record_gone_error(own: OwnSubmit, *, may_have_deleted: bool) -> DuplicateSubmit:
    """
    Return the error for a submit whose record this process tried to delete but did not find.

    Args:
        own: The submit.
        may_have_deleted: Whether this process may itself have deleted the record, in a commit
            whose answer was lost. If False, the error is a `SubmitSettled`.
    """
    return (DuplicateSubmit if may_have_deleted else SubmitSettled)(
        f"the submit to {own.submit.endpoint} with the id {own.submit.track_id!r} is no longer in "
        "the journal, because another process may have settled it; nothing was sent: submit it "
        "again if it was not submitted elsewhere"
    )


def record_own(
    db: sqlite3.Connection, submit: PendingSubmit, run_id: int, *, now: float, lease: float
) -> int | None:
    """
    Record a submit as `record_submit` does, and renew the lease of the run that will send it.

    Return None, and record nothing, if the run has ended.
    """
    if not renew(db, run_id, now=now, lease=lease):
        return None
    return record_submit(db, submit, run_id)


def confirm_sent(
    db: sqlite3.Connection,
    own: OwnSubmit,
    ticket: Ticket,
    *,
    result: Success | Failed | None,
    now: float,
) -> None:
    """
    Do what `confirm` does, after this process has sent the submit and received the ticket.

    If another process has deleted the submit's record in the meantime, record the submit again. If
    a newer submit already uses the same track_id or submission key, record only the ticket.
    """
    new = NewTicket(ticket, encode_columns(own.submit.columns, own.submit.track_id))
    row_id = add_ticket(db, new, result=result, now=now)
    confirmed = set_ticket(db, _find_own(db, own), row_id)
    if not confirmed.rowcount:
        set_ticket(db, insert(db, own.submit, own.run_id), row_id)


def mark_uncertain(db: sqlite3.Connection, own: OwnSubmit, *, named_ticket: Ticket | None) -> None:
    """
    Record that a submit may or may not have started work. Record the ticket that its reply names.

    The submit no longer belongs to its run, so `uncertain` lists it even while the run is active.
    """
    db.execute(
        "UPDATE submits SET run = NULL, named_ticket = ? WHERE submit = ?",
        (None if named_ticket is None else str(named_ticket), _find_own(db, own)),
    )


def withdraw_own(db: sqlite3.Connection, own: OwnSubmit) -> bool:
    """
    Delete the record of a submit that certainly started no work.

    Do nothing and return False if another process has confirmed or deleted the submit meanwhile.
    """
    deleted = db.execute(
        "DELETE FROM submits WHERE submit = ? AND state = 'uncertain'", (_find_own(db, own),)
    )
    return deleted.rowcount == 1


def _find_own(db: sqlite3.Connection, own: OwnSubmit) -> int | None:
    """Return the number of a submit's row; None if another process has deleted the row."""
    # SQLite may give the number of a deleted row to a new row. So compare the other columns too.
    found = db.execute(
        "SELECT submit FROM submits "
        "WHERE submit = ? AND track_id = ? AND run = ? AND recorded_at = ?",
        (own.row_id, own.submit.track_id, own.run_id, own.submit.recorded_at),
    ).fetchone()
    return None if found is None else int(found[0])
