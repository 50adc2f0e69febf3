"""Resolves host names and opens connections, over TLS for https. It sends no request."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import aiohappyeyeballs
import anyio.to_thread
import httpx

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

# The delay after which the next address is tried too, while the attempt on the previous address
# goes on (RFC 8305, section 5).
_NEXT_ADDRESS_DELAY_S = 0.25


class SSLContextLoader:
    """
    Loads a TLS context that trusts the same certificates as httpx.

    httpx takes the certificates from `SSL_CERT_FILE`, from `SSL_CERT_DIR` or from certifi.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """Return the context. Loading takes some 20 ms, so the first call does it in a thread."""
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
    Connect a new protocol to a host, over TLS if `ssl_loader` is not None.

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
    Connect to the first address that answers. Try IPv6 and IPv4 addresses alternately.

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
