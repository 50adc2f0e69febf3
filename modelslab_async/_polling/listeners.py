"""Listeners: functions that get the events of one poller. What they raise is logged."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeAlias

from .._models.events import Event

Listener: TypeAlias = Callable[[Event], object]

_logger = logging.getLogger("modelslab_async")


class Listeners:
    """The caller's `on_event`, and the functions of this package that follow the poller."""

    def __init__(self, on_event: Listener | None) -> None:
        self._listeners = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def __call__(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            # A listener may raise CancelledError without this task being cancelled.
            except (Exception, asyncio.CancelledError):
                _logger.exception("on_event raised; the poller goes on")

    def add(self, listener: Listener) -> None:
        """Add a listener in front of the others, since the caller's own may be slow."""
        self._listeners = [listener, *self._listeners]

    def remove(self, listener: Listener) -> None:
        """Remove a listener."""
        self._listeners = [each for each in self._listeners if each != listener]
