"""Public: which addresses belong to the open internet, and not to this machine or its networks."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# The only space that IPv6 hands out to the internet, and what in it is set aside for books.
_HANDED_OUT = IPv6Network("2000::/3")
_BOOKS = (IPv6Network("2001:db8::/32"), IPv6Network("3fff::/20"))
# Translators put an IPv4 address into the last bits of these (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")


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
        inner = _inner(ip)
        if inner is None:
            in_use = ip in _HANDED_OUT and not any(ip in books for books in _BOOKS)
            return in_use and ip.is_global
        ip = inner
    return ip.is_global and not ip.is_multicast


def _inner(ip: IPv6Address) -> IPv4Address | None:
    if ip in _TRANSLATED:
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour
