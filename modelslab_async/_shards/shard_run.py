"""Polls the tickets of one shard until all have an outcome, and writes the outcomes to one file."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

from .._journal.queries import RecordedOutcome
from .._models.errors import (
    AuthenticationError,
    ConnectionImpossible,
    ModelsLabError,
    PaymentRequired,
)
from .._models.events import Event, Polled, PollFailed
from .._models.ticket import Columns, Ticket
from .._models.unresolved_outcomes import Unresolved
from .poll_limits import PollLimits
from .shard_output import PartCounts, read_counts, read_settled_rows, write_part
from .split_file import Shard, read_shard

# After one of these errors, all further polls with this API key would fail. The shard then gets no
# output file, because all its remaining tickets would be unresolved.
_END_ALL: Final[tuple[type[ModelsLabError], ...]] = (
    AuthenticationError,
    PaymentRequired,
    ConnectionImpossible,
)


def finish_shard(shard: Shard, limits: PollLimits) -> PartCounts:
    """
    Poll the unfinished tickets of a shard, and write its output file. Return the outcome counts.

    Raises:
        ModelsLabError: The server refuses the API key or reports that no credits are left, the
            shared account cannot be opened, or the settings allow no connection. Nothing is
            written.
        FileNotFoundError: Neither the file of the shard nor its output file exists.
        UnusableTable: The file of the shard, or its earlier output file, cannot be read.
        MissingApiKey: This process has no API key.
        UnusableSettings: A setting in the environment of this process is invalid.
        OtherLimits: The shared account already has limits that differ from `limits`.
        OSError: The output file cannot be written.
    """
    part = Path(shard.part)
    counts = read_counts(part)
    if counts is not None and not counts.unresolved:
        # Another worker has finished this shard since it was queued.
        Path(shard.path).unlink(missing_ok=True)
        return counts
    try:
        tickets = read_shard(shard)
    except FileNotFoundError:
        if counts is None:
            raise
        # Another worker has polled the shard since it was queued, and has removed its file.
        return counts
    columns: dict[Ticket, Columns] = {
        ticket: json.loads(new.columns or "{}") for ticket, new in tickets.items()
    }
    settled = read_settled_rows(part)
    outcomes = asyncio.run(_poll({t: columns[t] for t in columns if str(t) not in settled}, limits))
    # Another worker may have written outcomes to the output file meanwhile. Keep these outcomes.
    settled |= read_settled_rows(part)
    rows = [settled.get(str(ticket)) or outcomes[ticket] for ticket in columns]
    counts = write_part(part, [*columns.values()], rows)
    Path(shard.path).unlink(missing_ok=True)
    return counts


async def _poll(
    columns: Mapping[Ticket, Columns], limits: PollLimits
) -> dict[Ticket, RecordedOutcome]:
    """Poll tickets, and return their outcomes. `columns` maps each ticket to its table row."""
    polls, outcomes = Counter[Ticket](), dict[Ticket, RecordedOutcome]()
    started_at = time.time()

    def on_event(event: Event) -> None:
        if isinstance(event, Polled | PollFailed):
            polls[event.ticket] += 1

    async with (
        limits.make_client(on_event) as client,
        aclosing(client.stream(columns, timeout=limits.timeout)) as stream,
    ):
        async for outcome in stream:
            if isinstance(outcome, Unresolved) and isinstance(outcome.cause, _END_ALL):
                raise outcome.cause
            outcomes[outcome.ticket] = RecordedOutcome(
                outcome=outcome,
                polls=polls[outcome.ticket],
                added_at=started_at,
                completed_at=time.time(),
                columns=columns[outcome.ticket],
            )
    return outcomes
