"""Proxies: what the environment says of one becomes a transport through it, or a plain error."""

import ssl
from urllib.parse import urlsplit

import httpx

from .._models.errors import UnusableProxy

_SCHEMES = ("http", "https", "socks5", "socks5h")
_NOT_A_URL = "is no URL with a host and a port, such as http://proxy.example:3128"


def proxy_transport(
    proxy: str, scheme: str, *, verify: ssl.SSLContext | bool, limits: httpx.Limits
) -> httpx.AsyncHTTPTransport:
    """
    A transport through a proxy.

    Raises:
        UnusableProxy: There can be none. The proxy is not shown, since its URL may hold a password.
    """
    try:
        parts = urlsplit(proxy)
        if parts.scheme not in _SCHEMES:
            problem = f"has the scheme {parts.scheme!r}, expected {', '.join(_SCHEMES)}"
        elif not parts.hostname or parts.port == 0 or any(map(str.isspace, proxy)):
            problem = _NOT_A_URL
        else:
            return httpx.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy)
    except ImportError:
        problem = 'speaks SOCKS, which needs socksio: pip install "httpx[socks]"'
    except (httpx.InvalidURL, ValueError):
        problem = _NOT_A_URL
    variables = f"{scheme.upper()}_PROXY or ALL_PROXY"
    raise UnusableProxy(f"the proxy that {variables} names for this server {problem}")
