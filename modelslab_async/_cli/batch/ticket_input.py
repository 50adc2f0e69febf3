"""Reads the tickets of a file in any usual format. A bad line is reported and skipped."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import click

from ... import FAMILIES
from ..._models.ticket import NewTicket
from ..._transport.credentials import Credentials
from ..ticket_arguments import STDIN, parse_pollable_ticket
from .csv_input import detect_delimiter, is_id, looks_like_id, rows_from_csv
from .input_columns import InputRow, InputSpec, is_ticket_column, shorten
from .json_input import rows_from_json_array, rows_from_json_lines
from .parquet_input import is_parquet, rows_from_parquet

# The format of a file is detected from this many lines.
_SAMPLE_LINES = 200


def read_tickets(
    source: str, spec: InputSpec, credentials: Credentials, on_skipped: Callable[[str], None]
) -> Iterator[NewTicket]:
    """
    Yield the tickets of a file, or of standard input, with their other columns.

    Args:
        source: The path of the file, or `-`.
        spec: What the user says about the file.
        credentials: The keys to poll with.
        on_skipped: Called with the problem of a bad line. The line is skipped.

    Raises:
        click.UsageError: The file cannot be read, or it does not show where its tickets are.
    """
    name = source_name(source)
    try:
        with open_source(source) as file:
            rows = (
                rows_from_parquet(source, spec)
                if is_parquet(source)
                else _rows_from_file(file, name, spec)
            )
            for row in rows:
                try:
                    ticket = parse_pollable_ticket(_ticket_text(row, spec), credentials)
                    yield NewTicket.of((ticket, row.columns))
                except (click.UsageError, ValueError) as problem:
                    message = (
                        problem.format_message()
                        if isinstance(problem, click.UsageError)
                        else problem
                    )
                    on_skipped(f"{row.location} of {name} skipped: {message}")
    except OSError as problem:
        raise click.UsageError(
            f"{name} cannot be read: {problem.strerror or problem}; give a file of ids, or `-`"
        ) from None


def source_name(source: str) -> str:
    """Return the name of a file of tickets, for messages."""
    return "standard input" if source == STDIN else source


def open_source(source: str) -> AbstractContextManager[TextIO]:
    """Open a file of text, or standard input."""
    if source == STDIN:
        return nullcontext(sys.stdin)
    return Path(source).open(encoding="utf-8-sig", errors="backslashreplace")


def _rows_from_file(file: Iterable[str], name: str, spec: InputSpec) -> Iterator[InputRow]:
    """Detect the format of a file from its first lines, and return its rows."""
    lines = iter(file)
    sample = [line.removeprefix("\ufeff") for line in islice(lines, _SAMPLE_LINES)]
    first = next((line.strip() for line in sample if line.strip()), "")
    if any("\0" in line for line in sample):
        raise click.UsageError(f"{name} is not UTF-8 text; save it as CSV in UTF-8")
    all_lines = chain(sample, lines)
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
    """Yield one ticket or id per line. The first line may be the name of the only column."""
    has_column_name = is_ticket_column(_unquote(first), spec)
    if spec.column is not None and first and not has_column_name and spec.number != 1:
        raise click.UsageError(
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
    """Return a line without the quotes that a spreadsheet puts around a cell."""
    text = line.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _ticket_text(row: InputRow, spec: InputSpec) -> str:
    """
    Return the ticket of a row, as text.

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
        raise ValueError(f"{id_!r} has no family; write images:{id_}, or give --family")
    return f"{family}:{id_}"
