"""UnrecordedResults: keeps results of submits until the journal takes them. It sends nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .._models.errors import ModelsLabError
from .._models.journal_errors import JournalError
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_recorder import describe
from .._submitting.submit_request import SubmitRequest

_logger = logging.getLogger("modelslab_async")

_SubmitResult: TypeAlias = SubmitReply | ModelsLabError


class UnrecordedResults:
    """
    The results of submits that could not be recorded when they came.

    Until a result is recorded, its submit counts as in flight for all other tasks and processes. So
    a task tries to record the results at intervals, and `record` tries at once.

    Args:
        write: Records the result of a submit in the journal.
        interval: The seconds between two attempts.
    """

    def __init__(
        self,
        write: Callable[[SubmitRequest, _SubmitResult], Awaitable[None]],
        *,
        interval: float,
    ) -> None:
        self._write = write
        self._interval_s = interval
        self._results: dict[str, tuple[SubmitRequest, _SubmitResult]] = {}
        self._attempt: asyncio.Task[JournalError | None] | None = None
        self._retrying: asyncio.Task[None] | None = None

    def keep(self, submit_request: SubmitRequest, result: _SubmitResult) -> None:
        """Keep a result, and try to record it until that succeeds."""
        self._results[submit_request.submit_id] = (submit_request, result)
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(
                self._retry(), name="modelslab_async unrecorded results"
            )

    async def record(self) -> None:
        """
        Record all results. If another task is recording them now, wait for it.

        Raises:
            JournalError: A result still cannot be recorded.
        """
        if self._results and self._attempt is None:
            self._attempt = asyncio.create_task(
                self._record_all(), name="modelslab_async unrecorded results"
            )
        # All tasks share one attempt, because each may wait long for the lock of the journal.
        if (attempt := self._attempt) is not None:
            await asyncio.wait([attempt])
            if (error := attempt.result()) is not None:
                raise error

    async def aclose(self) -> None:
        """Try for the last time, and log each result that cannot be recorded."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])
        try:
            await self.record()
        except JournalError as error:
            for submit_id, (_, result) in self._results.items():
                _logger.warning(
                    "the journal lists submit %s as uncertain, though %s, because it cannot be "
                    "written: %s",
                    *(submit_id, describe(result), error),
                )

    async def _retry(self) -> None:
        while self._results:
            await asyncio.sleep(self._interval_s)
            try:
                await self.record()
            except JournalError as error:
                _logger.warning("results of submits are not recorded, trying again: %s", error)

    async def _record_all(self) -> JournalError | None:
        """Record all results, and return the error of one that could not be recorded."""
        error = None
        try:
            while self._results and error is None:
                # Write the results side by side, so that they wait only once for a locked journal.
                errors = await asyncio.gather(*map(self._record, [*self._results]))
                error = next((each for each in errors if each is not None), None)
        finally:
            self._attempt = None
        return error

    async def _record(self, submit_id: str) -> JournalError | None:
        try:
            await self._write(*self._results[submit_id])
        except JournalError as error:
            return error
        del self._results[submit_id]
        return None
