"""
Handles the signals that stop the program: SIGINT, which Ctrl-C sends, and SIGTERM.

Both have the same effect. It depends on the state of the program:

    before the first coroutine  a signal ends the process at once
    while a coroutine runs      a signal calls the function that was given to `handled_by`
    after a coroutine has run   a signal raises KeyboardInterrupt
    when no cleanup is left     a signal ends the process at once
"""

# Python's own handler of Ctrl-C can raise KeyboardInterrupt in a callback of importlib. Python then
# prints the exception, and the program continues. So while the program starts, the handlers of this
# module end the process instead. Until `install` sets them, Ctrl-C prints a traceback. To keep that
# time short, this module imports little.

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager

_DEFAULT_HANDLERS = (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGTERM, signal.SIG_DFL),
)
_STDERR = 2


def _raise() -> None:
    raise KeyboardInterrupt


class StopSignals:
    """
    Handles SIGINT and SIGTERM of this process.

    Attributes:
        first: The first signal that the program received, or None. It determines the exit code.
    """

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self._react: Callable[[], object] = self._exit

    @property
    def exit_code(self) -> int:
        """The exit code of a program that was stopped: 130, or 143 after SIGTERM."""
        return 128 + (self.first or signal.SIGINT)

    def install(self) -> None:
        """Set the handlers. A signal that the process ignores stays ignored."""
        for number, default in _DEFAULT_HANDLERS:
            if signal.getsignal(number) is default:
                signal.signal(number, self._handle)

    def end_process(self) -> None:
        """From now on, let a signal end the process at once, because no cleanup is left."""
        self._react = self._exit

    def raise_interrupts(self) -> None:
        """From now on, let a signal raise KeyboardInterrupt."""
        self._react = _raise

    @contextmanager
    def handled_by(
        self, react: Callable[[], object]
    ) -> Generator[Callable[[], object], None, None]:
        """
        While the `with` block runs, let a signal call `react`.

        Yield the function that `react` replaces.
        """
        previous, self._react = self._react, react
        try:
            yield previous
        finally:
            self._react = previous

    def _handle(self, number: int, _frame: object) -> None:
        self.first = self.first or signal.Signals(number)
        self._react()

    def _exit(self) -> None:
        try:
            os.write(_STDERR, b"modelslab-async: interrupted\n")
        finally:
            os._exit(self.exit_code)


# Signal handlers belong to the process, so there is one object for all commands.
stop_signals = StopSignals()
