"""Translates permanent TLS errors. After such an error, a new connection would fail again."""

import ssl
from typing import TypeGuard

from .._models.errors import ConnectionImpossible, HandshakeFailed, UntrustedServer

# The types of TLS errors after which a new connection may succeed.
_CONNECTION_BROKEN = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# The endings of OpenSSL's names for transient errors. After such an error, a new connection may
# succeed.
_TRANSIENT_REASONS = ("BAD_RECORD_MAC", "RECORD_OVERFLOW", "INTERNAL_ERROR", "USER_CANCELLED")


def permanent_tls_error(
    fault: BaseException | None, *, in_handshake: bool, may_have_been_sent: bool = False
) -> ConnectionImpossible | None:
    """
    Translate a permanent TLS error. Return None for any other error.

    An error is permanent if a new connection would fail in the same way.

    Args:
        fault: The error. If it is not a TLS error, search its causes and contexts for one.
        in_handshake: Whether the error was raised during the handshake. After the handshake, only
            an alert can be permanent. For example, a TLS 1.3 server sends an alert after the
            handshake if the client certificate is missing.
        may_have_been_sent: Whether a request may have left this machine before the error.
    """
    while fault is not None and not _is_error_of_openssl(fault):
        # httpcore raises its errors without a cause, so search the context too.
        fault = fault.__cause__ or fault.__context__
    if fault is None or isinstance(fault, _CONNECTION_BROKEN):
        return None
    if isinstance(fault, ssl.SSLCertVerificationError):
        # The caller's `http` object may also raise this error, without a `verify_message`.
        why = getattr(fault, "verify_message", fault)
        return UntrustedServer(f"the server's certificate is not valid: {why}")
    reason = fault.reason or ""
    if reason.endswith(_TRANSIENT_REASONS) or not (in_handshake or "ALERT" in reason):
        return None
    detail = reason.replace("_", " ").lower() or str(fault)
    return HandshakeFailed(
        f"no TLS with the server: {detail}", may_have_been_sent=may_have_been_sent
    )


def _is_error_of_openssl(fault: BaseException) -> TypeGuard[ssl.SSLError]:
    """
    Return whether an exception is a certificate error, or a TLS error that OpenSSL raised.

    Only OpenSSL's own errors have a `reason`. Other TLS errors, such as those of aiohttp, wrap an
    error from OpenSSL as their `__cause__`.
    """
    return isinstance(fault, ssl.SSLCertVerificationError) or (
        isinstance(fault, ssl.SSLError) and hasattr(fault, "reason")
    )
