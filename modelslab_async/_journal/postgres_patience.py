"""Patience: repeats an operation while a database cannot be reached, for a limited time."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._models.journal_errors import JournalError
from .postgres_errors import ErrorTranslator, is_lost

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")

# How many seconds to keep repeating an operation. After a crash, a server may need minutes before
# it accepts connections again.
PATIENCE_S: Final = 300.0
# How many seconds to wait for a database that is away when a run is left, and again when the
# journal is closed. The next run polls the tickets that are not recorded by then.
LEAVE_S: Final = 5.0
# How many seconds an attempt may take after that.
_LAST_ATTEMPT_S: Final = 2.0
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
        self._failure: JournalError | None = None
        self._leave_at = math.inf

    @property
    def is_away(self) -> bool:
        """Whether the last attempt of any operation lost the connection."""
        return self._failure is not None

    def start_leaving(self) -> None:
        """Repeat operations for `LEAVE_S` more seconds only, because the journal is closed."""
        self._leave_at = min(self._leave_at, asyncio.get_running_loop().time() + LEAVE_S)

    async def wait_briefly(self, write: asyncio.Future[T]) -> T:
        """
        Wait for a queued write. If the database is away, wait for `LEAVE_S` seconds only.

        Raises:
            JournalError: The database is still away. The write stays queued.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVE_S
        try:
            while self._failure is None or loop.time() < deadline:
                await asyncio.wait([write], timeout=max(_FIRST_PAUSE_S, deadline - loop.time()))
                if write.done():
                    return write.result()
            raise self._failure
        finally:
            write.cancel()

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
                async with asyncio.timeout_at(self._attempt_deadline()):
                    result = await attempt()
            except Exception as error:
                if not is_lost(error):
                    self._failure = None
                    raise
                self._failure = failure = self._translate(error)
            else:
                self._failure = None
                self._has_run_out = False
                return result
            # Raise outside the `except` block. Otherwise `__context__` would hold the original
            # error, whose message could contain the password.
            patience = 0.0 if had_run_out and not is_unconfirmed() else PATIENCE_S
            if loop.time() >= min(began_at + patience, self._leave_at):
                self._has_run_out = True
                raise DatabaseAway(failure)
            if pause == _FIRST_PAUSE_S:
                _logger.warning("the journal's database is away, trying again: %s", failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_S)

    def _attempt_deadline(self) -> float | None:
        """Return when to cut off the next attempt; None unless the journal closes in an outage."""
        if self._leave_at == math.inf or not self.is_away:
            return None
        return max(self._leave_at, asyncio.get_running_loop().time() + _LAST_ATTEMPT_S)
