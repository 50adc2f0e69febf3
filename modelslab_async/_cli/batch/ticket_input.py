"""Reads tickets from a file: text, CSV, JSON or Parquet. A bad line is reported and skipped."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TextIO

import click

from ..._models.ticket import NewTicket
from ..._tables.table_errors import MissingPyarrow, UnusableTable
from ..._tables.table_reader import (
    ENCODING,
    ENCODING_ERRORS,
    rows_from_lines,
    rows_from_path,
    ticket_text,
)
from ..._tables.ticket_columns import InputSpec
from ..._transport.credentials import Credentials
from ..command_error_types import MissingExtra
from ..ticket_arguments import STDIN, parse_pollable_ticket


def read_tickets(
    source: str, spec: InputSpec, credentials: Credentials, on_skipped: Callable[[str], None]
) -> Iterator[NewTicket]:
    """
    Yield the tickets in a file or in standard input, with the other columns of their rows.

    Args:
        source: The path of the file, or `-` for standard input.
        spec: What the options of the command say about the file.
        credentials: The API keys to poll with.
        on_skipped: Called with the problem of a bad line. The line is skipped.

    Raises:
        click.UsageError: The file cannot be read, or no column is known to hold tickets.
        MissingExtra: The file needs a package that is not installed.
    """
    name = source_name(source)
    rows = (
        rows_from_lines(sys.stdin, name, spec) if source == STDIN else rows_from_path(source, spec)
    )
    try:
        for row in rows:
            try:
                ticket = parse_pollable_ticket(ticket_text(row, spec), credentials)
                yield NewTicket.of((ticket, row.columns))
            except click.UsageError as problem:
                on_skipped(f"{row.location} of {name} skipped: {problem.format_message()}")
            except ValueError as problem:
                on_skipped(f"{row.location} of {name} skipped: {problem}")
    except UnusableTable as problem:
        raise click.UsageError(str(problem)) from None
    except MissingPyarrow as missing:
        raise MissingExtra(str(missing)) from None
    except OSError as problem:
        raise click.UsageError(
            f"{name} cannot be read: {problem.strerror or problem}; give a file of ids, or `-`"
        ) from None


def source_name(source: str) -> str:
    """Return the name of the input for messages: its path, or "standard input"."""
    return "standard input" if source == STDIN else source


def open_source(source: str) -> AbstractContextManager[TextIO]:
    """Open a text file for reading. The source `-` is standard input."""
    if source == STDIN:
        return nullcontext(sys.stdin)
    return Path(source).open(encoding=ENCODING, errors=ENCODING_ERRORS)
