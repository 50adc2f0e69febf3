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
_HEAD_START = 0.25


class Trust:
    """The certificates to trust, as httpx finds them: `SSL_CERT_FILE`, `SSL_CERT_DIR`, certifi."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """The one context. Made at its first use, in a thread, because it takes some 20 ms."""
        async with self._loading:
            if self._context is None:
                self._context = await anyio.to_thread.run_sync(httpx.create_ssl_context)
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context


async def dial(
    host: str, port: int, trust: Trust | None, protocol: Callable[[], asyncio.Protocol]
) -> None:
    """
    Connect a protocol to a host: with TLS where there is a trust to judge the host by.

    Raises:
        OSError: The host has no address, none of them answers, or the handshake failed.
    """
    context = await trust.context() if trust else None
    sock = await connected(await addresses_of(host, port))
    await asyncio.get_running_loop().create_connection(
        protocol, sock=sock, ssl=context, server_hostname=host if context else None
    )


async def connected(addresses: list[Address]) -> socket.socket:
    """
    A socket that is connected to the first of these addresses that answers.

    Raises:
        OSError: None does.
    """
    return await _Race().first(addresses)


async def addresses_of(host: str, port: int) -> list[Address]:
    """All addresses of a host, IPv6 and IPv4 by turns, so that a broken one is no wall."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    families: dict[int, list[Address]] = {}
    for address in found:
        families.setdefault(address[0], []).append(address)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]


class _Race:
    """Connects to one address after the other, each with a head start; the first one wins."""

    def __init__(self) -> None:
        self._winner: socket.socket | None = None
        self._faults: list[OSError] = []

    async def first(self, addresses: list[Address]) -> socket.socket:
        try:
            await self._start(addresses)
        except BaseException:
            if self._winner is not None:
                self._winner.close()
            raise
        if self._winner is None:
            raise self._faults[0]
        return self._winner

    async def _start(self, addresses: list[Address]) -> None:
        async with anyio.create_task_group() as group:
            for address in addresses:
                lost = anyio.Event()
                group.start_soon(self._run, address, lost, group.cancel_scope)
                with anyio.move_on_after(_HEAD_START):
                    await lost.wait()

    async def _run(self, address: Address, lost: anyio.Event, race: anyio.CancelScope) -> None:
        family, kind, proto, _, place = address
        sock = socket.socket(family, kind, proto)
        try:
            sock.settimeout(0)
            await asyncio.get_running_loop().sock_connect(sock, place)
        except OSError as fault:
            sock.close()
            self._faults.append(fault)
            lost.set()
        except BaseException:
            sock.close()
            raise
        else:
            self._win(sock)
            race.cancel()

    def _win(self, sock: socket.socket) -> None:
        if self._winner is None:
            self._winner = sock
        else:
            sock.close()
