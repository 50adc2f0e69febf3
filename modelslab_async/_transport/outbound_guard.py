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
        refusal: What a refused caller can do instead. While it is "", nothing is refused.
    """

    def __init__(self) -> None:
        self.refusal = ""

    def check(self, host: str) -> None:
        """
        Let a request to this host pass, or refuse it.

        Raises:
            RequestBlocked: It would leave this machine, and that is refused.
        """
        if self.refusal and not is_loopback(host):
            # The plugin imports this module whenever pytest starts, and the errors import attrs.
            from .._models.errors import RequestBlocked  # noqa: PLC0415

            raise RequestBlocked(f"a test may not send a request to {host}: {self.refusal}")


# One for the process: any thread and any task of a test may send.
OUTBOUND_GUARD = OutboundGuard()


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or its address. It resolves no name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        name = host.lower().removesuffix(".")
        return name == _LOCALHOST or name.endswith(f".{_LOCALHOST}")
    # A connection to 0.0.0.0 or [::] goes to this machine.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified
