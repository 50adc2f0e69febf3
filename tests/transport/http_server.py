"""An HTTP server with a fixed response, for tests of our own connections."""

import asyncio
import socket
import ssl
from contextlib import suppress

import trustme

from modelslab_async import (
    Request,
)

KEY = "canary-key-Zq81"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\na: b\r\n\r\n"
)


class Server:
    """
    Sends the same response to every request, and records the requests of each connection.

    Its end waits until each of its connections was closed by the other side, so a test that ends
    has leaked no socket.
    """

    def __init__(self, answer=OK, *, closes=False, host="127.0.0.1", tls=None):
        self.answer = answer
        self.closes = closes
        self.gate = asyncio.Event()
        self.gate.set()
        self.received = []
        self.writers = []
        self._where = (host, tls)
        self._talks = set()

    async def __aenter__(self):
        host, tls = self._where
        self._server = await asyncio.start_server(self._accept, host, 0, ssl=tls, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"
        return self

    async def __aexit__(self, *_exc):
        self._server.close()
        await asyncio.sleep(0)
        async with asyncio.timeout(300):
            await asyncio.gather(*self._talks)

    async def _accept(self, reader, writer):
        self._talks.add(asyncio.current_task())
        requests = []
        self.received.append(requests)
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self.talk(reader, writer, requests)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def talk(self, reader, writer, requests):
        while True:
            requests.append(await read_request(reader))
            await self.gate.wait()
            writer.write(self.answer)
            await writer.drain()
            if self.closes:
                return


async def read_request(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
    return head, await reader.readexactly(int(lines.get("content-length", "0")))


def request_to(server, path="/x", **more):
    more = {"method": "POST", "headers": (("key", KEY),), "body": b'{"a":1}'} | more
    return Request(url=server.url + path, **more)


def resolve_instantly(monkeypatch, *found):
    """Names resolve at once, so that loop iterations tell how far a call has come."""

    async def getaddrinfo(host, port, **_kind):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", to) for to in found or [(host, port)]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


def trusted_server_context(monkeypatch, tmp_path, *names):
    """Return a TLS context for a server that the environment makes the client trust."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def until(condition):
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.005)
