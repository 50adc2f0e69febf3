"""
Marks in a journal that it was copied, and refuses runs in a marked one. It copies nothing.

A mark is a row of the table `runs` with a lease that never ends. Its column `process` says where
the journal was copied to. While a journal has a mark, no run begins and no submit is recorded, so
that nothing is paid for both in the journal and in its copy. Nothing is queued there either,
because no run would get to it.
"""

import sqlite3
from typing import Final, Self

from attrs import frozen

from .._models.journal_errors import JournalReadOnly

# The lease of a mark. No run has it, because the lease of a run ends.
ENDLESS_LEASE: Final = float("inf")
ORIGIN_PREFIX: Final = "copied from "
_BEGUN_PREFIX: Final = "copying to "
_COMPLETE_PREFIX: Final = "copied to "
_FIND: Final = "SELECT process FROM runs WHERE lease_until = ?"
_HAS_ORIGIN: Final = "SELECT EXISTS (SELECT 1 FROM runs WHERE process = ?)"


@frozen
class CopyMark:
    """
    Where a journal was copied to.

    Attributes:
        target: The file, or the hosts, the database and the batch.
        is_complete: Whether the copy has ended. If not, it goes on now, or it was killed.
    """

    target: str
    is_complete: bool

    @classmethod
    def parse(cls, process: str) -> Self:
        """Return the mark in the column `process`."""
        is_complete = process.startswith(_COMPLETE_PREFIX)
        prefix = _COMPLETE_PREFIX if is_complete else _BEGUN_PREFIX
        return cls(process.removeprefix(prefix), is_complete)

    def __str__(self) -> str:
        """Return the value of the column `process`."""
        return f"{_COMPLETE_PREFIX if self.is_complete else _BEGUN_PREFIX}{self.target}"

    def refusal(self) -> JournalReadOnly:
        """Return the error for a run, a submit or new tickets in the marked journal."""
        if self.is_complete:
            return JournalReadOnly(
                f"this journal was copied to {self.target}, and nothing runs here any more, so "
                "that nothing is paid for twice; use that one"
            )
        return JournalReadOnly(
            f"a copy of this journal to {self.target} has begun, so nothing runs here; wait for "
            "its end or, if it was killed, start the same `batch copy` again"
        )


def find_mark(db: sqlite3.Connection) -> CopyMark | None:
    """Return the mark of a journal; None if it has none."""
    row = db.execute(_FIND, (ENDLESS_LEASE,)).fetchone()
    return None if row is None else CopyMark.parse(str(row[0]))


def check_not_copied(db: sqlite3.Connection) -> None:
    """
    Check that a run may begin, a submit may be sent, and tickets may be queued.

    Raises:
        JournalReadOnly: The journal has a mark.
    """
    if (mark := find_mark(db)) is not None:
        raise mark.refusal()


def set_mark(db: sqlite3.Connection, mark: CopyMark, *, now: float) -> None:
    """Mark a journal, in place of an earlier mark."""
    remove_mark(db)
    db.execute(
        "INSERT INTO runs (started_at, lease_until, process) VALUES (?, ?, ?)",
        (now, ENDLESS_LEASE, str(mark)),
    )


def remove_mark(db: sqlite3.Connection) -> None:
    """Remove the mark of a journal."""
    db.execute("DELETE FROM runs WHERE lease_until = ?", (ENDLESS_LEASE,))


def has_origin(db: sqlite3.Connection, origin: str) -> bool:
    """
    Return whether a journal, given by its name, was copied to this one.

    Several journals can be origins of one, if all but the last one had no rows.
    """
    (is_found,) = db.execute(_HAS_ORIGIN, (f"{ORIGIN_PREFIX}{origin}",)).fetchone()
    return bool(is_found)


def record_origin(db: sqlite3.Connection, origin: str, *, now: float) -> None:
    """Record the name of the journal whose rows this one gets."""
    db.execute(
        "INSERT INTO runs (started_at, process) VALUES (?, ?)", (now, f"{ORIGIN_PREFIX}{origin}")
    )
