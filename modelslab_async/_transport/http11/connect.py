"""Resolves host names and opens connections, over TLS for https. It sends no request."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any, TypeAlias

import aiohappyeyeballs
import anyio.to_thread
import httpx
from attrs import field, frozen

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

# The delay after which the next address is tried too, while the attempt on the previous address
# continues (RFC 8305, section 5).
_NEXT_ADDRESS_DELAY_S = 0.25


class SSLContextLoader:
    """
    Loads a TLS context that trusts the same certificates as httpx, unless the caller gives one.

    httpx takes the certificates from `SSL_CERT_FILE`, from `SSL_CERT_DIR` or from certifi.

    Args:
        given: The context of the caller; None to load one.
    """

    def __init__(self, given: ssl.SSLContext | None = None) -> None:
        self._context = given
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """Return the context. Loading takes some 20 ms, so the first call does it in a thread."""
        async with self._load_lock:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
            # Set again for each connection, because an httpx client that shares the context of the
            # caller sets its own protocols.
            self._context.set_alpn_protocols(["http/1.1"])
            return self._context


@frozen(kw_only=True)
class Dialer:
    """
    Opens connections.

    Attributes:
        ssl_loader: Loads the TLS context for https.
        local_addresses: The addresses of this machine to connect from; empty for any.
    """

    ssl_loader: SSLContextLoader = field(factory=SSLContextLoader)
    local_addresses: Sequence[Address] = ()

    async def open(
        self, protocol: asyncio.Protocol, *, scheme: str, host: str, port: int
    ) -> asyncio.BaseTransport:
        """
        Connect a new protocol to a host, over TLS if the scheme is https.

        Raises:
            OSError: The host has no address, no address answers, or the handshake fails.
            UnicodeError: The host is not a valid name.
        """
        context = await self.ssl_loader.context() if scheme == "https" else None
        sock = await connect_socket(await resolve_host(host, port), self.local_addresses)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol, sock=sock, ssl=context, server_hostname=host if context else None
        )
        return transport


async def connect_socket(
    addresses: Sequence[Address], local_addresses: Sequence[Address] = ()
) -> socket.socket:
    """
    Connect to the first address that answers. Try IPv6 and IPv4 addresses alternately.

    Raises:
        OSError: No address answers, or none is of the family of a local address.
    """
    return await aiohappyeyeballs.start_connection(
        addresses,
        local_addr_infos=local_addresses or None,
        happy_eyeballs_delay=_NEXT_ADDRESS_DELAY_S,
    )


def local_addresses(address: str) -> Sequence[Address]:
    """
    Return an IP address of this machine in the form in which a socket is bound to it.

    Raises:
        OSError: It is not an IP address.
    """
    return socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """
    Return all TCP addresses of a host.

    Raises:
        OSError: The host has no address.
        UnicodeError: The host is not a valid name.
    """
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
