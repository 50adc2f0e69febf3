"""Listeners: the functions that receive the events of one client. Their exceptions are logged."""

import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TypeAlias, TypeVar, TypeVarTuple

from .._models.events import Event

_logger = logging.getLogger("modelslab_async")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Listener: TypeAlias = Callable[[Event], object]


class Listeners:
    """
    The caller's `on_event`, and functions of this package that receive the events too.

    Attributes:
        functions: All listeners, in the order in which they are called.
    """

    def __init__(self, on_event: Listener | None) -> None:
        self._on_event = on_event
        self.functions = [on_event] if on_event is not None else []

    def __bool__(self) -> bool:
        return bool(self.functions)

    def __call__(self, event: Event, context: Context | None = None) -> None:
        """Call all listeners with an event, in `context` or, by default, in this task's context."""
        for listener in self.functions:
            call_listener(listener, event, context, is_callers=listener is self._on_event)

    def add(self, listener: Listener) -> None:
        """Add a listener in front of the others, because the caller's `on_event` may be slow."""
        self.functions = [listener, *self.functions]

    def remove(self, listener: Listener) -> None:
        """Remove a listener."""
        self.functions = [each for each in self.functions if each != listener]


def call_listener(
    listener: Listener, event: Event, context: Context | None = None, *, is_callers: bool = True
) -> None:
    """
    Call a listener with an event. If the listener raises, log the exception.

    Args:
        listener: The function.
        event: The event.
        context: The context variables that the listener sees; None for those of this task.
        is_callers: Whether the listener is the caller's `on_event`. The log calls that listener
            `on_event`, and any other listener by the name of its function.
    """
    # Run the listener in a copy of the context, so that it cannot change the caller's variables.
    # The context itself may be in use, and cannot be entered twice.
    copy = copy_context() if context is None else context.copy()
    name = "on_event" if is_callers else getattr(listener, "__qualname__", "a listener")
    call_and_log(name, lambda: copy.run(listener, event))


def call_and_log(name: str, function: Callable[[*Ts], T], *args: *Ts) -> T | None:
    """
    Call a function whose failure must not stop the client, such as a listener.

    If the function raises, log the exception with `name`, and return None.
    """
    try:
        return function(*args)
    except (KeyboardInterrupt, SystemExit):
        raise
    # Catch CancelledError too: the function can raise it although this task was not cancelled.
    except BaseException:
        _logger.exception("%s raised; the client goes on", name)
        return None
