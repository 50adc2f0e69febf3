"""Translates errors of httpx and of sockets into a `ModelsLabError`, which the caller raises."""

from .._models.errors import ConnectionImpossible, ModelsLabError, TransportError
from .permanent_tls_errors import permanent_tls_error
from .proxy import wrong_password_error

# The maximum length of an error's message, in characters. Only a proxy or a server sends a longer
# message. Such a message is dropped.
_MAX_MESSAGE_LENGTH = 1000


def translate_error(
    fault: Exception, *, is_unsent: bool = False, believe_tls_error: bool = True
) -> ModelsLabError:
    """
    Translate an error that an httpx client or transport raised.

    The caller must not keep the httpx error, because it holds the request with the key.

    Args:
        fault: The error.
        is_unsent: Whether the request provably never left this machine.
        believe_tls_error: Pass False if a hook may have raised the error. A TLS error then becomes
            a `TransportError`, unless `is_unsent` is True.
    """
    # The message of httpcore's `ProxyError` begins with the status of the answer to CONNECT.
    if is_unsent and type(fault).__name__ == "ProxyError" and str(fault).startswith("407 "):
        return wrong_password_error("the proxy")
    tls_error = _tls_error(fault) if believe_tls_error or is_unsent else None
    return tls_error or _transport_error(fault, str(fault), may_have_been_sent=not is_unsent)


def connect_error(fault: OSError | UnicodeError) -> ModelsLabError:
    """Translate an error raised by connecting. A `UnicodeError` means an invalid host name."""
    message = (fault.strerror if isinstance(fault, OSError) else None) or str(fault)
    return _tls_error(fault) or _transport_error(fault, message, may_have_been_sent=False)


def _transport_error(fault: Exception, message: str, *, may_have_been_sent: bool) -> TransportError:
    name, message = type(fault).__name__, _printable(message)
    return TransportError(
        f"{name}: {message}" if message else name, may_have_been_sent=may_have_been_sent
    )


def _printable(message: str) -> str:
    if len(message) > _MAX_MESSAGE_LENGTH:
        # Drop the whole message. If only its end were dropped, a part of the key could stay, and
        # redaction might not find that part.
        return f"(a message of {len(message)} characters)"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in message)


def _tls_error(fault: Exception) -> ConnectionImpossible | None:
    return permanent_tls_error(fault, in_handshake=_is_connect_error(fault))


def _is_connect_error(fault: Exception) -> bool:
    # Compare the names of classes, because the error may be one of httpx2, which is not imported
    # here.
    names = {kind.__name__ for kind in type(fault).__mro__}
    # The httpx transport that uses aiohttp raises `ConnectTimeout` whenever connecting fails.
    return isinstance(fault, OSError) or not names.isdisjoint({"ConnectError", "ConnectTimeout"})
