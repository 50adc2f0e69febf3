"""SubmitRecorder: is told of each submit before it is sent and after. This one records nothing."""

import asyncio
import logging
from typing import TypeAlias

from attrs import frozen

from .._models.errors import ModelsLabError, SubmitUncertain
from .._models.replies import Processing, Success
from .._models.ticket import Ticket
from .submit_exchange import SubmitReply
from .submit_request import SubmitRequest

_logger = logging.getLogger("modelslab_async")


@frozen
class CallbackFailure:
    """
    What a submit log or `on_submitted` raised.

    It is a value, because an exception could be mistaken for an answer of the server: a hook may
    raise a `RateLimited` of its own.

    Attributes:
        error: The exception, as it was raised.
        ticket: The ticket, if the server had started the work by then.
    """

    error: BaseException
    ticket: Ticket | None = None


SubmitResult: TypeAlias = SubmitReply | ModelsLabError | CallbackFailure
"""What came of one attempt to submit."""


def reply_or_raise(result: SubmitReply | CallbackFailure) -> SubmitReply:
    """
    Return the reply of a submit.

    Raises:
        BaseException: The submit log or `on_submitted` raised it.
    """
    if isinstance(result, CallbackFailure):
        raise result.error
    return result


class SubmitRecorder:
    """Is told of each submit that is about to be sent, and of its result."""

    async def begin(self, submit_request: SubmitRequest) -> None:
        """Record a request that is about to be sent. If this raises, it is not sent."""

    async def finish(
        self, submit_request: SubmitRequest, result: SubmitReply | ModelsLabError
    ) -> None:
        """Record what came of a request that was sent."""


def log_abandoned(submit_task: asyncio.Task[SubmitResult]) -> None:
    """Log the result of a submit whose caller was cancelled."""
    if submit_task.cancelled():
        return
    result = submit_task.exception() or submit_task.result()
    match result:
        case Processing() | Success():
            _logger.warning("started, though its caller has gone: %s", result.ticket)
        case SubmitUncertain():
            _logger.warning("its caller has gone: %s", result)
        case CallbackFailure(error, Ticket() as ticket):
            # Only the type's name: the text of a foreign exception may quote the key.
            name = type(error).__name__
            _logger.warning("started, but its caller has gone and missed %s: %s", name, ticket)
