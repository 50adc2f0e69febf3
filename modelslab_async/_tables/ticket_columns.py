"""Finds the ticket and its family in a row, by the names of the columns."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from attrs import field, frozen

# Known names of columns, the most specific first, in lower case and without separators.
_TICKET_COLUMNS = (
    *("ticket", "tickets"),
    *("requestid", "id", "fetchid", "generationid", "jobid", "taskid", "ids"),
)
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
    def names(self) -> tuple[str, ...]:
        """The possible names of the column of tickets or ids, the most specific first."""
        return _TICKET_COLUMNS if self.column is None else (_normalize(self.column),)


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
    """

    location: str
    cells: Mapping[str, Any] = field(factory=dict[str, Any])
    problem: str = ""
    has_types: bool = False


def is_ticket_column(name: str, spec: InputSpec) -> bool:
    """Whether a column of this name holds tickets or ids."""
    return _normalize(name) in spec.names


def row_from_cells(location: str, cells: Mapping[str, Any], spec: InputSpec) -> InputRow:
    """Find the ticket and its family by the names of the columns."""
    # The column name of each nonempty cell, keyed by the normalized column name.
    given_names = {
        _normalize(name): name for name, value in cells.items() if value not in (None, "")
    }
    found = next((name for name in spec.names if name in given_names), None)
    if found is None:
        expected = "id" if spec.column is None else repr(spec.column)
        advice = f"choose another column with {spec.column_argument}"
        return InputRow(
            location=location,
            problem=f"it has no {expected}; it has {format_names(cells)}; {advice}",
        )
    family = next(
        (
            cells[given_names[name]]
            for name in _FAMILY_COLUMNS
            if name in given_names and is_id_value(cells[given_names[name]])
        ),
        None,
    )
    value = cells[given_names[found]]
    if not is_id_value(value):
        return InputRow(
            location=location,
            problem=f"its id is of type {type(value).__name__}, not a text or a whole number",
        )
    return InputRow(
        location=location,
        text=str(value).strip(),
        family=family and str(family).strip(),
        has_column_name=True,
        columns={name: cell for name, cell in cells.items() if name != given_names[found]},
    )


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
