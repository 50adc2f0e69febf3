"""Finds the ticket and its family in a row, by the names of the columns."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from attrs import field, frozen

from .._registry.families import FAMILIES

# Known names of columns, the most specific first, in lower case and without separators.
_TICKET_COLUMNS = ("ticket", "tickets")
_ID_COLUMNS = ("requestid", "id", "fetchid", "generationid", "jobid", "taskid", "ids")
_FAMILY_COLUMNS = ("family", "modelfamily", "api", "endpoint")
_MAX_SHOWN_CHARS = 60


@frozen(kw_only=True)
class InputSpec:
    """
    The options with which the user describes a file of tickets or ids.

    Attributes:
        family: The family of bare ids, such as `13443927`. If it is None, another column of the
            file must name the family.
        column: The name or the number of the column of tickets or ids. If it is None, the column
            must have a known name.
        family_argument: How messages name the option for the family: `--family` on the command
            line, `family=` in Python.
        column_argument: How messages name the option for the column.
    """

    family: str | None = None
    column: str | None = None
    family_argument: str = "--family"
    column_argument: str = "--column"

    @property
    def named_column(self) -> str:
        """How a message tells the user to choose a column, such as `--column NAME`."""
        is_keyword = self.column_argument.endswith("=")
        return f"{self.column_argument}{'' if is_keyword else ' '}NAME"

    @property
    def number(self) -> int | None:
        """The one-based number of the column, or None if the user gives no number."""
        value = self.column or ""
        return int(value) if value.isascii() and value.isdecimal() and value != "0" else None

    @property
    def fields(self) -> tuple[tuple[str, ...], ...]:
        """The possible names of a column of tickets, and then those of a column of ids."""
        if self.column is None:
            return _TICKET_COLUMNS, _ID_COLUMNS
        return ((_normalize(self.column),),)


@frozen(kw_only=True)
class InputRow:
    """
    A row of a file of ids.

    Attributes:
        location: Where the row is, such as `line 3`.
        text: The ticket or id in the row.
        family: The family, if another cell of the row names it.
        has_column_name: Whether the name of the column says that the text is a ticket or id.
        problem: Why no ticket can be read from the row.
        columns: The other cells of the row, keyed by the names of their columns.
    """

    location: str
    text: str = ""
    family: str | None = None
    has_column_name: bool = False
    problem: str = ""
    columns: Mapping[str, Any] = field(factory=dict[str, Any])


@frozen(kw_only=True)
class NamedRow:
    """
    A row of a table whose columns have names.

    Attributes:
        location: Where the row is, such as `line 3`.
        cells: The cells of the row, keyed by the names of their columns.
        problem: Why the row cannot be read.
        has_types: Whether the cells are JSON values. If not, they are all strings.
        repeated: The repeated names of columns, as `unique_names` returns them.
    """

    location: str
    cells: Mapping[str, Any] = field(factory=dict[str, Any])
    problem: str = ""
    has_types: bool = False
    repeated: Mapping[str, str] = field(factory=dict[str, str])


def unique_names(names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """
    Add the number of the column to each repeated name, so that all names differ.

    Returns:
        The names, and for each name that got a number, the repeated name.
    """
    unique: list[str] = []
    repeated: dict[str, str] = {}
    for number, given in enumerate(names, 1):
        name = given
        while name in unique:
            name = f"{name}_{number}"
        unique.append(name)
        if name != given:
            repeated[name] = given
    return unique, repeated


def is_ticket_column(name: str, spec: InputSpec) -> bool:
    """Whether a column of this name holds tickets or ids."""
    return any(_normalize(name) in names for names in spec.fields)


def row_from_cells(
    location: str, cells: Mapping[str, Any], spec: InputSpec, repeated: Mapping[str, str]
) -> InputRow:
    """
    Find the ticket and its family by the names of the columns.

    Args:
        location: Where the row is, such as `line 3`.
        cells: The cells of the row, keyed by the unique names of their columns.
        spec: The options with which the user describes the file.
        repeated: The repeated names of columns, as `unique_names` returns them.
    """
    # The unique names of the columns of the nonempty cells, keyed by the normalized name.
    given: dict[str, list[str]] = {}
    for name, value in cells.items():
        if value not in (None, ""):
            given.setdefault(_normalize(repeated.get(name, name)), []).append(name)
    columns = next(filter(None, (_columns(given, names) for names in spec.fields)), None)
    if columns is None:
        expected = "id" if spec.column is None else repr(spec.column)
        advice = f"choose another column with {spec.column_argument}"
        return InputRow(
            location=location,
            problem=f"it has no {expected}; it has {format_names(cells)}; {advice}",
        )
    value = cells[columns[0]]
    families = [name for name in _columns(given, _FAMILY_COLUMNS) if is_id_value(cells[name])]
    problem = _conflict(cells, columns, repeated, f"choose one with {spec.named_column}")
    if not is_id_value(value):
        problem = f"its id is of type {type(value).__name__}, not a text or a whole number"
    elif not problem and spec.family is None and ":" not in str(value):
        # Another name, such as one of an endpoint, is no second family.
        known = [name for name in families if _text(cells[name]) in FAMILIES]
        problem = _conflict(cells, known, repeated, f"give {spec.family_argument}")
    if problem:
        return InputRow(location=location, problem=problem)
    return InputRow(
        location=location,
        text=_text(value),
        family=_text(cells[families[0]]) if families else None,
        has_column_name=True,
        columns={name: cell for name, cell in cells.items() if name != columns[0]},
    )


def _columns(given: Mapping[str, list[str]], names: Iterable[str]) -> list[str]:
    return [column for name in names for column in given.get(name, ())]


def _conflict(
    cells: Mapping[str, Any], columns: Sequence[str], repeated: Mapping[str, str], advice: str
) -> str:
    """Return the problem of a row in which two of these columns have different values, else ""."""
    for other in columns[1:]:
        if _text(cells[other]) != _text(cells[columns[0]]):
            pair = [name for name in cells if name in (columns[0], other)]
            first, second = (shorten(repeated.get(name, name)) for name in pair)
            return f"{first!r} and {second!r} have different values; keep one of them, or {advice}"
    return ""


def _text(value: object) -> str:
    return str(value).strip()


def is_id_value(value: object) -> bool:
    """Whether a JSON value can be an id: a string or an integer."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def format_names(names: Iterable[object]) -> str:
    """Return the column names of a file, joined with commas, for a message."""
    return ", ".join(repr(shorten(str(name))) for name in names) or "nothing"


def shorten(text: str) -> str:
    """Shorten a long string to its beginning, for use in a message."""
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."


# Cached, because every row of a table has the same names.
@lru_cache(maxsize=1024)
def _normalize(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
