"""
Handles Ctrl-C and SIGTERM during a batch.

The first signal lets downloads finish. The second signal stops at once.
"""

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

from .. import output
from ..stop_signals import stop_signals


@contextmanager
def drain_on_signal(drain: Callable[[], object]) -> Generator[None, None, None]:
    """
    While the block runs, let the first Ctrl-C or SIGTERM stop the batch after current downloads.

    The first signal calls `drain`. The second signal cancels the command. Outside the block, the
    first signal cancels the command.

    Args:
        drain: Stops the batch after its current downloads. Called in the event loop.
    """
    loop = asyncio.get_running_loop()
    is_draining = False

    def drain_and_announce() -> None:
        # Drain first, because printing the message raises an error if standard error is closed.
        drain()
        repeat = "send SIGTERM" if stop_signals.first == signal.SIGTERM else "press Ctrl-C"
        output.print_message(
            f"stopping after the current downloads; {repeat} again to stop at once"
        )

    def on_signal() -> None:
        nonlocal is_draining
        if is_draining:
            cancel()
        else:
            is_draining = True
            loop.call_soon_threadsafe(drain_and_announce)

    with stop_signals.handled_by(on_signal) as cancel:
        yield
