"""Hearers: who is told of the events of one poller. What one of them raises harms nobody else."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from .._models.events import Event

Listener: TypeAlias = Callable[[Event], object]

_logger = logging.getLogger("modelslab_async")


class Listeners:
    """A caller's `on_event`, and whoever else of the house wants to hear."""

    def __init__(self, on_event: Listener | None) -> None:
        self._listeners = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def __call__(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            # A hearer may ask a future of its own that was cancelled: nobody here is meant by that.
            except (Exception, asyncio.CancelledError):
                _logger.exception("on_event raised; the poller goes on")

    def add(self, listener: Listener) -> None:
        """Tell one more of the house, and first: a caller's own may take its time."""
        self._listeners = [listener, *self._listeners]

    def remove(self, listener: Listener) -> None:
        """Tell that one nothing more."""
        self._listeners = [each for each in self._listeners if each != listener]
