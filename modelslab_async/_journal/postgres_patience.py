"""Patience: repeats an attempt while a database is away, for a limited time. It runs nothing."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from .._models.journal_errors import JournalError
from .postgres_errors import ErrorTranslator, is_lost

T = TypeVar("T")

_logger = logging.getLogger("modelslab_async")

# A server that was killed may need minutes until it takes connections again.
PATIENCE_S: Final = 300.0
_FIRST_PAUSE_S: Final = 0.05
_MAX_PAUSE_S: Final = 1.0


class DatabaseAway(Exception):
    """
    An attempt was given up.

    Attributes:
        failure: The error for the caller.
    """

    def __init__(self, failure: JournalError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Patience:
    """
    Repeats attempts while the connection is lost.

    After the patience has run out once, attempts are made once only, until one succeeds.

    Args:
        translate: Makes the error for the caller.
    """

    def __init__(self, translate: ErrorTranslator) -> None:
        self._translate = translate
        self._has_run_out = False

    async def repeat(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """
        Call an attempt until it does not lose the connection.

        Raises:
            DatabaseAway: The connection was lost again and again, for too long.
            Exception: The attempt raised an error of another kind.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (0.0 if self._has_run_out else PATIENCE_S)
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
            # Not in the handler: the context of the error could repeat the password.
            if loop.time() >= deadline:
                self._has_run_out = True
                raise DatabaseAway(failure)
            if pause == _FIRST_PAUSE_S:
                _logger.warning("the journal's database is away, trying again: %s", failure)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_S)
