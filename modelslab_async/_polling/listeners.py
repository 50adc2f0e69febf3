"""Listeners: the functions that receive the events of one client. It makes no event."""

from collections.abc import Callable
from contextvars import Context
from typing import TypeAlias

from .._aio.listener_calls import call_listener
from .._models.events import Event

Listener: TypeAlias = Callable[[Event], object]


class Listeners:
    """
    The caller's `on_event`, and functions of this package that receive the events too.

    Attributes:
        functions: All of them, in the order in which they are called.
    """

    def __init__(self, on_event: Listener | None) -> None:
        self.functions = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self.functions)

    def __call__(self, event: Event, context: Context | None = None) -> None:
        """Call all listeners, in the given context or else in that of this task."""
        for listener in self.functions:
            call_listener(listener, event, context)

    def add(self, listener: Listener) -> None:
        """Add a listener in front of the others, because the caller's own may be slow."""
        self.functions = [listener, *self.functions]

    def remove(self, listener: Listener) -> None:
        """Remove a listener."""
        self.functions = [each for each in self.functions if each != listener]
