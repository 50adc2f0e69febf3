"""
Marks a journal that is being copied or was copied. No run can begin in a marked journal.

A mark is a row of the table `runs` with a lease that never ends. The column `process` of this row
names the target of the copy. A marked journal records no new submits. Otherwise the same work could
be paid for twice: once in the journal and once in its copy. New tickets are not added either,
because no run would poll them. There is one exception: if a submit was recorded before the mark,
its ticket is still added.
"""

import sqlite3
from typing import Final, Self

from attrs import frozen

from .._models.journal_errors import JournalLocked, JournalReadOnly

# The end of a mark's lease. Marks and runs share one table, and only a mark has an endless lease.
ENDLESS_LEASE: Final = float("inf")
ORIGIN_PREFIX: Final = "copied from "
_BEGUN_PREFIX: Final = "copying to "
_COMPLETE_PREFIX: Final = "copied to "
_FIND: Final = "SELECT process FROM runs WHERE lease_until = ?"
_HAS_ORIGIN: Final = "SELECT EXISTS (SELECT 1 FROM runs WHERE process = ?)"


@frozen
class CopyMark:
    """
    Where a journal is copied to, and whether the copy is complete.

    Attributes:
        target: The name of the copy: the path of its file, or its hosts, database and batch.
        is_complete: Whether the copy is complete. If False, the copy is still in progress, or it
            was interrupted.
    """

    target: str
    is_complete: bool

    @classmethod
    def parse(cls, process: str) -> Self:
        """Parse a value of the column `process`."""
        is_complete = process.startswith(_COMPLETE_PREFIX)
        prefix = _COMPLETE_PREFIX if is_complete else _BEGUN_PREFIX
        return cls(process.removeprefix(prefix), is_complete)

    def __str__(self) -> str:
        """Return the mark as a value of the column `process`."""
        return f"{_COMPLETE_PREFIX if self.is_complete else _BEGUN_PREFIX}{self.target}"

    def refusal(self) -> JournalReadOnly:
        """Return the error for adding a run, a submit or a ticket to the marked journal."""
        if self.is_complete:
            return JournalReadOnly(
                f"this journal was copied to {self.target}, and nothing runs here any more, so "
                "that nothing is paid for twice; use that one"
            )
        return JournalReadOnly(
            f"a copy of this journal to {self.target} has begun, so nothing runs here; wait for "
            "its end or, if it was killed, start the same `batch copy` again"
        )


def active_run_error(run_id: int, lease_s: float) -> JournalLocked:
    """Return the error for copying a journal in which a run is active."""
    return JournalLocked(
        f"run {run_id} is active in this journal: end its process and copy then; if that process "
        f"was killed on another host, its lease ends in {max(lease_s, 0.0):.0f} s"
    )


def find_mark(db: sqlite3.Connection) -> CopyMark | None:
    """Return the copy mark of a journal; None if no copy has begun."""
    row = db.execute(_FIND, (ENDLESS_LEASE,)).fetchone()
    return None if row is None else CopyMark.parse(str(row[0]))


def check_not_copied(db: sqlite3.Connection) -> None:
    """
    Check that runs, submits and tickets may be added to a journal.

    Raises:
        JournalReadOnly: The journal has a mark.
    """
    if (mark := find_mark(db)) is not None:
        raise mark.refusal()


def set_mark(db: sqlite3.Connection, mark: CopyMark, *, now: float) -> None:
    """Set the copy mark of a journal. Replace an earlier mark."""
    db.execute("DELETE FROM runs WHERE lease_until = ?", (ENDLESS_LEASE,))
    db.execute(
        "INSERT INTO runs (started_at, lease_until, process) VALUES (?, ?, ?)",
        (now, ENDLESS_LEASE, str(mark)),
    )


def has_origin(db: sqlite3.Connection, origin: str) -> bool:
    """
    Return whether the journal with the name `origin` was copied to this journal.

    A journal may have several origins: a copy of an empty journal leaves the target empty, so the
    target accepts another copy.
    """
    (is_found,) = db.execute(_HAS_ORIGIN, (f"{ORIGIN_PREFIX}{origin}",)).fetchone()
    return bool(is_found)


def record_origin(db: sqlite3.Connection, origin: str, *, now: float) -> None:
    """Record `origin` as the name of the journal that is copied to this journal."""
    db.execute(
        "INSERT INTO runs (started_at, process) VALUES (?, ?)", (now, f"{ORIGIN_PREFIX}{origin}")
    )
