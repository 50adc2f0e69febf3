"""Checks whether IP addresses belong to the public internet."""

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import inet_aton, inet_ntoa

# The range of public IPv6 addresses, and the two parts of it that are reserved for documentation.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_DOCUMENTATION = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
# The range of NAT64 addresses. Their last 32 bits are an IPv4 address (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")


class NotPublic(Exception):
    """A host has no public address."""


def is_public(address: str) -> bool:
    """
    Return whether an IP address belongs to the public internet.

    If an IPv6 address contains an IPv4 address (mapped, 6to4, NAT64), the IPv4 address is checked.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        embedded = _embedded_ipv4(ip)
        if embedded is None:
            is_unicast = ip in _GLOBAL_UNICAST and not any(
                ip in network for network in _DOCUMENTATION
            )
            return is_unicast and ip.is_global
        ip = embedded
    return ip.is_global and not ip.is_multicast


def is_private_address(host: str) -> bool:
    """Return whether the host of a URL is an IP address that is not public."""
    host = host.removesuffix(".")
    # Most resolvers accept what `inet_aton` accepts: IPv4 addresses in short, decimal, octal and
    # hexadecimal form.
    with suppress(OSError):
        host = inet_ntoa(inet_aton(host))
    try:
        ip_address(host)
    except ValueError:
        return False
    return not is_public(host)


def _embedded_ipv4(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
