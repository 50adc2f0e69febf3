"""
Handles Ctrl-C during a batch.

The first Ctrl-C lets downloads finish. The second Ctrl-C stops at once.
"""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from .. import output


@contextmanager
def handle_interrupts(drain: Callable[[], object]) -> Generator[None, None, None]:
    """
    Handle Ctrl-C while the block runs.

    Args:
        drain: Called in the event loop at the first Ctrl-C. The second Ctrl-C cancels the task that
            runs the block.
    """
    previous_handler = signal.getsignal(signal.SIGINT)
    if previous_handler is signal.SIG_IGN:
        # If a shell starts a process in the background, SIGINT may be ignored. Leave it so.
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    interrupts = 0

    def on_interrupt() -> None:
        if interrupts == 1:
            output.print_message(
                "stopping after the current downloads; press Ctrl-C again to stop at once"
            )
            drain()
        elif task is not None:
            task.cancel()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupts
        interrupts += 1
        loop.call_soon_threadsafe(on_interrupt)

    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous_handler)
