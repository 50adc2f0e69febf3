"""Public: which addresses belong to the open internet, and not to this machine or its networks."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# The only space that IPv6 hands out to the internet, and what in it is set aside for books.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_DOCUMENTATION = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
# Translators put an IPv4 address into the last bits of these (RFC 6052).
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """
    Whether an address is one of the open internet.

    An IPv6 address that leads to an IPv4 one (mapped, 6to4, NAT64) is judged by that.
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


def _embedded_ipv4(ip: IPv6Address) -> IPv4Address | None:
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
