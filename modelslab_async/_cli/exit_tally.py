"""Counts how the tickets of a command ended, and turns the counts into the exit code."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field

from .. import ModelsLabError, Outcome, Unresolved
from . import output
from .event_loop import run_async
from .exit_codes_and_advice import USAGE, code_for, exit_code_for, explain, worst_code
from .shared_command_errors import Interrupted


@define
class ExitTally:
    """
    Counts the tickets, submits and input lines of a command by their exit codes.

    Attributes:
        codes: How many tickets, submits or input lines ended with each exit code.
        unresolved: How many tickets ended unresolved with each exit code.
        first_unresolved: For each exit code, the first unresolved outcome with that code.
    """

    codes: Counter[int] = field(factory=Counter[int])
    unresolved: Counter[int] = field(factory=Counter[int])
    first_unresolved: dict[int, Unresolved] = field(factory=dict[int, Unresolved])
    _printed: set[str] = field(factory=set[str])

    def count(self, outcome: Outcome) -> None:
        """Count the outcome of a ticket."""
        code = code_for(outcome)
        self.codes[code] += 1
        if isinstance(outcome, Unresolved):
            self.unresolved[code] += 1
            self.first_unresolved.setdefault(code, outcome)

    def count_unsubmitted(self, cause: ModelsLabError, message: str) -> None:
        """Count a submit that made no ticket, and print why. Print equal messages only once."""
        self.codes[exit_code_for(cause).code] += 1
        if message not in self._printed:
            self._printed.add(message)
            output.print_message(message)

    def count_skipped(self, problem: str, count: int = 1) -> None:
        """Print why `count` lines or rows are skipped. Count each of them as a usage error."""
        output.print_message(problem)
        self.codes[USAGE] += count

    @property
    def handled(self) -> int:
        """The number of tickets, submits and skipped lines that have been counted so far."""
        return self.codes.total()

    def print_summary(self) -> int:
        """Print the worst error of the unresolved tickets, if any. Return the exit code."""
        if self.first_unresolved:
            code = worst_code(self.first_unresolved)
            count = self.unresolved[code]
            more = f" ({count} tickets ended so)" if count > 1 else ""
            output.print_message(f"{explain(self.first_unresolved[code].cause)}{more}")
        return worst_code(self.codes)


def run_with_tally(
    main: Callable[[], Coroutine[Any, Any, None]], tally: ExitTally, *, resume: str
) -> int:
    """
    Run a command that waits for tickets, and return its exit code.

    Args:
        main: The coroutine function of the command. It counts its outcomes in `tally`.
        tally: The counts of the outcomes.
        resume: How the user can resume, for the message after Ctrl-C or SIGTERM.

    Raises:
        Interrupted: Ctrl-C or SIGTERM stopped the command.
    """
    try:
        run_async(main)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted after {tally.handled} ended; {resume}") from None
    return tally.print_summary()
