"""Reads the rows of a CSV file, with or without column names."""

import csv
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import evolve, frozen

from .._registry.families import FAMILIES
from .table_errors import UnusableTable
from .ticket_columns import (
    InputRow,
    InputSpec,
    NamedRow,
    format_names,
    is_ticket_column,
    row_from_cells,
    unique_names,
)

_DELIMITERS = ",;\t"
_MAX_CELL_CHARS = 131_072
# The csv module's limit for the characters of a cell, set while a table is read. The module would
# read the rest of a longer cell as further rows. So this limit is too high to be exceeded, and
# `_csv_rows` checks the real limit, `_MAX_CELL_CHARS`.
_CSV_FIELD_LIMIT = 2**31 - 1
_ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(?:/[A-Za-z0-9][A-Za-z0-9_-]*)*")


@frozen
class _CsvRow:
    """The cells of one row, or the reason why the row cannot be used."""

    location: str
    cells: list[str]
    problem: str = ""


def is_id(text: str) -> bool:
    """Whether a string has the form of an id, such as `13443927` or `workflow-1/134_a`."""
    return _ID_PATTERN.fullmatch(text) is not None


def looks_like_id(text: str) -> bool:
    """Whether a string has the form of an id and contains a digit, unlike most words."""
    return is_id(text) and any(map(str.isdigit, text))


def is_ticket(text: str) -> bool:
    """Whether a string is a ticket of a known family."""
    family, _, id_ = text.partition(":")
    return family in FAMILIES and is_id(id_)


def detect_delimiter(sample: Sequence[str], spec: InputSpec) -> str | None:
    """Return the delimiter that fits the lines best, or None if the lines are not a table."""
    score, delimiter = max((_score_delimiter(sample, each, spec), each) for each in _DELIMITERS)
    has_known_column, uniform_share, _ = score
    return delimiter if has_known_column or uniform_share > 1 / 2 else None


def _score_delimiter(
    sample: Sequence[str], delimiter: str, spec: InputSpec
) -> tuple[bool, float, int]:
    """
    Rate how well a delimiter fits. Ratings are compared as tuples, and the highest is the best.

    Returns:
        A tuple of three values: whether the first row has a known column name, the share of rows
        with as many cells as the first row, and the number of cells in the first row.
    """
    with _raised_field_limit():
        reader = csv.reader(sample, delimiter=delimiter, skipinitialspace=True)
        rows = [row for row in reader if row]
    width = len(rows[0])
    if width == 1:
        return False, 0.0, width
    uniform_share = sum(len(row) == width for row in rows) / len(rows)
    return any(is_ticket_column(cell, spec) for cell in rows[0]), uniform_share, width


def rows_from_csv(
    lines: Iterable[str], delimiter: str, name: str, spec: InputSpec
) -> Iterator[InputRow]:
    """
    Yield the rows of a table, with or without column names.

    Raises:
        UnusableTable: The table has no column of tickets or ids.
    """
    with _raised_field_limit():
        csv_rows = _csv_rows(lines, delimiter)
        for header in csv_rows:
            if not header.problem:
                break
            yield InputRow(location=header.location, problem=header.problem)
        else:
            return
        if any(is_ticket_column(cell, spec) for cell in header.cells):
            names, repeated = _unique_names(header.cells)
            for csv_row in csv_rows:
                yield _row_with_header(csv_row, names, repeated, spec)
            return
        column = _ticket_column(header.cells, name, spec)
        yield _row_without_header(header, column, spec)
        for csv_row in csv_rows:
            yield _row_without_header(csv_row, column, spec)


def named_rows_from_csv(lines: Iterable[str], delimiter: str) -> Iterator[NamedRow]:
    """
    Yield the rows of a table whose first row has the names of its columns.

    Each row has all columns. The cells that a short row lacks are empty.
    """
    with _raised_field_limit():
        names: list[str] = []
        repeated: dict[str, str] = {}
        for csv_row in _csv_rows(lines, delimiter):
            if csv_row.problem or names:
                row = _named_row(csv_row, names)
                cells = {**dict.fromkeys(names, ""), **row.cells}
                yield evolve(row, cells=cells, repeated=repeated)
            else:
                names, repeated = _unique_names(csv_row.cells)


def _named_row(csv_row: _CsvRow, names: list[str]) -> NamedRow:
    problem = csv_row.problem or _extra_cells_problem(csv_row.cells, len(names))
    if problem:
        return NamedRow(location=csv_row.location, problem=problem)
    cells = dict(zip(names, csv_row.cells, strict=False))
    return NamedRow(location=csv_row.location, cells=cells)


def _unique_names(header: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return unique names of the columns, as `unique_names` does. An empty name gets a number."""
    return unique_names([cell or _name_from_number(n) for n, cell in enumerate(header, 1)])


def _name_from_number(number: int) -> str:
    return f"column_{number}"


@contextmanager
def _raised_field_limit() -> Generator[None, None, None]:
    previous_limit = csv.field_size_limit(_CSV_FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(previous_limit)


def _csv_rows(lines: Iterable[str], delimiter: str) -> Iterator[_CsvRow]:
    """Yield the rows that are not empty. A quoted cell may span several lines."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        first = reader.line_num + 1
        cells, problem = list[str](), ""
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"its quotes are malformed: {error}"
        last = reader.line_num
        longest_cell = max(map(len, cells), default=0)
        if longest_cell > _MAX_CELL_CHARS:
            problem = f"a cell has {longest_cell:,} characters; the most is {_MAX_CELL_CHARS:,}"
        if problem or any(cells):
            location = f"line {first}" if first == last else f"lines {first} to {last}"
            yield _CsvRow(location, cells, problem)


def _ticket_column(cells: list[str], name: str, spec: InputSpec) -> int | None:
    """
    Return the index of the ticket column in a table without column names.

    None means that the ticket may be in any column of a row.
    """
    number = spec.number
    if number is not None and number <= len(cells):
        return number - 1
    if spec.column is not None:
        raise UnusableTable(f"{name} has no column {spec.column!r}; it has {', '.join(cells)}")
    if any(map(is_ticket, cells)) or (
        any(cell in FAMILIES for cell in cells) and any(map(looks_like_id, cells))
    ):
        return None
    raise UnusableTable(
        f"{name} has no column with a known name; it has {format_names(cells)}; choose one with "
        f"{spec.named_column}, or by its number if these are not names"
    )


def _row_with_header(
    csv_row: _CsvRow, names: list[str], repeated: Mapping[str, str], spec: InputSpec
) -> InputRow:
    row = _named_row(csv_row, names)
    if row.problem:
        return InputRow(location=row.location, problem=row.problem)
    return row_from_cells(row.location, row.cells, spec, repeated)


def _extra_cells_problem(cells: list[str], width: int) -> str:
    """Return an error message if a row has text beyond the table's last column, else ""."""
    if not any(cells[width:]):
        return ""
    return f"it has {len(cells)} cells for {width} columns; is a cell with a comma not quoted?"


def _row_without_header(csv_row: _CsvRow, column: int | None, spec: InputSpec) -> InputRow:
    """
    Read a row of a table without column names.

    If `column` is None, the row must have exactly one ticket, or one family and one id.
    """
    location, cells = csv_row.location, csv_row.cells
    if csv_row.problem:
        return InputRow(location=location, problem=csv_row.problem)
    if column is not None:
        text = cells[column] if column < len(cells) else ""
        return InputRow(location=location, text=text, columns=_other_columns(column, cells))
    tickets = [cell for cell in cells if is_ticket(cell)]
    families = [cell for cell in cells if cell in FAMILIES]
    ids = [cell for cell in cells if looks_like_id(cell) and cell not in FAMILIES]
    match tickets, families, ids:
        case [ticket], _, _:
            columns = _other_columns(cells.index(ticket), cells)
            return InputRow(location=location, text=ticket, columns=columns)
        case [], [family], [id_]:
            columns = _other_columns(cells.index(id_), cells)
            return InputRow(location=location, text=id_, family=family, columns=columns)
        case _:
            return InputRow(
                location=location,
                problem=f"it has {len(tickets)} tickets and {len(ids)} ids instead of one; "
                f"choose a column by its number with {spec.column_argument}",
            )


def _other_columns(ticket_column: int, cells: list[str]) -> dict[str, str]:
    """Return a row's cells without the ticket or id, keyed by names such as `column_2`."""
    return {
        _name_from_number(number): cell
        for number, cell in enumerate(cells, 1)
        if number != ticket_column + 1
    }
