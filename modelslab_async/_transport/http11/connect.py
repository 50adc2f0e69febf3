"""Dialing: from a host's name to a connected socket, and to trust in it. It sends no request."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from itertools import chain, zip_longest
from typing import Any, TypeAlias

import anyio
import anyio.abc
import anyio.to_thread
import httpx

Address: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]

# How long an address may be silent before the next is tried beside it (RFC 8305, section 5).
_NEXT_ADDRESS_DELAY_S = 0.25


class SSLContextLoader:
    """The certificates to trust, as httpx finds them: `SSL_CERT_FILE`, `SSL_CERT_DIR`, certifi."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._load_lock = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """The one context. Made at its first use, in a thread, because it takes some 20 ms."""
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
    Connect a protocol to a host: with TLS where there is a trust to judge the host by.

    Raises:
        OSError: The host has no address, none of them answers, or the handshake failed.
    """
    context = await ssl_loader.context() if ssl_loader else None
    sock = await connect_socket(await resolve_host(host, port))
    await asyncio.get_running_loop().create_connection(
        protocol, sock=sock, ssl=context, server_hostname=host if context else None
    )


async def connect_socket(addresses: list[Address]) -> socket.socket:
    """
    A socket that is connected to the first of these addresses that answers.

    Raises:
        OSError: None does.
    """
    return await _HappyEyeballs().connect_any(addresses)


async def resolve_host(host: str, port: int) -> list[Address]:
    """All addresses of a host, IPv6 and IPv4 by turns, so that a broken one is no wall."""
    loop = asyncio.get_running_loop()
    results = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[Address]] = {}
    for address in results:
        families.setdefault(address[0], []).append(address)
    interleaved = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in interleaved if address is not None]


class _HappyEyeballs:
    """Connects to one address after the other, each with a head start; the first one wins."""

    def __init__(self) -> None:
        self._winner: socket.socket | None = None
        self._errors: list[OSError] = []

    async def connect_any(self, addresses: list[Address]) -> socket.socket:
        try:
            await self._try_all(addresses)
        except BaseException:
            if self._winner is not None:
                self._winner.close()
            raise
        if self._winner is None:
            raise self._errors[0]
        return self._winner

    async def _try_all(self, addresses: list[Address]) -> None:
        async with anyio.create_task_group() as group:
            for address in addresses:
                failed = anyio.Event()
                group.start_soon(self._try_address, address, failed, group.cancel_scope)
                with anyio.move_on_after(_NEXT_ADDRESS_DELAY_S):
                    await failed.wait()

    async def _try_address(
        self, address: Address, failed: anyio.Event, scope: anyio.CancelScope
    ) -> None:
        family, kind, proto, _, sockaddr = address
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(0)
            await asyncio.get_running_loop().sock_connect(sock, sockaddr)
        except OSError as fault:
            sock.close()
            self._errors.append(fault)
            failed.set()
        except BaseException:
            sock.close()
            raise
        else:
            self._set_winner(sock)
            scope.cancel()

    def _set_winner(self, sock: socket.socket) -> None:
        if self._winner is None:
            self._winner = sock
        else:
            sock.close()
