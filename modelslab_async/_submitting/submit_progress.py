"""SubmitProgress: how far one submit has come, for a caller with a timeout. It sends nothing."""

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
from .._models.submit_errors import SubmitTimeout
from .submit_exchange import uncertain_error
from .submit_recorder import CallbackFailure, SubmitResult, log_abandoned
from .submit_request import SubmitRequest

Stage: TypeAlias = Literal["files", "slot", "upload", "send"]
_STAGE_TEXTS: dict[Stage, str] = {
    "files": "its files were still being read",
    "slot": "it still waited for a slot",
    "upload": "its files were still being uploaded",
    "send": "it could not be sent",
}
# How long after the deadline to wait for the transport to report that the request never left. The
# transport's own limit ends at the deadline too, so its report comes just after it.
_REPORT_GRACE_S = 0.5


@define(eq=False)
class SubmitProgress:
    """
    How far one submit has come.

    Attributes:
        request: The request; None until its files have been read.
        deadline: When the caller stops waiting, on the clock of the event loop; infinite for never.
        stage: What the submit does or waits for.
        attempt: The task that sends the request; None before the first attempt and between two.
        last_error: Why the latest attempt failed, if it did.
    """

    deadline: float = math.inf
    request: SubmitRequest | None = None
    stage: Stage = "files"
    attempt: "asyncio.Task[SubmitResult] | None" = None
    last_error: ModelsLabError | None = None

    def begin_attempt(self, attempt: "asyncio.Task[SubmitResult]") -> None:
        """Note that a task sends the request now."""
        self.stage, self.attempt = "send", attempt

    def record_failure(self, error: ModelsLabError) -> None:
        """Note that an attempt failed without starting work."""
        self.attempt, self.last_error = None, error

    async def result_after_deadline(self, endpoint: str, timeout: float) -> SubmitResult:
        """
        Return what is known of a submit whose caller stops waiting.

        Args:
            endpoint: The endpoint of the submit.
            timeout: The timeout of the caller in seconds.

        Returns:
            The result of the last attempt if it has one. Else a `SubmitTimeout` if nothing was
            sent, or a `SubmitUncertain` if the request may have left.
        """
        attempt = self.attempt
        if attempt is None or self.request is None:
            return self.unsent_error(endpoint, timeout)
        attempt.remove_done_callback(log_abandoned)
        await asyncio.wait((attempt,), timeout=_REPORT_GRACE_S)
        if not attempt.done() or attempt.cancelled():
            attempt.add_done_callback(log_abandoned)
            return _no_reply_error(self.request, timeout)
        result = attempt.exception() or attempt.result()
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
        """Return the error for a caller whose timeout has passed before anything was sent."""
        reason = f" ({self.last_error.message.rstrip('.')})" if self.last_error else ""
        error = SubmitTimeout(
            f"{endpoint} was not started within {timeout:g} s: {_STAGE_TEXTS[self.stage]}{reason}; "
            "nothing was paid, so it may be submitted again",
            endpoint=endpoint,
            stage=self.stage,
        )
        error.__cause__ = self.last_error
        return error


def _no_reply_error(submit_request: SubmitRequest, timeout: float) -> SubmitUncertain:
    return uncertain_error(
        submit_request, f"it was sent, and no reply came within the timeout of {timeout:g} s"
    )
