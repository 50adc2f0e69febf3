"""UnrecordedResults: keeps results of submits in memory until the journal can record them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .._journal.own_submits import OwnSubmit
from .._models.error_copies import own_copy
from .._models.errors import ModelsLabError, SubmitUncertain
from .._submitting.submit_exchange import SubmitReply
from .._submitting.submit_recorder import describe

_logger = logging.getLogger("modelslab_async")

_SubmitResult: TypeAlias = SubmitReply | ModelsLabError


class UnrecordedResults:
    """
    The results of submits that could not be recorded when they arrived.

    Until a result is recorded, all other tasks and processes regard its submit as in flight. So a
    background task tries to record the results at intervals, and `record` tries at once.

    Args:
        write: Records the result of a submit in the journal.
        interval: The seconds between two attempts.
    """

    def __init__(
        self,
        write: Callable[[OwnSubmit, _SubmitResult], Awaitable[None]],
        *,
        interval: float,
    ) -> None:
        self._write = write
        self._interval_s = interval
        self._results: dict[OwnSubmit, _SubmitResult] = {}
        self._attempt: asyncio.Task[dict[OwnSubmit, Exception]] | None = None
        self._retrying: asyncio.Task[None] | None = None

    def keep(self, own: OwnSubmit, result: _SubmitResult) -> None:
        """Keep a result, and try to record it until that succeeds."""
        self._results[own] = result
        if self._retrying is None or self._retrying.done():
            self._retrying = asyncio.create_task(
                self._retry(), name="modelslab_async unrecorded results"
            )

    async def record(self, track_id: str) -> None:
        """
        Record the results of the submits with this track_id now, if they are unrecorded.

        Raises:
            JournalError: A result still cannot be recorded.
        """
        if all(own.submit.track_id != track_id for own in self._results):
            return
        for own, error in (await self._record_all()).items():
            if own.submit.track_id == track_id:
                raise own_copy(error)

    async def aclose(self) -> None:
        """Try one last time to record the results, and log those that cannot be recorded."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.wait([self._retrying])
        for own, error in (await self._record_all()).items():
            result = self._results[own]
            if not isinstance(result, SubmitUncertain) or result.ticket is not None:
                _logger.warning(
                    "the journal lists submit %s as uncertain, though %s, because it cannot be "
                    "written: %s",
                    *(own.submit.track_id, describe(result), error),
                )

    async def _retry(self) -> None:
        while self._results:
            errors = await self._record_all()
            for own, error in errors.items():
                _logger.warning(
                    "the result of submit %s is not recorded, trying again: %s",
                    own.submit.track_id,
                    error,
                )
            if errors:
                await asyncio.sleep(self._interval_s)

    async def _record_all(self) -> dict[OwnSubmit, Exception]:
        """
        Try to record all results. Return an error for each that fails.

        Concurrent callers share one attempt, because an attempt may wait long for the journal's
        lock.
        """
        while True:
            if self._attempt is None or self._attempt.done():
                self._attempt = asyncio.create_task(
                    self._try_all(), name="modelslab_async unrecorded results"
                )
            await asyncio.wait([attempt := self._attempt])
            # `asyncio.run` cancels all tasks at the end of a program, and so this one as well.
            if not attempt.cancelled():
                return attempt.result()

    async def _try_all(self) -> dict[OwnSubmit, Exception]:
        errors: dict[OwnSubmit, Exception] = {}
        while new := [own for own in self._results if own not in errors]:
            # Write concurrently. If the journal is locked, all writes then wait at the same time,
            # not one after another.
            tried = zip(new, await asyncio.gather(*map(self._try, new)), strict=True)
            errors |= {own: error for own, error in tried if error is not None}
        return errors

    async def _try(self, own: OwnSubmit) -> Exception | None:
        try:
            await self._write(own, self._results[own])
        except Exception as error:  # noqa: BLE001 -- The other results are recorded all the same.
            return error
        del self._results[own]
        return None
