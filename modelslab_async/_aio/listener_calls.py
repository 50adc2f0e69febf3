"""Calls functions of the caller that receive events, and logs what they raise."""

import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TypeVar

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")


def call_listener(
    listener: Callable[[T], object], event: T, context: Context | None = None
) -> None:
    """
    Call a listener with an event.

    Args:
        listener: The function of the caller.
        event: The event.
        context: The context variables that the listener sees; None for those of this task.
    """
    # Run the listener in a copy of the context, so that it cannot change the caller's variables. A
    # copy can also be entered while the original is in use.
    copy = copy_context() if context is None else context.copy()
    try:
        copy.run(listener, event)
    except (KeyboardInterrupt, SystemExit):
        raise
    # Catch CancelledError too: a listener can raise it although this task was not cancelled.
    except BaseException:
        _logger.exception("on_event raised; the client goes on")
