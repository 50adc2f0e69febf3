"""SubmitProgress: how far a submit has come, for the error after a timeout."""

import asyncio
import math
from typing import Literal, TypeAlias

from attrs import define

from .._models.errors import (
    ModelsLabError,
    RateLimited,
    SubmitUncertain,
    TransportError,
)
from .._models.unsent_errors import SubmitTimeout
from .submit_exchange import SubmitReply, uncertain_error
from .submit_recorder import CallbackFailure, SubmitResult, log_abandoned, log_missed_failure
from .submit_request import SubmitRequest

Stage: TypeAlias = Literal["files", "slot", "upload", "send"]
_STAGE_TEXTS: dict[Stage, str] = {
    "files": "its files were still being read",
    "slot": "it still waited for a slot",
    "upload": "its files were still being uploaded",
    "send": "it could not be sent",
}
# The connect timeout ends at the caller's deadline. Wait at most this many seconds longer, so that
# the transport can report that it sent nothing.
_REPORT_GRACE_S = 0.5


@define(eq=False)
class SubmitProgress:
    """
    How far one submit has come.

    Attributes:
        request: The request; None until its files have been read.
        deadline: The time at which the caller stops waiting, on the event loop's clock; infinity
            for never.
        stage: What the submit is doing or waiting for.
        attempt: The task that has begun to send the request; None if no task has, or if the latest
            attempt failed.
        result: The reply or the error of the attempt; None before it comes. The attempt itself ends
            later, after the result has been recorded and passed to `on_submitted`.
        last_error: The error of the latest attempt; None if no attempt has failed.
    """

    deadline: float = math.inf
    request: SubmitRequest | None = None
    stage: Stage = "slot"
    attempt: "asyncio.Task[SubmitResult] | None" = None
    result: SubmitReply | ModelsLabError | None = None
    last_error: ModelsLabError | None = None

    def begin_sending(self, attempt: "asyncio.Task[SubmitResult] | None") -> None:
        """Record that the task `attempt` sends the request now."""
        self.attempt, self.result = attempt, None

    def record_failure(self, error: ModelsLabError) -> None:
        """Record that an attempt failed."""
        self.attempt, self.last_error = None, error

    async def result_after_deadline(self, endpoint: str, timeout: float) -> SubmitResult:
        """
        Return the result of a submit whose caller's timeout has passed.

        Args:
            endpoint: The name of the endpoint.
            timeout: The caller's timeout in seconds.

        Returns:
            A `SubmitTimeout` if the submit was never sent, or was refused because of a rate limit.
            A `SubmitUncertain` if no reply came. Otherwise, the result of the latest attempt, even
            if `on_submitted` is still running.
        """
        if self.attempt is not None:
            await _wait_for_report(self.attempt)
        # If the connection opened during this wait, `ActiveSubmit.check_sendable` found that the
        # caller had left. Then it set `self.attempt` to None, and nothing was sent.
        attempt = self.attempt
        if attempt is None or self.request is None:
            return self.unsent_error(endpoint, timeout)
        result: SubmitResult | BaseException | None = self.result
        if attempt.done() and not attempt.cancelled():
            result = attempt.exception() or attempt.result()
        elif result is None:
            attempt.add_done_callback(log_abandoned)
            return _no_reply_error(self.request, timeout)
        else:
            attempt.add_done_callback(log_missed_failure)
        match result:
            case TransportError(may_have_been_sent=False) | RateLimited():
                self.last_error = result
                return self.unsent_error(endpoint, timeout)
            case ModelsLabError():
                return result
            case BaseException():
                return CallbackFailure(result)
            case _:
                return result

    def unsent_error(self, endpoint: str, timeout: float) -> SubmitTimeout:
        """Return the error for a submit that started no work before its caller's timeout passed."""
        reason = f" ({self.last_error.message.rstrip('.')})" if self.last_error else ""
        error = SubmitTimeout(
            f"{endpoint} was not started within {timeout:g} s: {_STAGE_TEXTS[self.stage]}{reason}; "
            "nothing was paid, so it may be submitted again",
            endpoint=endpoint,
            stage=self.stage,
        )
        error.__cause__ = self.last_error
        return error


async def _wait_for_report(attempt: "asyncio.Task[SubmitResult]") -> None:
    """Wait a moment for an attempt, whose result the caller gets unless it is cancelled."""
    attempt.remove_done_callback(log_abandoned)
    try:
        await asyncio.wait((attempt,), timeout=_REPORT_GRACE_S)
    except asyncio.CancelledError:
        attempt.add_done_callback(log_abandoned)
        raise


def _no_reply_error(submit_request: SubmitRequest, timeout: float) -> SubmitUncertain:
    return uncertain_error(
        submit_request,
        f"it may have been sent, and no reply came within the timeout of {timeout:g} s",
    )
