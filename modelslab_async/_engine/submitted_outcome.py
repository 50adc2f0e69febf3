"""Waits for the outcome of work that the caller has just submitted."""

import asyncio

from .._models.replies import Processing
from .._models.unresolved_outcomes import Outcome
from .._submitting.submit_recorder import log_unreceived
from .engine import Engine


async def submitted_outcome(engine: Engine, reply: Processing, timeout: float | None) -> Outcome:
    """
    Wait for the outcome of the work that a submit started, as `Engine.outcome` does.

    If the caller is cancelled, log the ticket. The caller has not received the ticket, and it is
    needed to get the work that was paid for.
    """
    try:
        return await engine.outcome(reply.ticket, timeout)
    except asyncio.CancelledError:
        log_unreceived(reply)
        raise
