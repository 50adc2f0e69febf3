"""Sends plain http requests through an HTTP proxy: tunnelled if it lets us, else forwarded."""

from attrs import evolve

from ..proxy import Proxy
from ..transport_protocol import Request, Response, host_header, request_target, split_origin
from .origin_pool import OriginPool
from .proxy_tunnel import TunnelRefused


class PlainProxyRoute:
    """
    Sends plain http requests through an HTTP proxy.

    A tunnel is preferred: its connection can be kept, and if the proxy cannot reach the server, the
    request provably never left. But many proxies open tunnels to port 443 only. They get the
    requests themselves and forward them.

    Args:
        proxy: The proxy.
        tunnels: Connections through the proxy to the origin.
        forwarding: Connections to the proxy itself.
    """

    def __init__(self, proxy: Proxy, *, tunnels: OriginPool, forwarding: OriginPool) -> None:
        self._proxy = proxy
        self._tunnels = tunnels
        self._forwarding = forwarding
        self._opens_tunnels = True

    async def exchange(self, request: Request) -> Response:
        """See `Transport.exchange`."""
        if self._opens_tunnels:
            try:
                return await self._tunnels.exchange(request)
            except TunnelRefused:
                self._opens_tunnels = False
        headers = (*request.headers, *self._proxy.headers)
        response = await self._forwarding.exchange(evolve(request, headers=headers))
        return self._proxy.redact(response)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._tunnels.aclose()
        await self._forwarding.aclose()


def says_keep_alive(response: Response) -> bool:
    """
    Return whether a proxy says that it keeps the connection open.

    HTTP/1.1 proxies need not say it, but some, such as tinyproxy, close it without saying so. The
    next request would then meet a connection that is being closed.
    """
    return any(
        name.lower() in (b"connection", b"proxy-connection") and b"keep-alive" in value.lower()
        for name, value in response.headers
    )


def absolute_target(url: str) -> str:
    """Return a URL in ASCII and without the fragment, as a proxy wants it in a request line."""
    scheme, host, port = split_origin(url)
    return f"{scheme}://{host_header(scheme, host, port)}{request_target(url)}"
