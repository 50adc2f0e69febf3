"""SubmitGate: ends the submits of a batch that wait to be sent, once the batch drains or closes."""

import asyncio

from .._engine.engine import Engine
from .._models.journal_errors import JournalError
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_progress import SubmitProgress
from .._submitting.submit_recorder import CallbackFailure, SubmitRecorder
from .._submitting.submit_request import SubmitRequest


class SubmitGate:
    """
    Lets no further submit of one batch be sent, once it is closed: when the batch stops.

    A submit that is already sent goes on, because its work may be paid for.

    Args:
        path: The path of the journal, for error messages.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._reason = ""
        self._waits: dict[SubmitProgress, asyncio.Timeout] = {}

    def close(self, reason: str) -> None:
        """
        Send no further submit. Calls of `submit` that wait end at once.

        Args:
            reason: Why the batch stops, as a clause for the error message.
        """
        self._reason = reason
        for progress, limit in self._waits.items():
            # If a submit has an attempt, it may have been sent. If it is not sent yet, the last
            # check before its first byte ends it.
            if progress.attempt is None and not limit.expired():
                limit.reschedule(0.0)

    def refusal(self) -> JournalError | None:
        """Return the error for a submit that is not sent; None if submits may be sent."""
        return self._error() if self._reason else None

    def check(self) -> None:
        """
        Check that submits may be sent.

        Raises:
            JournalError: The batch has stopped.
        """
        if self._reason:
            raise self._error()

    async def submit(
        self, engine: Engine, submit_request: SubmitRequest, recorder: SubmitRecorder
    ) -> SubmitReply | CallbackFailure:
        """
        Submit as `Submitter.submit` does. If the batch stops before the submit is sent, end.

        Raises:
            JournalError: The batch has stopped, and nothing was sent.
        """
        self.check()
        progress = SubmitProgress()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._waits[progress] = limit
                return await engine.submitter.submit(submit_request, recorder, progress)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._waits.pop(progress, None)
        raise self._error()

    def _error(self) -> JournalError:
        message = f"{self._reason}, and nothing was sent; open the batch again"
        return JournalError(message, path=self._path)
