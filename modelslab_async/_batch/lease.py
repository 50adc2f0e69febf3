"""Lease: renews the lease of one run on its tickets. It never takes back a lost lease."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from .._models.journal_errors import JournalError, JournalLocked
from ..journal import Journal
from .run_protocol import recheck_interval, renewal_interval

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")


class Moment(NamedTuple):
    """
    One moment on two clocks.

    Attributes:
        loop_time: The time on the event loop's clock, which is never adjusted.
        journal_time: The time on the journal's clock, by which other processes judge the lease.
    """

    loop_time: float
    journal_time: float


class Lease:
    """
    The lease of a run. While it lasts, no other run takes the tickets of the run.

    Args:
        journal: The journal of the run.
        run_id: The run's number.
        duration: The seconds that the lease lasts after each renewal.
    """

    def __init__(self, journal: Journal, run_id: int, duration: float) -> None:
        self.duration = duration
        self._journal = journal
        self._run_id = run_id
        self._renewed_at = self.now()

    def now(self) -> Moment:
        """Return the current time on both clocks."""
        return Moment(asyncio.get_running_loop().time(), self._journal.clock())

    def mark_renewed(self, requested_at: Moment) -> None:
        """Let the lease begin at the moment when its renewal was requested."""
        self._renewed_at = requested_at

    @property
    def is_over(self) -> bool:
        """Whether the lease has run out on either clock, so that other runs may end it."""
        return any(
            now - renewed_at >= self.duration
            for now, renewed_at in zip(self.now(), self._renewed_at, strict=True)
        )

    async def retry_while_locked(self, write: Callable[[], Awaitable[T]]) -> T:
        """
        Write to the journal. Try again while another process locks it, until the lease runs out.

        Raises:
            JournalError: The journal could not be written before the lease ran out.
        """
        while True:
            try:
                return await write()
            except JournalLocked as error:
                if self.is_over:
                    raise
                _logger.warning("the journal is locked, trying again: %s", error)
            await asyncio.sleep(recheck_interval(self.duration))

    async def renew_until_lost(self, on_renewed: Callable[[], Awaitable[object]]) -> None:
        """
        Renew the lease in intervals. Return once another run has ended it.

        Args:
            on_renewed: Awaited after each renewal.

        Raises:
            JournalError: The lease ran out while the journal could not be written.
        """
        while True:
            await asyncio.sleep(renewal_interval(self.duration))
            requested_at = self.now()
            try:
                if not await self._journal.leases.renew(self._run_id, lease=self.duration):
                    return
                self.mark_renewed(requested_at)
                await on_renewed()
            except JournalError as error:
                if self.is_over:
                    raise
                _logger.warning("the lease could not be renewed, trying again: %s", error)
