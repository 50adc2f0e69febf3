"""
Splits a file of tickets into shards.

Each shard is a hidden file in the folder of the output files.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from attrs import define, evolve, field, frozen

from .._models.ticket import NewTicket, Ticket
from .._registry.families import FAMILIES
from .._registry.family import Family
from .._registry.suggestions import did_you_mean
from .._tables.table_errors import UnusableTable
from .._tables.table_reader import rows_from_path, ticket_text
from .._tables.ticket_columns import InputRow, InputSpec
from .._transport.credentials import Credentials
from .input_files import InputFile, check_unchanged, digest_of
from .poll_limits import settings_checked
from .shard_output import PartCounts, read_counts

# How many skipped rows of a file are reported with a reason. Further skipped rows are only counted.
_MAX_PROBLEMS: Final = 20


@frozen(kw_only=True)
class Shard:
    """
    Some tickets of an input file. Their outcomes go to one output file, which is called a part.

    Attributes:
        path: The path of a hidden file with the tickets.
        part: The path of the part.
        size: The number of tickets.
    """

    path: str
    part: str
    size: int


@frozen(kw_only=True)
class SplitFile:
    """
    A file that was split into shards. The outcomes of a shard go to an output file, its part.

    A part is complete if it exists and has no unresolved ticket.

    Attributes:
        shards: The shards without a complete part.
        kept: The number of complete parts.
        counts: How many tickets in the complete parts have each outcome.
        skipped: The number of rows without a ticket.
        problems: Why rows were skipped, for at most the first 20 skipped rows.
    """

    shards: tuple[Shard, ...] = ()
    kept: int = 0
    counts: PartCounts = field(factory=PartCounts)
    skipped: int = 0
    problems: tuple[str, ...] = ()


@define
class _SkippedRows:
    """Counts skipped rows, and keeps the reasons for the first `_MAX_PROBLEMS` of them."""

    number: int = 0
    problems: list[str] = field(factory=list[str])

    def add(self, problem: str) -> None:
        self.number += 1
        if self.number <= _MAX_PROBLEMS:
            self.problems.append(problem)


def input_spec(family: str | None, column: str | None) -> InputSpec:
    """
    Return how tickets are read from tables: from which column, and of which API family.

    Error messages call the two arguments `family=` and `column=`, because a Python program passes
    them.

    Raises:
        ValueError: There is no such family.
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(_unknown_family(family))
    return InputSpec(
        family=family, column=column, family_argument="family=", column_argument="column="
    )


def split_file(file: InputFile, folder: str, size: int, spec: InputSpec) -> SplitFile:
    """
    Split a file, and return its shards. Skip shards whose output file is complete already.

    If a shard would contain a ticket twice, only the first row of the ticket is used.

    Raises:
        UnusableTable: The file is not a valid table, or it is unclear which column holds the
            tickets, or the file has changed.
        MissingApiKey: This process has no API key for the family of a ticket.
        UnusableSettings: The API key of this process is malformed.
        OSError: The file cannot be read, or a shard cannot be written.
    """
    before = Path(file.path).stat()
    digest = digest_of(file.path, f"{spec.family!r} {spec.column!r}")
    check_unchanged(file, digest)
    split, skipped, numbers = SplitFile(), _SkippedRows(), count()
    for tickets in _chunks(_tickets(file.path, spec, skipped.add), size):
        part = Path(folder, file.part_name(digest, size, next(numbers)))
        split = _add(split, part, tickets)
    after = Path(file.path).stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise UnusableTable(f"{file.path} changed while it was read; call again when it is whole")
    return evolve(split, skipped=skipped.number, problems=tuple(skipped.problems))


def read_shard(shard: Shard) -> dict[Ticket, NewTicket]:
    """
    Return the tickets of a shard in the order of the table.

    Raises:
        FileNotFoundError: The file of the shard does not exist.
        UnusableTable: The file of the shard is incomplete.
    """
    with Path(shard.path).open(encoding="utf-8") as file:
        fields = [line.removesuffix("\n").partition("\t") for line in file]
    tickets = {
        ticket: NewTicket(ticket, columns)
        for text, _, columns in fields
        for ticket in [Ticket.parse(text)]
    }
    if len(tickets) != shard.size:
        raise UnusableTable(f"{shard.path} is not whole; call again, and it is written again")
    return tickets


def _add(split: SplitFile, part: Path, tickets: list[NewTicket]) -> SplitFile:
    """Write the tickets of one more shard to a file. Skip a shard with a complete output file."""
    counts = read_counts(part)
    if counts is not None and not counts.unresolved:
        return evolve(split, kept=split.kept + 1, counts=split.counts + counts)
    path = part.with_name(f".{part.stem}.shard")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.draft")
    # Tabs and line breaks are safe separators: neither a ticket nor JSON on one line contains them.
    draft.write_text("".join(f"{new.ticket}\t{new.columns}\n" for new in tickets), encoding="utf-8")
    draft.replace(path)
    shard = Shard(path=str(path), part=str(part), size=len(tickets))
    return evolve(split, shards=(*split.shards, shard))


def _chunks(tickets: Iterable[NewTicket], size: int) -> Iterator[list[NewTicket]]:
    chunk = dict[Ticket, NewTicket]()
    for new in tickets:
        chunk.setdefault(new.ticket, new)
        if len(chunk) == size:
            yield [*chunk.values()]
            chunk.clear()
    if chunk:
        yield [*chunk.values()]


def _tickets(path: str, spec: InputSpec, on_skipped: Callable[[str], None]) -> Iterator[NewTicket]:
    """
    Yield the tickets of a file, with API keys redacted in their columns.

    Skip a ticket whose id contains an API key.
    """
    with settings_checked():
        credentials = Credentials.resolve(None, None)
    for row in _rows(path, spec, credentials):
        try:
            ticket = Ticket.parse(ticket_text(row, spec))
            tier = _family(ticket).tier
            credentials.check_ticket(ticket)
            new = NewTicket.of((ticket, row.columns))
        except ValueError as problem:
            message = f"{row.location} of {path} skipped: {problem}"
            on_skipped(credentials.redact_argument(message))
        else:
            credentials.key_for(tier)
            # A column may contain the API key, for example if the table lists old requests.
            yield evolve(new, columns=credentials.redact(new.columns.encode()).decode())


def _rows(path: str, spec: InputSpec, credentials: Credentials) -> Iterator[InputRow]:
    try:
        yield from rows_from_path(path, spec)
    except UnusableTable as error:
        # The message may quote a cell of the table, and the cell may contain the API key.
        message = credentials.redact_argument(str(error))
    else:
        return
    # Raise after the `except` block, so that the error's `__context__` does not show the API key.
    raise UnusableTable(message)


def _family(ticket: Ticket) -> Family:
    family = FAMILIES.get(ticket.family)
    if family is None:
        raise ValueError(_unknown_family(ticket.family))
    family.check(ticket)
    return family


def _unknown_family(name: str) -> str:
    hint = did_you_mean(name, FAMILIES) or "none is like it"
    return f"unknown family {name!r}; {hint.rstrip(';')}"
