"""TLS: which of its faults are final, and what they mean. It shakes no hands itself."""

import ssl

from .._models.errors import ConnectionImpossible, HandshakeFailed, UntrustedServer

# The connection broke, which another one may not.
_CONNECTION_BROKEN = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# What the other side says of one connection, and not of all that we could make.
_TRANSIENT_ALERTS = ("BAD_RECORD_MAC", "RECORD_OVERFLOW", "INTERNAL_ERROR", "USER_CANCELLED")


def permanent_tls_error(
    fault: BaseException | None, *, in_handshake: bool, may_have_been_sent: bool = False
) -> ConnectionImpossible | None:
    """
    What a fault means that TLS will have with every connection; None for all others.

    Args:
        fault: What was raised, or what raised it.
        in_handshake: Whether it came of the handshake. Later only the other side's alerts are final: in
            TLS 1.3 it asks for a certificate when for this side the handshake is over.
        may_have_been_sent: Whether a request may have been sent by then.
    """
    while fault is not None and not isinstance(fault, ssl.SSLError):
        # httpcore takes the cause off what it raises again.
        fault = fault.__cause__ or fault.__context__
    if fault is None or isinstance(fault, _CONNECTION_BROKEN):
        return None
    if isinstance(fault, ssl.SSLCertVerificationError):
        return UntrustedServer(f"the server's certificate is not valid: {fault.verify_message}")
    reason = fault.reason or ""
    if not in_handshake and ("ALERT" not in reason or reason.endswith(_TRANSIENT_ALERTS)):
        return None
    detail = reason.replace("_", " ").lower() or str(fault)
    return HandshakeFailed(
        f"no TLS with the server: {detail}", may_have_been_sent=may_have_been_sent
    )
