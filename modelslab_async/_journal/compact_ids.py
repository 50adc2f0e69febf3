"""Families: the names in a journal as small numbers, and ids in their shortest form."""

import sqlite3
from collections.abc import Iterable

from .._models.ticket import Ticket

# As many digits as always fit SQLite's integers.
_MAX_INTEGER_DIGITS = 18


def family_ids(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, int]:
    """The number of each family; those that were never seen get one."""
    known = {name: family_id for family_id, name in family_names(db).items()}
    if new := sorted(set(names) - known.keys()):
        db.executemany("INSERT INTO families (name) VALUES (?)", [(name,) for name in new])
        known = {name: family_id for family_id, name in family_names(db).items()}
    return known


def family_names(db: sqlite3.Connection) -> dict[int, str]:
    """The name of each family, by its number."""
    return dict(db.execute("SELECT family, name FROM families").fetchall())


def compact_id(ticket: Ticket) -> int | str:
    """A ticket's id: as an integer where that is the same text again."""
    text = ticket.id
    if len(text) > _MAX_INTEGER_DIGITS or not (text.isascii() and text.isdigit()):
        return text
    return int(text) if text[0] != "0" or text == "0" else text


def row_id_of(db: sqlite3.Connection, ticket: Ticket) -> int:
    """
    The number of a ticket in this journal.

    Raises:
        ValueError: It is not in it.
    """
    row = db.execute(
        "SELECT ticket FROM tickets JOIN families USING (family) WHERE name = ? AND id = ?",
        (ticket.family, compact_id(ticket)),
    ).fetchone()
    if row is None:
        raise ValueError(f"{ticket} is not in this journal; add it first")
    return int(row[0])
