"""Patience: repeats an operation while a database cannot be reached, for a limited time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._models.journal_errors import JournalError
from .postgres_errors import ErrorTranslator, is_lost

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")

# How many seconds to keep repeating an operation. After a crash, a server may need minutes before
# it accepts connections again.
PATIENCE_S: Final = 300.0
_FIRST_PAUSE_S: Final = 0.05
_MAX_PAUSE_S: Final = 1.0


class DatabaseAway(Exception):
    """
    The database could not be reached for so long that the operation was given up.

    Attributes:
        failure: The error for the caller.
    """

    def __init__(self, failure: JournalError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Patience:
    """
    Repeats an operation whose connection was lost, for at most `PATIENCE_S` seconds.

    After an operation has been given up, later operations are tried only once, until one succeeds.

    Args:
        translate: Turns an error of the driver into the error that the caller gets.
    """

    def __init__(self, translate: ErrorTranslator) -> None:
        self._translate = translate
        self._has_run_out = False

    async def repeat(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        is_unconfirmed: Callable[[], bool] = lambda: False,
    ) -> T:
        """
        Call `attempt`, and repeat it after each lost connection. Return its result.

        Args:
            attempt: Carries out the operation once.
            is_unconfirmed: Whether the last attempt may have been committed. If so, `attempt` is
                repeated for the full `PATIENCE_S` seconds.

        Raises:
            DatabaseAway: `attempt` still lost the connection after `PATIENCE_S` seconds.
            Exception: `attempt` failed for another reason.
        """
        loop = asyncio.get_running_loop()
        began_at, had_run_out = loop.time(), self._has_run_out
        pause = _FIRST_PAUSE_S
        while True:
            try:
                result = await attempt()
            except Exception as error:
                if not is_lost(error):
                    raise
                failure = self._translate(error)
            else:
                self._has_run_out = False
                return result
            # Raise outside the `except` block. Otherwise `__context__` would hold the original
            # error, whose message could contain the password.
            patience = 0.0 if had_run_out and not is_unconfirmed() else PATIENCE_S
            if loop.time() >= began_at + patience:
                self._has_run_out = True
                raise DatabaseAway(failure)
            if pause == _FIRST_PAUSE_S:
                _logger.warning("the journal's database is away, trying again: %s", failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_S)
