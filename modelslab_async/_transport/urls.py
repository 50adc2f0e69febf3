"""URLs: where a request goes and what it asks for there. It resolves and sends nothing."""

import re
from urllib.parse import urlsplit

import httpx

from .._models.errors import TransportError

_PORTS = {"http": 80, "https": 443}
# An URL of which nothing has to be changed or left out: its path and query are the target.
_match_simple_url = re.compile(r"https?://[^/?#\s]+(/[!-\"$-~]*)", re.ASCII).fullmatch


def origin_of(url: str) -> tuple[str, str]:
    """The scheme and the host, with its port, as the URL writes them."""
    scheme, _, rest = url.partition("://")
    return scheme, rest.partition("/")[0]


def request_target(url: str) -> str:
    """The path and the query."""
    if simple := _match_simple_url(url):
        return simple[1]
    parts = urlsplit(_to_ascii(url))
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def split_origin(url: str) -> tuple[str, str, int]:
    """
    The scheme, the host's bare name and the port.

    Raises:
        TransportError: The URL names no host that HTTP could reach.
    """
    try:
        parts = urlsplit(_to_ascii(url))
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except (ValueError, httpx.InvalidURL):
        scheme, host, port = "", None, None
    if scheme not in _PORTS or not host:
        raise TransportError(
            "an URL starts with http:// or https:// and a host", may_have_been_sent=False
        )
    return scheme, host, port or _PORTS[scheme]


def host_header(scheme: str, host: str, port: int) -> str:
    """What the `Host` header says: IPv6 in brackets, the scheme's own port left out."""
    name = f"[{host}]" if ":" in host else host
    return name if port == _PORTS[scheme] else f"{name}:{port}"


def _to_ascii(url: str) -> str:
    return url if url.isascii() else str(httpx.URL(url))
