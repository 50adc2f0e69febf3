"""Records of HTTP requests, for the log and for telemetry. They hold no key, query or body."""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from .credentials import Credentials

_logger = logging.getLogger("modelslab_async")


@frozen(kw_only=True)
class ExchangeRecord:
    """
    One HTTP request and what came of it.

    Attributes:
        method: The HTTP method.
        scheme: `http` or `https`.
        host: The host, with its port if the URL names one.
        path: The path of the URL, without the query, because a query may hold a key or a signature.
        status_code: The HTTP status; None if no response came.
        error: The name of the error's type; "" if a response came.
        seconds: The time from sending the request to its response or error.
    """

    method: str
    scheme: str
    host: str
    path: str
    status_code: int | None
    error: str
    seconds: float


ExchangeObserver: TypeAlias = Callable[[ExchangeRecord], object]
"""Is called after each HTTP request, in the task that sent the request."""


class ExchangeTimer:
    """
    Times one request in a `with` block, and logs it when the block ends.

    Args:
        method: The HTTP method.
        url: The whole URL.
        credentials: The keys to remove from the path; None for a request that carries no key.
        observer: Is called with the record too.

    Attributes:
        status_code: The HTTP status. The block sets it when a response has come.
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

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        record = self._record("" if error_type is None else error_type.__name__)
        _log(record)
        if self._observer is not None:
            self._observer(record)

    def _record(self, error: str) -> ExchangeRecord:
        parts = urlsplit(self._url)
        redact = str if self._credentials is None else self._credentials.redact_text
        return ExchangeRecord(
            method=self._method,
            scheme=parts.scheme,
            host=parts.netloc.rpartition("@")[2],
            path=redact(parts.path),
            status_code=self.status_code,
            error=error,
            seconds=time.perf_counter() - self._started,
        )


def _log(record: ExchangeRecord) -> None:
    _logger.debug(
        "%s %s://%s%s: %s in %.0f ms",
        record.method,
        record.scheme,
        record.host,
        record.path,
        record.error or record.status_code,
        record.seconds * 1000,
    )
