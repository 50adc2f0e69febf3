"""Converts families and ids to compact values for storage, and back without loss."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from .._models.ticket import Ticket
from .row_codec import DAMAGE, damaged_row

# The maximum number of digits of an id that is stored as an integer. All such ids fit in 64 bits.
_MAX_INTEGER_DIGITS = 18


def family_ids(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """
    Add the API families with these names to the journal, except those that it already has.

    Return the numbers of all families in this journal, keyed by the family's name.
    """
    known = {name: family_id for family_id, name in family_names(db).items()}
    if new := sorted(set(names) - known.keys()):
        db.executemany("INSERT INTO families (name) VALUES (?)", [(name,) for name in new])
        known = {name: family_id for family_id, name in family_names(db).items()}
    return known


def family_names(db: sqlite3.Connection) -> dict[int, str]:
    """Return the names of the API families, keyed by their numbers in this journal."""
    return dict(db.execute("SELECT family, name FROM families").fetchall())


def compact_id(ticket: Ticket) -> int | str:
    """Return a ticket's id as an integer if possible, else as a string. "007" stays a string."""
    text = ticket.id
    if len(text) > _MAX_INTEGER_DIGITS or not (text.isascii() and text.isdigit()):
        return text
    return int(text) if text[0] != "0" or text == "0" else text


def read_ticket(names: Mapping[int, str], row_id: int, family: int, id_: Any) -> Ticket:
    """
    Return the ticket in a row.

    Raises:
        JournalDamaged: The row has no valid ticket.
    """
    try:
        # In a damaged row the id can be a BLOB, because SQLite does not enforce types.
        if not isinstance(id_, (int, str)):
            raise TypeError(f"{type(id_).__name__} is no id")
        return Ticket(names[family], str(id_))
    except DAMAGE as error:
        raise damaged_row(f"row {row_id} (id {id_!r:.80})", "ticket", "tickets", error) from error


def row_id_of(db: sqlite3.Connection, ticket: Ticket) -> int:
    """
    Return the number of a ticket's row in this journal.

    Raises:
        ValueError: The ticket is not in this journal.
    """
    row = db.execute(
        "SELECT ticket FROM tickets JOIN families USING (family) WHERE name = ? AND id = ?",
        (ticket.family, compact_id(ticket)),
    ).fetchone()
    if row is None:
        raise ValueError(f"{ticket} is not in this journal; add it first")
    (row_id,) = row
    return int(row_id)
