"""Ends a page of rows at a total size of its texts, in an SQLite file and in a database."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from .row_codec import text_size

T = TypeVar("T", bound=Sequence[Any])

# The maximum total size of the texts on a page, not counting the last row. It limits the memory for
# a page, because even a single reply can have up to 14 MB. For texts from an SQLite file, it counts
# characters.
PAGE_BYTES: Final = 8_000_000


def rows_of_page(rows: Iterable[T], page_bytes: int) -> Iterator[T]:
    """Yield rows until their texts reach a total size. The row that reaches it is the last one."""
    size = 0
    for row in rows:
        yield row
        size += text_size(row)
        if size >= page_bytes:
            return


def bytes_of(*columns: str) -> str:
    """Return SQL of PostgreSQL for the total size of some columns in bytes."""
    # For a large text, `octet_length` reads only the stored size, and not the text.
    return " + ".join(f"coalesce(octet_length({column}), 0)" for column in columns)
