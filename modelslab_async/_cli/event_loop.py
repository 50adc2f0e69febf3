"""Runs one coroutine to its end, on uvloop if it is installed. Sets no global event loop policy."""

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from .startup_interrupt import raise_on_interrupt

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine in an event loop of its own.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C. The coroutine was cancelled and has cleaned up.
    """
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        loop_factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # Until the loop exists, there is nothing to clean up after Ctrl-C.
        runner.get_loop()
        # The runner handles Ctrl-C only where Python's own handler is set.
        raise_on_interrupt()
        return runner.run(main)
