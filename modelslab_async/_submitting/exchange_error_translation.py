"""Turns exceptions into `ModelsLabError`, without messages that may quote the API key."""

import asyncio

from .._aio.yield_and_wakeup import is_cancelled
from .._models.errors import InvalidRequest, ModelsLabError, TransportError


def name_endpoint(error: InvalidRequest, endpoint: str) -> None:
    """Put the endpoint's name before an error's message, because the server's message omits it."""
    error.message = f"{endpoint}: {error.message}"
    error.args = (error.message,)


def exchange_failure(error: BaseException) -> ModelsLabError:
    """
    Return the `ModelsLabError` for an exception that was raised while a request was sent.

    If the exception comes from another package, the returned error names only its type. The
    exception's message is left out, because it may quote the API key.

    Raises:
        asyncio.CancelledError: This task was cancelled, so the exchange has no result.
    """
    if isinstance(error, ModelsLabError):
        return error
    if not isinstance(error, asyncio.CancelledError):
        return TransportError(f"the transport broke: {type(error).__name__}")
    if is_cancelled():
        raise error
    return TransportError("the exchange was cancelled from within")
