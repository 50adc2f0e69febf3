"""Batch input: the tickets of a file in any usual form. A bad line is told by its number."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import click
from attrs import frozen

from .. import FAMILIES, Ticket
from .._transport.keys import Keys
from .tickets import STDIN, checked

# Names of columns, the surest first, in lower case and without what stands between words.
_TICKETS = ("ticket", "tickets")
_IDS = ("requestid", "id", "fetchid", "generationid", "jobid", "taskid", "ids")
_FAMILIES = ("family", "modelfamily", "api", "endpoint")
_DELIMITERS = ",;\t"


@frozen(kw_only=True)
class Form:
    """
    What the user says of a file.

    Args:
        family: The family of ids that stand alone.
        column: The name of the column of tickets or ids; None: it is guessed.
    """

    family: str | None = None
    column: str | None = None


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
        click.UsageError: The file cannot be read, or holds no column of tickets.
    """
    name = "standard input" if source == STDIN else source
    try:
        with _opened(source) as file:
            for number, given in _each(file, name, form):
                try:
                    yield checked(_text_of(given, form), keys)
                except (click.UsageError, ValueError) as fault:
                    told = fault.format_message() if isinstance(fault, click.UsageError) else fault
                    skip(f"line {number} of {name} skipped: {told}")
    except OSError as fault:
        raise click.UsageError(
            f"{name} cannot be read: {fault.strerror or fault}; give a file of ids, or `-`"
        ) from None


def _opened(source: str) -> AbstractContextManager[TextIO]:
    if source == STDIN:
        return nullcontext(sys.stdin)
    return Path(source).open(encoding="utf-8-sig", errors="backslashreplace")


def _each(
    file: Iterable[str], name: str, form: Form
) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    """Lines of text, or rows with names; each with the number of its line."""
    lines = ((number, line.strip()) for number, line in enumerate(file, 1))
    filled = ((number, line.lstrip("\ufeff")) for number, line in lines if line)
    first = next(filled, None)
    if first is None:
        return
    every = chain([first], filled)
    delimiter = max(_DELIMITERS, key=first[1].count)
    if first[1].startswith("{"):
        yield from _objects(every, form)
    elif first[1].count(delimiter) or _known(first[1], form):
        yield from _table(every, delimiter, name, form)
    else:
        yield from every


def _objects(
    lines: Iterable[tuple[int, str]], form: Form
) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    """Lines of JSON as rows with the three names that count; what is none stays a text."""
    for number, line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            yield number, line
            continue
        yield (
            number,
            _row({str(key): value for key, value in row.items()}, form)
            if isinstance(row, dict)
            else line,
        )


def _table(
    lines: Iterable[tuple[int, str]], delimiter: str, name: str, form: Form
) -> Iterator[tuple[int, str | Mapping[str, Any]]]:
    rows = ((number, next(csv.reader([line], delimiter=delimiter))) for number, line in lines)
    number, head = next(rows)
    if any(_known(cell, form) for cell in head):
        for place, cells in rows:
            yield place, _row(dict(zip(head, cells, strict=False)), form)
        return
    if form.column is not None:
        raise click.UsageError(f"{name} has no column {form.column!r}; it has {', '.join(head)}")
    yield number, _bare(head)
    for place, cells in rows:
        yield place, _bare(cells)


def _bare(cells: list[str]) -> str | Mapping[str, Any]:
    """A row of a table without a head: a family and an id, or what stands first."""
    words = [cell.strip() for cell in cells]
    families = [word for word in words if word in FAMILIES]
    others = [word for word in words if word and word not in FAMILIES]
    if families and others:
        return {"family": families[0], "id": others[0]}
    return next((word for word in words if ":" in word), words[0])


def _row(cells: Mapping[str, Any], form: Form) -> Mapping[str, Any]:
    """The cells that count, under the names ticket, id and family."""
    named = {_plain(key): value for key, value in cells.items() if value not in (None, "")}
    found: dict[str, Any] = {}
    for name, names in (("ticket", _TICKETS), ("id", _IDS), ("family", _FAMILIES)):
        key = next((key for key in names if key in named), None)
        if key is not None:
            found[name] = named[key]
    if form.column is not None:
        found = {"family": found.get("family"), "id": named.get(_plain(form.column))}
    return found


def _text_of(given: str | Mapping[str, Any], form: Form) -> str:
    """
    A ticket as text.

    Raises:
        ValueError: There is no id, or no family.
    """
    if isinstance(given, str):
        found, family = given, form.family
    else:
        found = str(given.get("ticket") or given.get("id") or "").strip()
        family = form.family or given.get("family")
    if not found:
        raise ValueError("it has no id; the column may be named with --column")
    if found.partition(":")[0] in FAMILIES and ":" in found:
        return found
    if family is None:
        if ":" in found:
            return found
        raise ValueError(f"{found!r} has no family; write images:{found}, or give --family")
    return f"{family}:{found}"


def _known(cell: str, form: Form) -> bool:
    names = (*_TICKETS, *_IDS) if form.column is None else (_plain(form.column),)
    return _plain(cell) in names


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
