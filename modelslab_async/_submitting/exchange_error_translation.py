"""Turns what an exchange raised into one of the library's errors. It keeps no foreign text."""

import asyncio

from .._aio.cooperation import is_cancelled
from .._models.errors import ModelsLabError, TransportError


def exchange_failure(error: Exception | asyncio.CancelledError) -> ModelsLabError:
    """
    Return the error that an exchange failed with.

    Of a foreign exception only the type's name is kept, because its text may quote the key.

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
