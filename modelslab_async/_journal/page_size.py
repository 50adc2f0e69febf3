"""Limits the total size of the texts in a page of rows, for SQLite and for PostgreSQL."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from .row_codec import text_size

T = TypeVar("T", bound=Sequence[Any])

# The maximum total size of the texts on a page, not counting the last row. For PostgreSQL, the size
# is in bytes, and for SQLite in characters. Without this limit, a page could need too much memory,
# because a single reply can have up to 14 MB.
PAGE_BYTES: Final = 8_000_000


def rows_of_page(rows: Iterable[T], page_bytes: int) -> Iterator[T]:
    """Yield rows until the total size of their texts has reached `page_bytes`."""
    size = 0
    for row in rows:
        yield row
        size += text_size(row)
        if size >= page_bytes:
            return


def bytes_of(*columns: str) -> str:
    """Return a PostgreSQL expression for the total size of some columns, in bytes."""
    # For a large text, `octet_length` reads only the stored size, and not the text.
    return " + ".join(f"coalesce(octet_length({column}), 0)" for column in columns)
