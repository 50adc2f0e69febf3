"""Translates the errors of httpx and of sockets into the package's own. It raises nothing."""

import httpx

from .._models.errors import ConnectionImpossible, ModelsLabError, TransportError
from .tls_errors import permanent_tls_error


def translate_error(
    fault: Exception, *, is_unsent: bool = False, believe_tls_error: bool = True
) -> ModelsLabError:
    """
    Translate an error that came out of an httpx client or transport.

    Drop the httpx error afterwards: it holds the request, and so the key.

    Args:
        fault: The error.
        is_unsent: Whether the request provably never left.
        believe_tls_error: Whether a TLS error counts as one of the API server although the request
            may have left. A client's hook may have raised it for another server.
    """
    tls_error = _tls_error(fault) if believe_tls_error or is_unsent else None
    return tls_error or _transport_error(fault, str(fault), may_have_been_sent=not is_unsent)


def connect_error(fault: OSError | UnicodeError) -> ModelsLabError:
    """Translate why no connection was made. An invalid host name raises a `UnicodeError`."""
    message = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
    return _tls_error(fault) or _transport_error(fault, message, may_have_been_sent=False)


def _transport_error(fault: Exception, message: str, *, may_have_been_sent: bool) -> TransportError:
    name = type(fault).__name__
    return TransportError(
        f"{name}: {message}" if message else name, may_have_been_sent=may_have_been_sent
    )


def _tls_error(fault: Exception) -> ConnectionImpossible | None:
    return permanent_tls_error(fault, in_handshake=isinstance(fault, (httpx.ConnectError, OSError)))
