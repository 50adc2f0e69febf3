"""Batch table: the rows of a CSV file, read as a table. Which column counts is never guessed."""

import csv
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import click
from attrs import frozen

from ... import FAMILIES
from .columns import Form, Row, is_known, listed, row_of

_DELIMITERS = ",;\t"
_LONGEST_CELL = 131_072
# More than any cell, on every system: a reader that stops in a cell takes the rest of it for rows.
_NO_LIMIT = 2**31 - 1
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*)*")


@frozen
class _Record:
    """The cells of one row, or what is wrong with it."""

    place: str
    cells: list[str]
    fault: str = ""


def is_id(text: str) -> bool:
    """Whether a text could be an id: letters, digits, `-` and `_`, in parts joined by a slash."""
    return _ID.fullmatch(text) is not None


def is_plainly_id(text: str) -> bool:
    """Whether a text that no name calls an id looks like one, and not like a word."""
    return is_id(text) and any(map(str.isdigit, text))


def is_ticket(text: str) -> bool:
    """Whether a text is a ticket of a family that there is."""
    family, _, id_ = text.partition(":")
    return family in FAMILIES and is_id(id_)


def delimiter_of(sample: Sequence[str], form: Form) -> str | None:
    """What parts the lines into the same number of cells; None where nothing does: no table."""
    merit, delimiter = max((_merit(sample, each, form), each) for each in _DELIMITERS)
    named, alike, _ = merit
    return delimiter if named or alike > 1 / 2 else None


def _merit(sample: Sequence[str], delimiter: str, form: Form) -> tuple[bool, float, int]:
    """Whether there is a head with a name that is known, and the share of rows as wide as it."""
    with _unlimited():
        reader = csv.reader(sample, delimiter=delimiter, skipinitialspace=True)
        rows = [row for row in reader if row]
    width = len(rows[0])
    if width == 1:
        return False, 0.0, width
    alike = sum(len(row) == width for row in rows) / len(rows)
    return any(is_known(cell, form) for cell in rows[0]), alike, width


def rows_of(lines: Iterable[str], delimiter: str, name: str, form: Form) -> Iterator[Row]:
    """
    The rows of a table, be there names of columns or not.

    Raises:
        click.UsageError: Nothing says which column holds tickets or ids.
    """
    with _unlimited():
        records = _records(lines, delimiter)
        for head in records:
            if not head.fault:
                break
            yield Row(place=head.place, fault=head.fault)
        else:
            return
        if any(is_known(cell, form) for cell in head.cells):
            for record in records:
                yield _named(record, head.cells, form)
            return
        column = _column(head.cells, name, form)
        yield _bare(head, column)
        for record in records:
            yield _bare(record, column)


@contextmanager
def _unlimited() -> Generator[None, None, None]:
    before = csv.field_size_limit(_NO_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(lines: Iterable[str], delimiter: str) -> Iterator[_Record]:
    """The rows that hold something. A quoted cell may go over several lines."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        first = reader.line_num + 1
        cells, fault = list[str](), ""
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            fault = f"its quotes are not those of a table: {error}"
        last = reader.line_num
        longest = max(map(len, cells), default=0)
        if longest > _LONGEST_CELL:
            fault = f"a cell has {longest:,} characters, at most {_LONGEST_CELL:,} are read"
        if fault or any(cells):
            place = f"line {first}" if first == last else f"lines {first} to {last}"
            yield _Record(place, cells, fault)


def _column(cells: list[str], name: str, form: Form) -> int | None:
    """Where to look in a table without names; None: its first row shows what it holds."""
    number = form.number
    if number is not None and number <= len(cells):
        return number - 1
    if form.column is not None:
        raise click.UsageError(f"{name} has no column {form.column!r}; it has {', '.join(cells)}")
    if any(map(is_ticket, cells)) or (
        any(cell in FAMILIES for cell in cells) and any(map(is_plainly_id, cells))
    ):
        return None
    raise click.UsageError(
        f"no column of {name} is known to hold tickets or ids, it has {listed(cells)}; "
        "name one with --column NAME, or with its number where these are no names"
    )


def _named(record: _Record, head: list[str], form: Form) -> Row:
    fault = record.fault or _surplus(record.cells, len(head))
    if fault:
        return Row(place=record.place, fault=fault)
    return row_of(record.place, dict(zip(head, record.cells, strict=False)), form)


def _surplus(cells: list[str], width: int) -> str:
    """What is wrong with a row that is wider than the head: which cell is which is not sure."""
    if not any(cells[width:]):
        return ""
    return f"it has {len(cells)} cells, and there are {width} columns; is a cell not quoted?"


def _bare(record: _Record, column: int | None) -> Row:
    """A row without names: the chosen cell, or the one ticket in it, or a family and one id."""
    place, cells = record.place, record.cells
    if record.fault:
        return Row(place=place, fault=record.fault)
    if column is not None:
        return Row(place=place, text=cells[column] if column < len(cells) else "")
    tickets = [cell for cell in cells if is_ticket(cell)]
    families = [cell for cell in cells if cell in FAMILIES]
    ids = [cell for cell in cells if is_plainly_id(cell) and cell not in FAMILIES]
    match tickets, families, ids:
        case [ticket], _, _:
            return Row(place=place, text=ticket)
        case [], [family], [id_]:
            return Row(place=place, text=id_, family=family)
        case _:
            return Row(
                place=place,
                fault=f"it has {len(tickets)} tickets and {len(ids)} ids, one is wanted; "
                "choose a column with --column and its number",
            )
