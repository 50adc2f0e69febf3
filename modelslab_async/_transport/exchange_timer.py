"""ExchangeTimer: times and logs one HTTP request. It logs no key, query, header or body."""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from .._aio.listeners import call_and_log
from .._aio.telemetry import TELEMETRY_LOG_NAME
from .._models.exchange_telemetry import ExchangeRecord
from .credentials import Credentials
from .transport_protocol import split_origin

_logger = logging.getLogger("modelslab_async")


ExchangeObserver: TypeAlias = Callable[[ExchangeRecord], object]
"""Called after each HTTP request, in the task that sent the request."""


class ExchangeTimer:
    """
    Times one request in a `with` block, and logs it when the block ends.

    Args:
        method: The HTTP method.
        url: The whole URL.
        credentials: The keys to remove from the path; None for a request that carries no key.
        observer: Called with the record of the request; None for no observer.

    Attributes:
        status_code: The HTTP status, which the `with` block sets when a response comes.
    """

    def __init__(
        self,
        method: str,
        url: str,
        *,
        credentials: Credentials | None = None,
        observer: ExchangeObserver | None = None,
    ) -> None:
        self._method = method
        self._url = url
        self._credentials = credentials
        self._observer = observer
        self.status_code: int | None = None

    @property
    def _is_used(self) -> bool:
        return self._observer is not None or _logger.isEnabledFor(logging.DEBUG)

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._is_used:
            return
        record = self._record("" if error_type is None else error_type.__name__)
        _log(record)
        if self._observer is not None:
            call_and_log(TELEMETRY_LOG_NAME, self._observer, record)

    def _record(self, error: str) -> ExchangeRecord:
        scheme, host, port = split_origin(self._url)
        path = urlsplit(self._url).path
        return ExchangeRecord(
            method=self._method,
            scheme=scheme,
            host=host,
            port=port,
            path=path if self._credentials is None else self._credentials.redact_text(path),
            status_code=self.status_code,
            error=error,
            seconds=time.perf_counter() - self._started,
        )


def _log(record: ExchangeRecord) -> None:
    _logger.debug(
        "%s %s: %s in %.0f ms",
        record.method,
        record.url,
        record.error or record.status_code,
        record.seconds * 1000,
    )
