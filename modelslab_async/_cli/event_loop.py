"""Runs a coroutine to its end, on uvloop if that is installed. Sets no global event loop policy."""

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from .startup_interrupt import raise_on_interrupt

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """
    Run a coroutine in a new event loop.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C. The coroutine has been cancelled, and has
            cleaned up.
    """
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        loop_factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # While the loop is being made, Ctrl-C still ends the program at once, because there is
        # nothing to clean up yet.
        runner.get_loop()
        # `asyncio.Runner` cancels the coroutine at Ctrl-C, but only if Python's default handler of
        # Ctrl-C is set.
        raise_on_interrupt()
        return runner.run(main)
