"""PaceStore: keeps the state of an adaptive pace in the journal. It polls nothing."""

import logging

from .._models.journal_errors import JournalError
from .._scheduling.adaptive.adaptive_pace import AdaptivePace
from .._scheduling.pace_protocol import PacePolicy
from ..journal import Journal

_logger = logging.getLogger("modelslab_async")


class PaceStore:
    """
    Restores and saves the state of an adaptive pace. With any other pace it does nothing.

    The state only helps to poll less often. So a run continues if its state cannot be read or
    written.
    """

    def __init__(self, pace: PacePolicy, journal: Journal) -> None:
        self._pace = pace if isinstance(pace, AdaptivePace) else None
        self._journal = journal

    async def restore(self) -> None:
        """Give the pace its saved state, unless the pace has learned something already."""
        if self._pace is None or self._pace.has_learned:
            return
        try:
            state = await self._journal.load_pace()
            # Check again, because the pace may have learned something while this task read the
            # journal.
            if state is not None and not self._pace.has_learned:
                self._pace.restore(state)
        except (JournalError, ValueError) as error:
            _logger.warning("what the journal's pace had learned is ignored: %s", error)

    async def save(self) -> None:
        """Save the state of the pace, if it has learned something."""
        if self._pace is None or not self._pace.has_learned:
            return
        try:
            await self._journal.save_pace(self._pace.to_dict())
        except JournalError as error:
            _logger.warning("what the pace has learned is not saved: %s", error)
