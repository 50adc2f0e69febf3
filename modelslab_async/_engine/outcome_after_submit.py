"""Waits for the outcome of work that the caller has just submitted."""

import asyncio

from .._models.replies import Processing
from .._models.unresolved_outcomes import Outcome
from .._submitting.submit_recorder import log_unreceived
from .engine import Engine


async def outcome_after_submit(engine: Engine, reply: Processing, timeout: float | None) -> Outcome:
    """
    Wait for the outcome of the work that a submit started, as `Engine.outcome` does.

    If the caller is cancelled, it does not receive the ticket, which it needs to get the work that
    was paid for. So log the ticket, unless `on_submitted` has received it.
    """
    try:
        return await engine.outcome(reply.ticket, timeout)
    except asyncio.CancelledError:
        if not engine.submitter.calls_on_submitted:
            log_unreceived(reply)
        raise
