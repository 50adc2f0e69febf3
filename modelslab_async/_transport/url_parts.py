"""Splits URLs into origins and request targets. It resolves no names and sends nothing."""

import re
from urllib.parse import urlsplit

import httpx

from .._models.errors import TransportError

_PORTS = {"http": 80, "https": 443}
# Matches a URL whose path and query can be used as the request target without any change.
_match_simple_url = re.compile(r"https?://[^/?#\s]+(/[!-\"$-~]*)", re.ASCII).fullmatch


def origin_of(url: str) -> tuple[str, str]:
    """Return the scheme, and the host with its port, as they stand in the URL."""
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0]


def request_target(url: str) -> str:
    """Return the path and the query of a URL, in ASCII and without the fragment."""
    if simple := _match_simple_url(url):
        return simple[1]
    parts = urlsplit(_to_ascii(url))
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def absolute_target(url: str) -> str:
    """Return a URL in ASCII and without the fragment, as a proxy wants it in a request line."""
    scheme, host, port = split_origin(url)
    return f"{scheme}://{host_header(scheme, host, port)}{request_target(url)}"


def split_origin(url: str) -> tuple[str, str, int]:
    """
    Return the scheme, the host without brackets, and the port of a URL.

    Raises:
        TransportError: The URL does not begin with http or https, or has no host.
    """
    try:
        parts = urlsplit(_to_ascii(url))
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except (ValueError, httpx.InvalidURL):
        scheme, host, port = "", None, None
    if scheme not in _PORTS or not host:
        raise TransportError(
            "a URL must start with http:// or https:// and a host", may_have_been_sent=False
        )
    return scheme, host, port or _PORTS[scheme]


def host_header(scheme: str, host: str, port: int) -> str:
    """Return the `Host` header. An IPv6 address gets brackets, and the default port is left out."""
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS[scheme] else f"{name}:{port}"


def _to_ascii(url: str) -> str:
    return url if url.isascii() else str(httpx.URL(url))
