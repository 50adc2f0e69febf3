"""Ends the program at Ctrl-C while it starts, before there is anything to clean up."""

# Python's own handler raises KeyboardInterrupt wherever the program is. While modules are imported,
# that may be a callback of importlib, where Python prints the exception and goes on. This module
# imports little, because until its handler is set, Ctrl-C prints a traceback.

import os
import signal

_INTERRUPTED = 130
_STDERR = 2


def exit_on_interrupt() -> None:
    """From now on, end the program at Ctrl-C, unless it was started to ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def raise_on_interrupt() -> None:
    """From now on, raise KeyboardInterrupt at Ctrl-C again."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(_signal: int, _frame: object) -> None:
    try:
        os.write(_STDERR, b"modelslab-async: interrupted\n")
    finally:
        os._exit(_INTERRUPTED)
