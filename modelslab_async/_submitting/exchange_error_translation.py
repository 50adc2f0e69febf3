"""Turns an exception of an exchange into a `ModelsLabError`. It keeps no text of foreign errors."""

import asyncio

from .._aio.cooperation import is_cancelled
from .._models.errors import ModelsLabError, TransportError


def exchange_failure(error: BaseException) -> ModelsLabError:
    """
    Return the `ModelsLabError` for an exception that an exchange raised.

    Only the type's name of a foreign exception is kept, because its text may quote the key.

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
