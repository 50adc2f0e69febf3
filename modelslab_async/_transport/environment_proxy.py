"""Reads the environment variables to find the proxy for a server."""

from collections.abc import Mapping
from urllib.request import getproxies_environment

from .._models.errors import UnusableProxy
from .proxy import InvalidProxy, Proxy


def environment_proxy(scheme: str, host: str) -> str | None:
    """
    Return the URL of the proxy for a host. Return None or "" if there is no proxy.

    The URL comes from HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, unless NO_PROXY contains the host.
    """
    proxies: Mapping[str, str] = getproxies_environment()
    if any(
        _matches_no_proxy(pattern.strip(), host) for pattern in proxies.get("no", "").split(",")
    ):
        return None
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def usable_environment_proxy(scheme: str, host: str) -> Proxy | None:
    """
    Read the proxy for a host from the environment variables. Return None if there is no proxy.

    Raises:
        UnusableProxy: The proxy cannot be used. The message leaves out the URL of the proxy,
            because the URL may contain a password.
    """
    text = environment_proxy(scheme, host)
    if not text:
        return None
    origin = f"the proxy that {scheme.upper()}_PROXY or ALL_PROXY names for this server"
    try:
        return Proxy.parse(text, origin=origin)
    except InvalidProxy as invalid:
        problem = str(invalid)
    raise UnusableProxy(f"{origin} {problem}")


def _matches_no_proxy(pattern: str, host: str) -> bool:
    domain = pattern.lstrip("*.").lower()
    return pattern == "*" or (bool(domain) and f".{host.lower()}".endswith(f".{domain}"))
