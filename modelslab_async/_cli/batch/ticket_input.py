"""Reads tickets from a file: text, CSV, JSON or Parquet. A bad line is reported and skipped."""

from collections.abc import Callable, Iterator

import click

from ..._models.ticket import NewTicket
from ..._tables.table_errors import MissingPyarrow, UnusableTable
from ..._tables.table_reader import (
    rows_from_lines,
    rows_from_path,
    ticket_text,
)
from ..._tables.ticket_columns import InputRow, InputSpec
from ..._transport.credentials import Credentials
from ..shared_command_errors import MissingExtra
from ..standard_input import STDIN, open_text, source_name, unreadable_source
from ..ticket_arguments import parse_pollable_ticket


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
        click.UsageError: The file cannot be read, or it is unclear which column holds the tickets.
        MissingExtra: The file needs a package that is not installed.
    """
    name = source_name(source)
    try:
        for row in _rows(source, spec):
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
        raise unreadable_source(source, problem, "a file of ids") from None


def _rows(source: str, spec: InputSpec) -> Iterator[InputRow]:
    if source != STDIN:
        return rows_from_path(source, spec)
    return rows_from_lines(open_text(), source_name(source), spec)
