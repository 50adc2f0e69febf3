"""Returns the outcomes of many tickets in the order in which the tickets were given."""

from collections.abc import Iterable

from .._aio.yield_and_wakeup import Yielder
from .._models.argument_checks import check_nonnegative_seconds, check_tickets
from .._models.ticket import Ticket, TicketLike
from .._models.unresolved_outcomes import Outcome
from .engine import Engine
from .outcome_stream import stream_outcomes

# To look up this many outcomes takes less than a millisecond.
_OUTCOMES_PER_STEP = 1024


async def gather_outcomes(
    engine: Engine, tickets: Iterable[TicketLike], timeout: float | None
) -> list[Outcome]:
    """Wait for many tickets, and return their outcomes in the order of the tickets."""
    check_nonnegative_seconds("timeout", timeout, optional=True)
    check_tickets(tickets, allow_async=False)
    yielder = Yielder()
    wanted: list[Ticket] = []
    for given in tickets:
        wanted.append(ticket := engine.ticket_of(given))
        engine.status_client.tier_and_host_of(ticket)
        if yielder.is_clock_due() and yielder.is_late():
            await yielder.yield_now()
    # A ticket that is given twice is polled once, and its outcome is returned twice.
    size = len(wanted) + 1
    outcomes = {
        outcome.ticket: outcome
        async for outcome in stream_outcomes(
            engine, wanted, timeout=timeout, window=size, recent=size
        )
    }
    ordered: list[Outcome] = []
    for start in range(0, len(wanted), _OUTCOMES_PER_STEP):
        ordered.extend(map(outcomes.__getitem__, wanted[start : start + _OUTCOMES_PER_STEP]))
        if yielder.is_late():
            await yielder.yield_now()
    return ordered
