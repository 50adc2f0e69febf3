"""Batch columns: what a user says of a file, and which names say where its tickets are."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from attrs import frozen

# Names of columns, the surest first, in lower case and without what stands between words.
_TICKET_COLUMNS = (
    *("ticket", "tickets"),
    *("requestid", "id", "fetchid", "generationid", "jobid", "taskid", "ids"),
)
_FAMILY_COLUMNS = ("family", "modelfamily", "api", "endpoint")
_MAX_SHOWN_CHARS = 60


@frozen(kw_only=True)
class InputSpec:
    """
    What the user says of a file.

    Args:
        family: The family of ids that stand alone.
        column: The column of tickets or ids: its name, or its number where there are no names;
            None: it is known by its name.
    """

    family: str | None = None
    column: str | None = None

    @property
    def number(self) -> int | None:
        """Which column it is, counted from 1, where the user says a number."""
        value = self.column or ""
        return int(value) if value.isascii() and value.isdecimal() and value != "0" else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a column of tickets or ids may have, the surest first."""
        return _TICKET_COLUMNS if self.column is None else (_normalize(self.column),)


@frozen(kw_only=True)
class InputRow:
    """
    What one line says.

    Attributes:
        place: Where it stands, such as `line 3`.
        text: A ticket or an id.
        family: The family that stands beside it.
        named: Whether a name says that the text is one.
        fault: Why there is none.
    """

    location: str
    text: str = ""
    family: str | None = None
    has_column_name: bool = False
    problem: str = ""


def is_ticket_column(name: str, spec: InputSpec) -> bool:
    """Whether a column of that name holds tickets or ids."""
    return _normalize(name) in spec.names


def row_from_cells(location: str, cells: Mapping[str, Any], spec: InputSpec) -> InputRow:
    """The cells that count, found by their names."""
    filled_cells = {
        _normalize(key): value for key, value in cells.items() if value not in (None, "")
    }
    found = next((name for name in spec.names if name in filled_cells), None)
    if found is None:
        expected = "id" if spec.column is None else repr(spec.column)
        advice = ", and --column names another column"
        return InputRow(
            location=location, problem=f"it has no {expected}; it has {format_names(cells)}{advice}"
        )
    family = next(
        (filled_cells[name] for name in _FAMILY_COLUMNS if is_id_value(filled_cells.get(name))),
        None,
    )
    value = filled_cells[found]
    if not is_id_value(value):
        return InputRow(
            location=location, problem=f"its id is a {type(value).__name__}, not a text or a number"
        )
    return InputRow(
        location=location,
        text=str(value).strip(),
        family=family and str(family).strip(),
        has_column_name=True,
    )


def is_id_value(value: object) -> bool:
    """Whether a value of JSON can be an id: a text or a whole number."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def format_names(names: Iterable[object]) -> str:
    """The columns that came, for a message."""
    return ", ".join(repr(shorten(str(name))) for name in names) or "nothing"


def shorten(text: str) -> str:
    """A text that may be long, for a message."""
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}..."


# The names of a table are the same on every line.
@lru_cache(maxsize=1024)
def _normalize(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
