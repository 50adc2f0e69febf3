"""Opens a connection: from a host name to a socket, over TLS for https. It sends no request."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import aiohappyeyeballs
import anyio.to_thread
import httpx

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

# How long an address may stay silent before the next one is tried beside it (RFC 8305, section 5).
_NEXT_ADDRESS_DELAY_S = 0.25


class SSLContextLoader:
    """
    Loads one TLS context, with the certificates that httpx trusts.

    Those are `SSL_CERT_FILE`, `SSL_CERT_DIR` or certifi's.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """Return the context. The first call loads it in a thread, since that takes some 20 ms."""
        async with self._load_lock:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context


async def open_connection(
    host: str,
    port: int,
    ssl_loader: SSLContextLoader | None,
    protocol: Callable[[], asyncio.Protocol],
) -> None:
    """
    Connect a protocol to a host, over TLS if there is an `ssl_loader`.

    Raises:
        OSError: The host has no address, no address answers, or the handshake fails.
        UnicodeError: The host is not a valid name.
    """
    context = await ssl_loader.context() if ssl_loader else None
    sock = await connect_socket(await resolve_host(host, port))
    await asyncio.get_running_loop().create_connection(
        protocol, sock=sock, ssl=context, server_hostname=host if context else None
    )


async def connect_socket(addresses: Sequence[Address]) -> socket.socket:
    """
    Connect to the first address that answers. IPv6 and IPv4 are tried alternately.

    Raises:
        OSError: No address answers.
    """
    return await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_DELAY_S
    )


async def resolve_host(host: str, port: int) -> Sequence[Address]:
    """
    Return all TCP addresses of a host.

    Raises:
        OSError: The host has no address.
        UnicodeError: The host is not a valid name.
    """
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
