"""
Refuses requests to other machines while a test forbids them. It sends nothing.

It is off unless the pytest plugin turns it on, and it does not import pytest.
"""

from ipaddress import ip_address

_LOCALHOST = "localhost"


class OutboundGuard:
    """
    Refuses requests to hosts other than this machine.

    Attributes:
        refusal: A text that says what to do instead of sending. While it is "", nothing is refused.
    """

    def __init__(self) -> None:
        self.refusal = ""

    def check(self, host: str) -> None:
        """
        Refuse a request to this host if requests to other machines are forbidden.

        Raises:
            RequestBlocked: The request would leave this machine, which is forbidden now.
        """
        if self.refusal and not is_loopback(host):
            # Imported late, because the pytest plugin imports this module whenever pytest starts.
            from .._models.errors import RequestBlocked  # noqa: PLC0415

            raise RequestBlocked(f"a test may not send a request to {host}: {self.refusal}")


# There is one guard for the process, because any thread and any task of a test may send.
OUTBOUND_GUARD = OutboundGuard()


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine. No name is resolved."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == _LOCALHOST or name.endswith(f".{_LOCALHOST}")
    # A connection to 0.0.0.0 or [::] goes to this machine.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
