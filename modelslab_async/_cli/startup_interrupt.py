"""Ends the program at Ctrl-C during its start, when there is nothing to clean up yet."""

# Python's own handler of Ctrl-C raises KeyboardInterrupt at any point. If that happens in a
# callback of importlib, Python prints the exception and goes on. So this module sets another
# handler while the program starts. This module imports little, because Ctrl-C prints a traceback
# until the handler is set.

import os
import signal

_INTERRUPTED = 130
_STDERR = 2


def exit_on_interrupt() -> None:
    """From now on, let Ctrl-C end the program at once, unless the process ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def raise_on_interrupt() -> None:
    """From now on, let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(_signal: int, _frame: object) -> None:
    try:
        os.write(_STDERR, b"modelslab-async: interrupted\n")
    finally:
        os._exit(_INTERRUPTED)
