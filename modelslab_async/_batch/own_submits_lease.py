"""OwnSubmitsLease: the run and the lease of the submits of this process. It polls nothing."""

import asyncio
import logging

from .._models.journal_errors import JournalError
from ..journal import Journal
from .leased_tickets import renewal_interval

_logger = logging.getLogger("modelslab_async")


class OwnSubmitsLease:
    """
    Keeps the run, and its lease, that the submits of this process belong to.

    While its lease lasts, other processes do not report the submits as uncertain, because replies
    may still arrive.
    """

    def __init__(self, journal: Journal, *, lease: float) -> None:
        self._journal = journal
        self._lease = lease
        self._run_id: int | None = None
        self._begin_lock = asyncio.Lock()
        self._renewal_task: asyncio.Task[None] | None = None

    async def run_id(self, *, ended: int | None = None) -> int:
        """
        Return the id of the run. Begin a run if there is none yet.

        Args:
            ended: The id of a run that has ended. If it is the current one, begin a new run.
        """
        async with self._begin_lock:
            if self._run_id is None or self._run_id == ended:
                self._run_id = await self._journal.leases.begin_run(lease=self._lease)
            if self._renewal_task is None:
                self._renewal_task = asyncio.create_task(
                    self._keep_lease(), name="modelslab_async submits"
                )
            return self._run_id

    async def close(self) -> None:
        """End the run, and its lease with it."""
        if self._renewal_task is not None:
            self._renewal_task.cancel()
            await asyncio.wait([self._renewal_task])
        if self._run_id is not None:
            try:
                await self._journal.leases.end_run(self._run_id, is_leaving=True)
            except JournalError as error:
                _logger.warning("a run stays open for up to %g s: %s", self._lease, error)

    async def _keep_lease(self) -> None:
        """
        Renew the lease at intervals.

        If another process has ended the run, this has no effect. The next submit begins a new run.
        """
        while True:
            await asyncio.sleep(renewal_interval(self._lease))
            try:
                if self._run_id is not None:
                    await self._journal.leases.renew(self._run_id, lease=self._lease)
            except JournalError as error:
                _logger.warning("the lease could not be renewed, trying again: %s", error)
