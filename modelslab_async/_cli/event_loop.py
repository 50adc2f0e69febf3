"""Runs a coroutine function to its end, on uvloop if uvloop is installed."""

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from .stop_signals import stop_signals

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def run_async(main: Callable[[*Arguments], Coroutine[Any, Any, T]], *arguments: *Arguments) -> T:
    """
    Run a coroutine function in a new event loop.

    The first signal cancels the coroutine. The second signal raises KeyboardInterrupt at once, even
    during the cleanup of the coroutine.

    Args:
        main: The coroutine function. It is called once signals no longer raise KeyboardInterrupt.
            Otherwise, Python could warn of a coroutine that was never awaited.
        arguments: The arguments of the function.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM came. After one signal, the coroutine has been
            cancelled and has cleaned up. A second signal may have interrupted the cleanup.
    """
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        loop_factory = importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # While `get_loop` runs, a signal may end the process at once, because there is nothing to
        # clean up yet.
        loop = runner.get_loop()
        return _run_task(loop, partial(main, *arguments))


def _run_task(loop: asyncio.AbstractEventLoop, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    task: asyncio.Task[T] | None = None
    is_stopping = False

    def on_signal() -> None:
        nonlocal is_stopping
        if is_stopping or (task is not None and task.done()):
            raise KeyboardInterrupt
        is_stopping = True
        if task is not None:
            task.cancel()
            # The loop may be waiting for a socket. Wake it, so that it runs the cancelled task.
            loop.call_soon_threadsafe(lambda: None)

    # Before and after the `with` block, a signal raises KeyboardInterrupt. It must not end the
    # process at once, because the program may still have to clean up.
    stop_signals.raise_interrupts()
    with stop_signals.handled_by(on_signal):
        # Do not use `Runner.run`, because it does not handle SIGTERM.
        task = loop.create_task(main())
        if is_stopping:
            task.cancel()
        try:
            return loop.run_until_complete(task)
        except asyncio.CancelledError:
            if is_stopping:
                raise KeyboardInterrupt from None
            raise
