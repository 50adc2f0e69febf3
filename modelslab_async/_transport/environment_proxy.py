"""Finds the proxy in the environment variables and makes a transport for it. It sends nothing."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import httpx

from .._models.errors import UnusableProxy

_SCHEMES = ("http", "https", "socks5", "socks5h")
_NOT_A_URL = "is no URL with a host and a port, such as http://proxy.example:3128"


def environment_proxy(scheme: str, host: str) -> str | None:
    """Return the proxy for a host from HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, if any."""
    proxies: Mapping[str, str] = getproxies_environment()
    if any(
        _matches_no_proxy(pattern.strip(), host) for pattern in proxies.get("no", "").split(",")
    ):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def proxy_transport(
    proxy: str, scheme: str, *, verify: ssl.SSLContext | bool, limits: httpx.Limits
) -> httpx.AsyncHTTPTransport:
    """
    Return an httpx transport that sends through a proxy.

    Raises:
        UnusableProxy: The proxy cannot be used. The message leaves out the URL of the proxy,
            because the URL may contain a password.
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


def _matches_no_proxy(pattern: str, host: str) -> bool:
    domain = pattern.lstrip("*.").lower()
    return pattern == "*" or (bool(domain) and f".{host.lower()}".endswith(f".{domain}"))
