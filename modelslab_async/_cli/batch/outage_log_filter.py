"""Logs an outage at most once every five minutes. All other log records pass unchanged."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SECONDS_BETWEEN_WARNINGS: Final = 300.0
# The module whose warnings are filtered. It logs a warning each time a submit cannot be sent, for
# example because there is no network.
_WARNING_MODULE: Final = "submit_retries"


class OutageLogFilter(logging.Filter):
    """Drops a warning about an unsent submit if another one was logged in the last five minutes."""

    def __init__(self) -> None:
        super().__init__()
        self._warned_at: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a log record may be shown."""
        if record.module != _WARNING_MODULE or record.levelno != logging.WARNING:
            return True
        last = self._warned_at
        if last is not None and 0.0 <= record.created - last < _SECONDS_BETWEEN_WARNINGS:
            return False
        self._warned_at = record.created
        return True


@contextmanager
def rare_outage_warnings() -> Iterator[None]:
    """While the block runs, log at most one warning about unsent submits every five minutes."""
    logger, outage_filter = logging.getLogger("modelslab_async"), OutageLogFilter()
    logger.addFilter(outage_filter)
    try:
        yield
    finally:
        logger.removeFilter(outage_filter)
