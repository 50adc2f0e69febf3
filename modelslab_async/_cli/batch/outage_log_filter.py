"""Logs an outage once, and then at most every five minutes. It hides no other record."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SECONDS_BETWEEN_WARNINGS: Final = 300.0
# This module logs a warning for each attempt of a submit that cannot leave this machine.
_WARNING_MODULE: Final = "submit_retries"


class OutageLogFilter(logging.Filter):
    """Drops a warning about an unsent submit if another one was logged in the last five minutes."""

    def __init__(self) -> None:
        super().__init__()
        self._warned_at: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        if record.module != _WARNING_MODULE or record.levelno != logging.WARNING:
            return True
        last = self._warned_at
        if last is not None and 0.0 <= record.created - last < _SECONDS_BETWEEN_WARNINGS:
            return False
        self._warned_at = record.created
        return True


@contextmanager
def rare_outage_warnings() -> Iterator[None]:
    """Limit the warnings about unsent submits while the block runs."""
    logger, outage_filter = logging.getLogger("modelslab_async"), OutageLogFilter()
    logger.addFilter(outage_filter)
    try:
        yield
    finally:
        logger.removeFilter(outage_filter)
