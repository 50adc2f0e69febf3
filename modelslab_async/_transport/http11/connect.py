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

# The time after which the next address of a host is tried as well, if the previous address has not
# answered (RFC 8305, section 5).
_NEXT_ADDRESS_DELAY_S = 0.25


class SSLContextLoader:
    """
    Returns the caller's TLS context, or loads one that trusts the same certificates as httpx.

    httpx takes the certificates from `SSL_CERT_FILE`, from `SSL_CERT_DIR` or from certifi.

    Args:
        given: The caller's TLS context; None to load one.
    """

    def __init__(self, given: ssl.SSLContext | None = None) -> None:
        self._context = given
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """
        Return the TLS context.

        The first call loads it in a thread, because loading takes some 20 ms.
        """
        async with self._load_lock:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
            # Set the ALPN protocols again for each connection. An httpx client that shares the
            # caller's context sets other ALPN protocols on it.
            self._context.set_alpn_protocols(["http/1.1"])
            return self._context


@frozen(kw_only=True)
class Dialer:
    """
    Resolves host names, and opens connections with or without TLS.

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
        Open a connection for `protocol` to a host, over TLS if the scheme is https.

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
        OSError: No address answers, or the local addresses are of the other IP version.
    """
    return await aiohappyeyeballs.start_connection(
        addresses,
        local_addr_infos=local_addresses or None,
        happy_eyeballs_delay=_NEXT_ADDRESS_DELAY_S,
    )


def local_addresses(address: str) -> Sequence[Address]:
    """
    Return an IP address of this machine as `getaddrinfo` does, so that a socket can use it.

    Raises:
        OSError: `address` is not an IP address.
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
