"""TLS: which of its faults are final, and what they mean. It shakes no hands itself."""

import ssl

from .._models.errors import ConnectionImpossible, HandshakeFailed, UntrustedServer

# The connection broke, which another one may not.
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
# What the other side says of one connection, and not of all that we could make.
_PASSING = ("BAD_RECORD_MAC", "RECORD_OVERFLOW", "INTERNAL_ERROR", "USER_CANCELLED")


def final_fault(
    fault: BaseException | None, *, shaking: bool, may_have_left: bool = False
) -> ConnectionImpossible | None:
    """
    What a fault means that TLS will have with every connection; None for all others.

    Args:
        fault: What was raised, or what raised it.
        shaking: Whether it came of the handshake. Later only the other side's alerts are final: in
            TLS 1.3 it asks for a certificate when for this side the handshake is over.
        may_have_left: Whether a request may have been sent by then.
    """
    while fault is not None and not isinstance(fault, ssl.SSLError):
        # httpcore takes the cause off what it raises again.
        fault = fault.__cause__ or fault.__context__
    if fault is None or isinstance(fault, _CUT):
        return None
    if isinstance(fault, ssl.SSLCertVerificationError):
        return UntrustedServer(f"the server's certificate is not valid: {fault.verify_message}")
    reason = fault.reason or ""
    if not shaking and ("ALERT" not in reason or reason.endswith(_PASSING)):
        return None
    said = reason.replace("_", " ").lower() or str(fault)
    return HandshakeFailed(f"no TLS with the server: {said}", may_have_left=may_have_left)
