"""Table: rows by their names, which never change and show in a signature as how many they are."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

RowT = TypeVar("RowT")
OtherT = TypeVar("OtherT")


class Table(Mapping[str, RowT], Generic[RowT]):
    """
    A mapping that never changes. Joined with another one by `|`, it makes a `dict`.

    Args:
        noun: What the rows are, in the plural.
        rows: The rows by their names.
    """

    __slots__ = ("_noun", "_rows")

    def __init__(self, noun: str, rows: Mapping[str, RowT]) -> None:
        self._noun = noun
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> RowT:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __or__(self, other: Mapping[str, OtherT]) -> dict[str, RowT | OtherT]:
        return {**self._rows, **other}

    def __ror__(self, other: Mapping[str, OtherT]) -> dict[str, RowT | OtherT]:
        return {**other, **self._rows}

    def copy(self) -> dict[str, RowT]:
        """The rows as a dictionary of one's own."""
        return dict(self._rows)

    def __repr__(self) -> str:
        return f"<{len(self)} {self._noun}>"
