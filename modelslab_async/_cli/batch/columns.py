"""Batch columns: what a user says of a file, and which names say where its tickets are."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from attrs import frozen

# Names of columns, the surest first, in lower case and without what stands between words.
_NAMES = (
    *("ticket", "tickets"),
    *("requestid", "id", "fetchid", "generationid", "jobid", "taskid", "ids"),
)
_FAMILIES = ("family", "modelfamily", "api", "endpoint")
_LONGEST = 60


@frozen(kw_only=True)
class Form:
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
        given = self.column or ""
        return int(given) if given.isascii() and given.isdecimal() and given != "0" else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that a column of tickets or ids may have, the surest first."""
        return _NAMES if self.column is None else (_plain(self.column),)


@frozen(kw_only=True)
class Row:
    """
    What one line says.

    Attributes:
        place: Where it stands, such as `line 3`.
        text: A ticket or an id.
        family: The family that stands beside it.
        named: Whether a name says that the text is one.
        fault: Why there is none.
    """

    place: str
    text: str = ""
    family: str | None = None
    named: bool = False
    fault: str = ""


def is_known(name: str, form: Form) -> bool:
    """Whether a column of that name holds tickets or ids."""
    return _plain(name) in form.names


def row_of(place: str, cells: Mapping[str, Any], form: Form) -> Row:
    """The cells that count, found by their names."""
    filled = {_plain(key): value for key, value in cells.items() if value not in (None, "")}
    found = next((name for name in form.names if name in filled), None)
    if found is None:
        wanted = "id" if form.column is None else repr(form.column)
        advice = ", and --column names another column"
        return Row(place=place, fault=f"it has no {wanted}; it has {listed(cells)}{advice}")
    family = next((filled[name] for name in _FAMILIES if is_text(filled.get(name))), None)
    given = filled[found]
    if not is_text(given):
        return Row(place=place, fault=f"its id is a {type(given).__name__}, not a text or a number")
    return Row(
        place=place, text=str(given).strip(), family=family and str(family).strip(), named=True
    )


def is_text(value: object) -> bool:
    """Whether a value of JSON can be an id: a text or a whole number."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def listed(names: Iterable[object]) -> str:
    """The columns that came, for a message."""
    return ", ".join(repr(shortened(str(name))) for name in names) or "nothing"


def shortened(text: str) -> str:
    """A text that may be long, for a message."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


# The names of a table are the same on every line.
@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
