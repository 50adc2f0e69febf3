"""Batch stop: Ctrl-C once lets a run end in good order, twice ends it at once."""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from .. import output


@contextmanager
def stoppable(drain: Callable[[], object]) -> Generator[None, None, None]:
    """
    Take Ctrl-C while the block runs.

    Args:
        drain: Called in the event loop at the first one. The second cancels the block's task.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        # Who started this in the background wants no Ctrl-C to end it.
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    pressed = 0

    def stop() -> None:
        if pressed == 1:
            output.say("stopping when what is on its way is saved; Ctrl-C again stops at once")
            drain()
        elif task is not None:
            task.cancel()

    def take(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        loop.call_soon_threadsafe(stop)

    signal.signal(signal.SIGINT, take)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
