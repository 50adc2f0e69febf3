"""SubmitRecorder: callbacks before and after each submit. This base class records nothing."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from attrs import frozen

from .._aio.sync_or_async_callback import call_and_await
from .._aio.yield_and_wakeup import is_cancelled
from .._models.errors import GenerationFailed, ModelsLabError, SubmitUncertain
from .._models.events import Submitted
from .._models.replies import Processing, Success
from .._models.unresolved_outcomes import Unresolved
from .submit_exchange import SubmitReply
from .submit_request import SubmitRequest

_logger = logging.getLogger("modelslab_async")


@frozen
class CallbackFailure:
    """
    Holds the exception that a submit recorder or `on_submitted` raised.

    The submit task returns this object instead of raising the exception. Otherwise, a `RateLimited`
    raised by a callback would look like a reply of the server.

    Attributes:
        error: The exception, as it was raised.
        result: The reply or error that came before the callback raised; None if there was none, or
            if it is unknown.
    """

    error: BaseException
    result: SubmitReply | ModelsLabError | None = None


SubmitResult: TypeAlias = SubmitReply | ModelsLabError | CallbackFailure
"""The result of one attempt to submit."""


def reply_or_raise(result: SubmitReply | CallbackFailure) -> SubmitReply:
    """
    Return the reply of a submit, or raise the exception of a callback.

    Raises:
        BaseException: The exception that the submit recorder or `on_submitted` raised.
    """
    if isinstance(result, CallbackFailure):
        raise result.error
    return result


class SubmitRecorder:
    """
    The base class of recorders. It records nothing.

    `begin` is called before a submit is sent, and `finish` is called with the submit's result.
    Between the two, `check_sendable` is called before the transport connects, and again directly
    before the transport sends the request.
    """

    async def begin(self, submit_request: SubmitRequest) -> None:
        """Record a request before it is sent. If this method raises, the request is not sent."""

    def refusal(self) -> Exception | None:
        """Return the error for a further attempt at a submit; None if it may be sent again."""
        return None

    def check_sendable(self, task: "asyncio.Task[SubmitResult] | None") -> None:
        """
        Check that the recorded request may still be sent.

        A transport calls this method directly before it sends the request, from any task or thread.

        Args:
            task: The task that called `begin`.

        Raises:
            ModelsLabError: The request must not be sent. `finish` is called with this error.
        """

    async def finish(
        self, submit_request: SubmitRequest, result: SubmitReply | ModelsLabError, /
    ) -> None:
        """Record the result of a recorded request, even if it was not sent."""


def log_abandoned(submit_task: asyncio.Task[SubmitResult]) -> None:
    """Log a result that no caller waits for any more, if work may have been started."""
    if submit_task.cancelled():
        return
    result = submit_task.exception() or submit_task.result()
    if isinstance(result, CallbackFailure):
        log_missed_failure(submit_task)
    else:
        log_unreceived(result)


def log_unreceived(result: object) -> None:
    """Log a result that no caller receives, if it names work that was or may have been started."""
    match result:
        case Processing() | Success() | Unresolved():
            _logger.warning("started, though its caller has gone: %s", result.ticket)
        case SubmitUncertain():
            _logger.warning("its caller has gone: %s", result)


def log_missed_failure(submit_task: asyncio.Task[SubmitResult]) -> None:
    """Log an exception of a recorder or of `on_submitted` that no caller waits for any more."""
    if submit_task.cancelled():
        return
    # Log only the name of the exception's type, because its message may quote the API key.
    match submit_task.exception() or submit_task.result():
        case CallbackFailure(error, Processing() | Success() as reply):
            name, ticket = type(error).__name__, reply.ticket
            _logger.warning("started, but its caller has gone and missed %s: %s", name, ticket)
        case CallbackFailure(error, SubmitUncertain() | GenerationFailed() as failure):
            name = type(error).__name__
            _logger.warning("its caller has gone and missed %s: %s", name, failure)


async def report_result(
    submit_request: SubmitRequest,
    result: SubmitReply | ModelsLabError,
    submit_recorder: SubmitRecorder,
    on_submitted: Callable[[Submitted], object] | None,
) -> SubmitResult:
    """
    Pass a result to the recorder. If the result is not an error, pass it to `on_submitted` too.

    If one of the two raises, add a note to the exception. The note says how the submit ended.
    """
    try:
        await submit_recorder.finish(submit_request, result)
        if on_submitted is not None and not isinstance(result, ModelsLabError):
            await call_and_await(on_submitted, submit_request.submitted_event(result))
    except BaseException as error:
        note = f"it was raised after {describe(result)}"
        with suppress(Exception):
            # An exception class may override `add_note` with a method that raises.
            error.add_note(note)
        if isinstance(error, (KeyboardInterrupt, SystemExit)) or is_cancelled():
            _logger.warning("%s: %s", type(error).__name__, note)
            raise
        return CallbackFailure(error, result)
    return result


def describe(result: SubmitReply | ModelsLabError) -> str:
    """Return a clause that says how a submit ended, for a message."""
    if isinstance(result, ModelsLabError):
        return f"the submit ended with {type(result).__name__}: {result}"
    return f"the work was started as {result.ticket}"
