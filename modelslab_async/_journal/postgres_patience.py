"""Patience: repeats an operation while a database cannot be reached, for a limited time."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._models.error_copies import own_copy
from .._models.journal_errors import JournalError
from .postgres_errors import ErrorTranslator, is_lost

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")

# The maximum time, in seconds, for which an operation is repeated after its connection was lost.
# After a crash, a server may need minutes before it accepts connections again.
PATIENCE_S: Final = 300.0
# While a journal closes, this shorter limit replaces `PATIENCE_S` for most operations. If outcomes
# cannot be recorded within this limit, the next run polls their tickets again.
LEAVE_S: Final = 5.0
# The shortest time limit of one attempt, in seconds. An attempt has a time limit only while the
# journal is closing and its database cannot be reached.
_LAST_ATTEMPT_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.05
_MAX_PAUSE_S: Final = 1.0


class DatabaseAway(Exception):
    """
    An operation was given up, because the database could not be reached for too long.

    Attributes:
        failure: The error for the caller.
    """

    def __init__(self, failure: JournalError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Patience:
    """
    Repeats an operation while its connection is lost, for at most `PATIENCE_S` seconds.

    While the journal closes, most operations are given up after only `LEAVE_S` seconds. If an
    operation was given up, later operations with the same or a shorter limit get only one attempt
    each. This ends as soon as an operation succeeds.

    Args:
        translate: Turns an error of the driver into the error that the caller gets.
    """

    def __init__(self, translate: ErrorTranslator) -> None:
        self._translate = translate
        # The longest time limit, in seconds, of the operations that were given up since the last
        # success; 0 if there are none.
        self._exhausted_s = 0.0
        self._failure: JournalError | None = None
        self._leaving_since = math.inf

    @property
    def is_away(self) -> bool:
        """Whether the most recent attempt at an operation lost the connection."""
        return self._failure is not None

    @property
    def is_leaving(self) -> bool:
        """Whether the journal is closing."""
        return self._leaving_since < math.inf

    def start_leaving(self) -> None:
        """Prepare to close: from now on, repeat most operations for only `LEAVE_S` seconds."""
        self._leaving_since = min(self._leaving_since, asyncio.get_running_loop().time())

    async def wait_briefly(self, write: asyncio.Future[T]) -> T:
        """
        Wait for a queued write. If the database cannot be reached, give up after `LEAVE_S` seconds.

        Raises:
            JournalError: The database still cannot be reached. The write stays queued.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVE_S
        try:
            while self._failure is None or loop.time() < deadline:
                await asyncio.wait([write], timeout=max(_FIRST_PAUSE_S, deadline - loop.time()))
                if write.done():
                    return write.result()
            raise own_copy(self._failure)
        finally:
            write.cancel()

    async def repeat(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        is_unconfirmed: Callable[[], bool] = lambda: False,
        outlasts_leaving: bool = False,
    ) -> T:
        """
        Call `attempt`, and repeat it after each lost connection. Return its result.

        Args:
            attempt: Carries out the operation once.
            is_unconfirmed: Returns whether the most recent attempt may have been committed. If
                so, `attempt` is repeated, even if an earlier operation was given up.
            outlasts_leaving: Whether the time limit is `PATIENCE_S` even while the journal closes.

        Raises:
            DatabaseAway: The time limit was reached, and every attempt lost the connection.
            Exception: `attempt` failed for another reason.
        """
        loop = asyncio.get_running_loop()
        began_at, exhausted_s, first_failed_at = loop.time(), self._exhausted_s, math.inf
        pause = _FIRST_PAUSE_S
        while True:
            deadline = None if outlasts_leaving else self._attempt_deadline(first_failed_at)
            try:
                async with asyncio.timeout_at(deadline):
                    result = await attempt()
            except Exception as error:
                if not is_lost(error):
                    self._failure = None
                    raise
                self._failure = failure = self._translate(error)
            else:
                self._failure = None
                self._exhausted_s = 0.0
                return result
            # Raise outside the `except` block. Otherwise `__context__` would hold the original
            # error, whose message could contain the password.
            first_failed_at = min(first_failed_at, loop.time())
            leave_at = math.inf if outlasts_leaving else self._leave_at(first_failed_at)
            patience_s = PATIENCE_S if leave_at == math.inf else LEAVE_S
            is_tried_once = exhausted_s >= patience_s and not is_unconfirmed()
            if is_tried_once or loop.time() >= min(began_at + PATIENCE_S, leave_at):
                self._exhausted_s = max(self._exhausted_s, patience_s)
                raise DatabaseAway(failure)
            if pause == _FIRST_PAUSE_S:
                _logger.warning("the journal's database is away, trying again: %s", failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_S)

    def _leave_at(self, first_failed_at: float) -> float:
        """Return the time at which to give up; infinity if the journal is not closing."""
        return max(self._leaving_since, first_failed_at) + LEAVE_S

    def _attempt_deadline(self, first_failed_at: float) -> float | None:
        """
        Return the time at which to cancel the next attempt; None for no limit.

        An attempt has a limit only if the journal is closing and the database cannot be reached.
        """
        if self._leaving_since == math.inf or not self.is_away:
            return None
        now = asyncio.get_running_loop().time()
        soon = now + _LAST_ATTEMPT_S
        if self._exhausted_s >= LEAVE_S:
            return soon
        return max(self._leave_at(min(first_failed_at, now)), soon)
