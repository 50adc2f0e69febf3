"""Detects the format of an input table, and yields its rows."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

from .._registry.families import FAMILIES
from .csv_input import detect_delimiter, is_id, looks_like_id, rows_from_csv
from .json_input import rows_from_json_array, rows_from_json_lines
from .parquet_input import is_parquet, rows_from_parquet
from .table_errors import UnusableTable
from .ticket_columns import InputRow, InputSpec, is_ticket_column, shorten

# How a text file is decoded. Bytes that are not UTF-8 become escape sequences, which messages can
# show.
ENCODING: Final = "utf-8-sig"
ENCODING_ERRORS: Final = "backslashreplace"
# The format of a file is detected from this many lines.
_SAMPLE_LINES: Final = 200


def rows_from_path(path: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    Yield the rows of a file.

    Raises:
        UnusableTable: The file is damaged, or has no column of tickets or ids.
        MissingPyarrow: The file is a Parquet file, and the package pyarrow is not installed.
        OSError: The file cannot be read.
    """
    if is_parquet(path):
        yield from rows_from_parquet(path, spec)
        return
    with Path(path).open(encoding=ENCODING, errors=ENCODING_ERRORS) as file:
        yield from rows_from_lines(file, path, spec)


def rows_from_lines(lines: Iterable[str], name: str, spec: InputSpec) -> Iterator[InputRow]:
    """
    Detect the format of text from its first lines, and return its rows.

    Raises:
        UnusableTable: The input is not text, or has no column of tickets or ids.
    """
    rest = iter(lines)
    sample = [*islice(rest, _SAMPLE_LINES)]
    first = next((line.strip() for line in sample if line.strip()), "")
    if any("\0" in line for line in sample):
        raise UnusableTable(f"{name} is not UTF-8 text; save it as CSV in UTF-8")
    all_lines = chain(sample, rest)
    if first.startswith("["):
        return rows_from_json_array(all_lines, name, spec)
    if first.startswith("{"):
        return rows_from_json_lines(all_lines, spec)
    delimiter = detect_delimiter(sample, spec) if first else None
    if delimiter is not None:
        return rows_from_csv(all_lines, delimiter, name, spec)
    return _rows_from_text(all_lines, first, name, spec)


def _rows_from_text(
    lines: Iterable[str], first: str, name: str, spec: InputSpec
) -> Iterator[InputRow]:
    """Yield one ticket or id per line. Skip the first line if it is a column name."""
    has_column_name = is_ticket_column(_unquote(first), spec)
    if spec.column is not None and first and not has_column_name and spec.number != 1:
        raise UnusableTable(
            f"{name} has no column {spec.column!r}; its only column is {_unquote(first)!r}"
        )
    is_header = has_column_name
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not is_header:
            yield InputRow(
                location=f"line {number}", text=_unquote(line), has_column_name=has_column_name
            )
        is_header = False


def _unquote(line: str) -> str:
    """Remove outer whitespace, and the double quotes that a spreadsheet may put around a cell."""
    text = line.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def ticket_text(row: InputRow, spec: InputSpec) -> str:
    """
    Return the ticket of a row, as a string.

    Raises:
        ValueError: The row has no id or no family.
    """
    if row.problem or not row.text:
        raise ValueError(row.problem or "it has no id")
    before, colon, after = row.text.partition(":")
    family = spec.family or row.family
    is_bare_id = not colon or (before not in FAMILIES and family is not None)
    id_ = row.text if is_bare_id else after
    if not is_id(id_):
        raise ValueError(
            f"{shorten(row.text)!r} is not a ticket; an id has letters, digits, '-' and '_', "
            "as in images:13443927"
        )
    if not is_bare_id:
        return row.text
    if not row.has_column_name and not looks_like_id(id_):
        raise ValueError(
            f"{id_!r} has no digit, so it may be a word; write {family or 'images'}:{id_} if it "
            "is an id"
        )
    if family is None:
        raise ValueError(
            f"{id_!r} has no family; write images:{id_}, or give {spec.family_argument}"
        )
    return f"{family}:{id_}"
