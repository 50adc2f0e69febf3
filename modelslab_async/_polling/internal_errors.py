"""
Reports unexpected errors: defects of this package, or of an object that a caller passed to it.

The text of such an error may contain the API key. So only the error's type and origin are reported.
"""

import logging

from .._models.errors import ModelsLabError
from .._models.ticket import Ticket
from .._transport.error_redaction import origin_of

_logger = logging.getLogger("modelslab_async")


def ticket_error(ticket: Ticket, error: BaseException) -> ModelsLabError:
    """Log an unexpected exception in a poll, and return the error for the ticket's outcome."""
    log_unexpected(ticket, error)
    return ModelsLabError(
        f"polling this ticket raised {type(error).__name__}, which is a defect of this package or "
        "of an object passed as http= or pace=; the log says where; wait for the same ticket "
        "again to resume",
        ticket=ticket,
    )


def poller_error(error: BaseException | None) -> RuntimeError:
    """
    Return the error that every caller gets after the poller has stopped.

    Args:
        error: The error that stopped the poller; None if other code cancelled a task of the poller.
    """
    first: BaseException | None = error
    while isinstance(first, BaseExceptionGroup):
        # If several workers fail at once, anyio raises an exception group. Report its first error.
        first = first.exceptions[0]
    reason = (
        "a worker of it was cancelled from outside"
        if first is None
        else f"a defect raised {type(first).__name__}"
    )
    stopped = RuntimeError(
        f"the poller of this client has stopped, since {reason}; close this client, make a new one "
        "and wait for the same tickets again to resume"
    )
    stopped.__cause__ = first
    return stopped


def log_unexpected(ticket: Ticket, error: BaseException) -> None:
    """Log the type of an unexpected error and where it was raised."""
    _logger.error("polling %s raised %s in %s", ticket, type(error).__name__, origin_of(error))
