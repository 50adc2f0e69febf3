"""Sends http requests through an HTTP proxy: in a tunnel, or else forwarded by the proxy."""

from attrs import evolve

from ..proxy import Proxy
from ..transport_protocol import Request, Response, host_header, request_target, split_origin
from .origin_pool import OriginPool
from .proxy_tunnel import TunnelRefused


class PlainProxyRoute:
    """
    Sends requests to one http server, without TLS, through an HTTP proxy.

    A tunnel through the proxy is preferred. Its connection can be kept, and if the proxy cannot
    reach the server, the request provably never left. But many proxies open tunnels to port 443
    only. Such a proxy gets the requests themselves, and forwards them.

    Args:
        proxy: The proxy.
        tunnels: The pool of tunnels through the proxy to the server.
        forwarding: The pool of connections to the proxy, for requests that the proxy forwards.
    """

    def __init__(self, proxy: Proxy, *, tunnels: OriginPool, forwarding: OriginPool) -> None:
        self._proxy = proxy
        self._tunnels = tunnels
        self._forwarding = forwarding
        self._opens_tunnels = True

    async def exchange(self, request: Request) -> Response:
        """Send one request and read its response."""
        if self._opens_tunnels:
            try:
                return await self._tunnels.exchange(request)
            except TunnelRefused:
                self._opens_tunnels = False
        headers = (*request.headers, *self._proxy.headers)
        response = await self._forwarding.exchange(evolve(request, headers=headers))
        return self._proxy.redact(response)

    async def aclose(self) -> None:
        """Close all connections to the proxy and all tunnels."""
        await self._tunnels.aclose()
        await self._forwarding.aclose()


def says_keep_alive(response: Response) -> bool:
    """
    Return whether a proxy's response says that the proxy keeps the connection open.

    An HTTP/1.1 proxy need not say so. But some proxies, such as tinyproxy, close the connection
    without an announcement. The next request would then be sent on a connection that is being
    closed.
    """
    return any(
        name.lower() in (b"connection", b"proxy-connection") and b"keep-alive" in value.lower()
        for name, value in response.headers
    )


def absolute_target(url: str) -> str:
    """Return a URL in ASCII and without the fragment, for the request line to a proxy."""
    scheme, host, port = split_origin(url)
    return f"{scheme}://{host_header(scheme, host, port)}{request_target(url)}"
