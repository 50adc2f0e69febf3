"""Batch input: the tickets of a file in any usual form. A bad line is told by its number."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import click

from ... import FAMILIES, Ticket
from ..._transport.credentials import Keys
from ..ticket_arguments import STDIN, checked
from .columns import Form, Row, is_known, shortened
from .csv_input import delimiter_of, is_id, is_plainly_id, rows_of
from .json_input import array_of, lines_of

# So many lines say which form a file has.
_SAMPLE = 200


def read_tickets(
    source: str, form: Form, keys: Keys, skip: Callable[[str], None]
) -> Iterator[Ticket]:
    """
    The tickets of a file, or of standard input.

    Args:
        source: The file, or `-`.
        form: What the user says of it.
        keys: The keys there are.
        skip: Told what is wrong with a line; the rest is not lost for it.

    Raises:
        click.UsageError: The file cannot be read, or nothing says where its tickets are.
    """
    name = "standard input" if source == STDIN else source
    try:
        with _opened(source) as file:
            for row in _each(file, name, form):
                try:
                    yield checked(_text_of(row, form), keys)
                except (click.UsageError, ValueError) as fault:
                    told = fault.format_message() if isinstance(fault, click.UsageError) else fault
                    skip(f"{row.place} of {name} skipped: {told}")
    except OSError as fault:
        raise click.UsageError(
            f"{name} cannot be read: {fault.strerror or fault}; give a file of ids, or `-`"
        ) from None


def _opened(source: str) -> AbstractContextManager[TextIO]:
    if source == STDIN:
        return nullcontext(sys.stdin)
    return Path(source).open(encoding="utf-8-sig", errors="backslashreplace")


def _each(file: Iterable[str], name: str, form: Form) -> Iterator[Row]:
    """The rows of a file whose form its first lines show."""
    lines = iter(file)
    sample = [line.removeprefix("\ufeff") for line in islice(lines, _SAMPLE)]
    first = next((line.strip() for line in sample if line.strip()), "")
    if any("\0" in line for line in sample):
        raise click.UsageError(f"{name} is no text in UTF-8; save it as CSV in UTF-8")
    every = chain(sample, lines)
    if first.startswith("["):
        return array_of(every, name, form)
    if first.startswith("{"):
        return lines_of(every, form)
    delimiter = delimiter_of(sample, form) if first else None
    if delimiter is not None:
        return rows_of(every, delimiter, name, form)
    return _plain_lines(every, first, name, form)


def _plain_lines(lines: Iterable[str], first: str, name: str, form: Form) -> Iterator[Row]:
    """A ticket or an id a line, perhaps under the name of the only column."""
    named = is_known(_bare(first), form)
    if form.column is not None and first and not named and form.number != 1:
        raise click.UsageError(
            f"{name} has no column {form.column!r}; it has one, {_bare(first)!r}"
        )
    head = named
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not head:
            yield Row(place=f"line {number}", text=_bare(line), named=named)
        head = False


def _bare(line: str) -> str:
    """A line without the quotes of a table of one column."""
    text = line.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _text_of(row: Row, form: Form) -> str:
    """
    A ticket as text.

    Raises:
        ValueError: There is no id, or no family.
    """
    if row.fault or not row.text:
        raise ValueError(row.fault or "it has no id")
    before, colon, after = row.text.partition(":")
    family = form.family or row.family
    alone = not colon or (before not in FAMILIES and family is not None)
    id_ = row.text if alone else after
    if not is_id(id_):
        raise ValueError(
            f"{shortened(row.text)!r} is no ticket; an id is letters, digits, '-' and '_', "
            "as in images:13443927"
        )
    if not alone:
        return row.text
    if not row.named and not is_plainly_id(id_):
        raise ValueError(
            f"{id_!r} has no digit, as words have; write {family or 'images'}:{id_} if it is an id"
        )
    if family is None:
        raise ValueError(f"{id_!r} has no family; write images:{id_}, or give --family")
    return f"{family}:{id_}"
