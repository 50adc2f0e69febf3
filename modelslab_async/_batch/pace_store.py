"""Memory: what a pace that learns knows, kept in the journal from run to run."""

import logging

from .._models.journal_errors import JournalError
from .._scheduling.adaptive.adaptive_pace import AdaptivePace
from .._scheduling.pace_policy import PacePolicy
from ..journal import Journal

_logger = logging.getLogger("modelslab_async")


class PaceStore:
    """
    Has a pace go on where an earlier run of the journal left off. A plain pace needs none.

    What was learned saves looks and nothing else, so no run ends because it cannot be kept.
    """

    def __init__(self, pace: PacePolicy, journal: Journal) -> None:
        self._pace = pace if isinstance(pace, AdaptivePace) else None
        self._journal = journal

    async def restore(self) -> None:
        """Give the pace what was kept, unless it has begun to learn already."""
        if self._pace is None or self._pace.has_learned:
            return
        try:
            state = await self._journal.load_pace()
            # The client may have learned something while that was read.
            if state is not None and not self._pace.has_learned:
                self._pace.restore(state)
        except (JournalError, ValueError) as error:
            _logger.warning("what the journal's pace had learned is left aside: %s", error)

    async def save(self) -> None:
        """Keep what the pace knows by now."""
        if self._pace is None or not self._pace.has_learned:
            return
        try:
            await self._journal.save_pace(self._pace.to_dict())
        except JournalError as error:
            _logger.warning("what the pace has learned is not kept: %s", error)
