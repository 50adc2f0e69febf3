"""Hearers: who is told of the events of one poller. What one of them raises harms nobody else."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from .._models.events import Event

Hearer: TypeAlias = Callable[[Event], object]

_logger = logging.getLogger("modelslab_async")


class Hearers:
    """A caller's `on_event`, and whoever else of the house wants to hear."""

    def __init__(self, on_event: Hearer | None) -> None:
        self._hearers = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self._hearers)

    def __call__(self, event: Event) -> None:
        for hearer in self._hearers:
            try:
                hearer(event)
            # A hearer may ask a future of its own that was cancelled: nobody here is meant by that.
            except (Exception, asyncio.CancelledError):
                _logger.exception("on_event raised; the poller goes on")

    def join(self, hearer: Hearer) -> None:
        """Tell one more of the house, and first: a caller's own may take its time."""
        self._hearers = [hearer, *self._hearers]

    def leave(self, hearer: Hearer) -> None:
        """Tell that one nothing more."""
        self._hearers = [each for each in self._hearers if each != hearer]
