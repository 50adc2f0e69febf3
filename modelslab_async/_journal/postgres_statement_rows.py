"""Splits the rows of a write into statements of limited size, and transposes rows to columns."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from .row_codec import text_size

# The maximum number of characters in the arguments of one statement that writes several rows. Even
# over a slow network, the client can send these within a statement's timeout (60 s).
_MAX_STATEMENT_CHARS: Final = 8_000_000


def in_statements(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Split rows into groups, one for each statement, so that no statement gets too large."""
    start, chars = 0, 0
    for position, row in enumerate(rows):
        row_chars = text_size(row)
        if position > start and chars + row_chars > _MAX_STATEMENT_CHARS:
            yield rows[start:position]
            start, chars = position, 0
        chars += row_chars
    if rows:
        yield rows[start:]


def transposed(rows: Sequence[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """Transpose rows to columns, because a statement takes one array for each column."""
    return map(list, zip(*rows, strict=True))
