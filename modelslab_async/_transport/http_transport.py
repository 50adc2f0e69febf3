"""HTTPTransport: the default transport, with settings that the caller chooses."""

import ssl
from collections.abc import Sequence

from .._models.argument_checks import check_count, check_type
from .http11.connection import Address, Dialer, local_addresses
from .http11.transport import HTTP11Transport
from .proxy import InvalidProxy, Proxy
from .tls_context import SSLContextLoader
from .transport_protocol import Request, Response


class HTTPTransport:
    """
    The default transport, with settings of your own: `Client(http=HTTPTransport(...))`.

    It keeps connections open between requests, even through a proxy. Closing the client closes the
    transport too. Its `repr` shows no setting, because the proxy's URL may hold a password.

    Args:
        ssl_context: The TLS context. It holds the certificates to trust, and a client certificate
            if the server asks for one. With None, the transport trusts the certificates of
            `SSL_CERT_FILE`, `SSL_CERT_DIR` or certifi. The transport sets the context's ALPN
            protocols.
        proxy: The URL of the proxy for all requests, such as
            `"http://user:password@proxy.example:3128"`. With None, the proxy comes from the
            environment variables.
        connections: The maximum number of connections to one host. If the client's argument
            `workers` is higher, some workers wait for a connection.
        local_address: The IP address of this machine to connect from; `"0.0.0.0"` for IPv4 only.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range, or the proxy cannot be used.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        connections: int = 32,
        local_address: str | None = None,
    ) -> None:
        check_type("ssl_context", ssl_context, ssl.SSLContext | None, "an ssl.SSLContext or None")
        check_type("proxy", proxy, str | None, "the URL of a proxy or None")
        check_count("connections", connections)
        check_type("local_address", local_address, str | None, "an IP address or None")
        self._transport = HTTP11Transport(
            connections=connections,
            dialer=Dialer(
                ssl_loader=SSLContextLoader(ssl_context),
                local_addresses=_addresses_of(local_address),
            ),
            proxy=_proxy_of(proxy, local_address),
        )

    async def exchange(self, request: Request, /) -> Response:
        """Send one request and read its response."""
        return await self._transport.exchange(request)

    async def aclose(self) -> None:
        """Close every connection. An exchange in flight raises a `TransportError`."""
        await self._transport.aclose()


def _addresses_of(local_address: str | None) -> Sequence[Address]:
    if local_address is None:
        return ()
    try:
        return local_addresses(local_address)
    except (OSError, UnicodeError):
        raise ValueError(
            f"local_address is an IP address of this machine, got {local_address!r}"
        ) from None


def _proxy_of(proxy: str | None, local_address: str | None) -> Proxy | None:
    if proxy is None:
        return None
    try:
        parsed = Proxy.parse(proxy, origin="the proxy of HTTPTransport")
    except InvalidProxy as invalid:
        problem = f"proxy {invalid}"
    else:
        if not (parsed.is_socks and local_address):
            return parsed
        problem = "proxy speaks SOCKS, which cannot be combined with local_address"
    # Raise the error after the `except` block, so that its `__context__` is not the caught error,
    # which may hold the password.
    raise ValueError(problem)
