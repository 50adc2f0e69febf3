"""Limits the total size of the texts in a page of rows, for SQLite and for PostgreSQL."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from .row_codec import text_size

T = TypeVar("T", bound=Sequence[Any])

# A page of rows ends with the row whose texts bring the total to this size. The size is in bytes
# for PostgreSQL, and in characters for SQLite. Without this limit, a page could need too much
# memory, because a single reply can have up to 14 MB.
PAGE_BYTES: Final = 8_000_000


def rows_of_page(rows: Iterable[T], page_bytes: int) -> Iterator[T]:
    """Yield rows until the texts of these rows reach `page_bytes` in total."""
    size = 0
    for row in rows:
        yield row
        size += text_size(row)
        if size >= page_bytes:
            return


def bytes_of(*columns: str) -> str:
    """Return an SQL expression for PostgreSQL: the total size of some columns, in bytes."""
    # For a large text, `octet_length` reads only the stored size, and not the text itself.
    return " + ".join(f"coalesce(octet_length({column}), 0)" for column in columns)
