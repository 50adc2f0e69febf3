"""Functions that yield the outcomes of many tickets, or the changes of one. They send nothing."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from .._aio.cooperation import Yielder
from .._models.argument_checks import check_count, check_nonnegative_seconds
from .._models.outcomes import Outcome
from .._models.replies import Processing
from .._models.ticket import Ticket, TicketLike
from .._polling.stream_buffer import StreamBuffer, Tickets, check_not_text, fill_buffer
from .._polling.watchers import UpdateWatcher
from .engine import Engine

# The maximum number of tickets that time out before a stream yields to other tasks.
_TIMEOUTS_PER_YIELD = 64


async def stream_outcomes(
    engine: Engine, tickets: Tickets, *, timeout: float | None, window: int
) -> AsyncGenerator[Outcome, None]:
    """Yield the outcomes of many tickets in the order in which the tickets end."""
    engine.check_usable()
    check_nonnegative_seconds("timeout", timeout, optional=True)
    check_count("window", window)
    check_not_text(tickets)
    timeout, poller = engine.wait_limit(timeout), engine.poller
    yielder = Yielder()
    buffer = StreamBuffer(window=window, timeout=timeout, scope_of=engine.status_client.scope_of)
    reader_task = asyncio.create_task(
        fill_buffer(tickets, buffer, engine.watch), name="modelslab_async feed"
    )
    try:
        while True:
            # Try `take_ready` first. Many outcomes come at the same time, and taking one that is
            # ready needs no coroutine.
            outcome = buffer.take_ready() or await buffer.take()
            if outcome is not None:
                yield outcome
                if yielder.is_due():
                    await yielder.yield_now()
                continue
            overdue_tickets = buffer.overdue(asyncio.get_running_loop().time(), _TIMEOUTS_PER_YIELD)
            for ticket in overdue_tickets:
                buffer.notify(poller.time_out(ticket, timeout))
                poller.unwatch(ticket, buffer)
            if not overdue_tickets and buffer.is_finished:
                break
        if buffer.source_error is not None:
            raise buffer.source_error
    finally:
        reader_task.cancel()
        poller.unwatch_all(buffer.open_tickets, buffer)
        await asyncio.wait((reader_task,))


async def gather_outcomes(
    engine: Engine, tickets: Iterable[TicketLike], timeout: float | None
) -> list[Outcome]:
    """Return the outcomes of many tickets in the order in which the tickets were given."""
    check_nonnegative_seconds("timeout", timeout, optional=True)
    check_not_text(tickets)
    yielder = Yielder()
    wanted: list[Ticket] = []
    for given in tickets:
        wanted.append(ticket := Ticket.of(given))
        engine.status_client.tier_and_host_of(ticket)
        if yielder.is_due():
            await yielder.yield_now()
    # A ticket that is given twice is polled once, and its outcome is returned twice.
    outcomes = {
        outcome.ticket: outcome
        async for outcome in stream_outcomes(
            engine, wanted, timeout=timeout, window=len(wanted) + 1
        )
    }
    ordered: list[Outcome] = []
    for ticket in wanted:
        ordered.append(outcomes[ticket])
        if yielder.is_due():
            await yielder.yield_now()
    return ordered


async def stream_updates(
    engine: Engine, given: TicketLike
) -> AsyncGenerator[Processing | Outcome, None]:
    """Yield each change of one ticket, and at last its outcome."""
    ticket = Ticket.of(given)
    watcher = UpdateWatcher()
    engine.watch(ticket, watcher)
    seen: Processing | None = None
    if (last := engine.poller.last(ticket)) is not None:
        watcher.notify(last)
    try:
        while True:
            update = await watcher.next_update(seen)
            yield update
            if not isinstance(update, Processing):
                return
            seen = update
    finally:
        engine.poller.unwatch(ticket, watcher)
