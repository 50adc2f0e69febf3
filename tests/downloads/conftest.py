"""A file server that misbehaves as each test wants, and downloads that may connect to it."""

import asyncio
import hashlib
import re
from contextlib import suppress

import pytest

from modelslab_async import Downloads, Success, Ticket
from modelslab_async.emulator.media.files import make_file

PNG = make_file("a picture", "png").content
TICKET = Ticket("images", 1)
PAGE = b"<!DOCTYPE html><html><body>Just a moment...</body></html>"


def picture(size):
    """A picture of this size in bytes, without repetitions."""
    noise = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(size // 32 + 1))
    return (PNG[:8] + noise)[:size]


def success(*output, mirrors=(), ticket=TICKET):
    return Success(ticket=ticket, output=output, proxy_links=tuple(mirrors))


class ReceivedRequest:
    """A request that the server received."""

    def __init__(self, head):
        first, *lines = head.split("\r\n")
        self.path = first.split(" ")[1]
        self.headers = dict(line.lower().split(": ", 1) for line in lines if line)
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        self.start = int(span[1]) if span else None


class Server:
    """
    Serves one file at every path, after the queued `answers`.

    An answer is a tuple of status, headers and body, or a function that writes to the socket.
    """

    def __init__(self, content=PNG, *, etag='"v1"', ranges=True):
        self.content = content
        self.etag = etag
        self.ranges = ranges
        self.answers = []
        self.at_path = {}
        self.requests = []
        self.concurrency = self.max_concurrency = 0
        self.accepted = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.connections = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_exc):
        self._server.close()
        for connection in self.connections:
            connection.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def link(self, path="0.png"):
        return f"{self.url}/{path}"

    async def _accept(self, reader, writer):
        self.accepted += 1
        connection = asyncio.current_task()
        self.connections.add(connection)
        connection.add_done_callback(self.connections.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    self.requests.append(request := ReceivedRequest(head))
                    self.concurrency += 1
                    self.max_concurrency = max(self.concurrency, self.max_concurrency)
                    try:
                        await self.gate.wait()
                        await self._answer(request, writer)
                    finally:
                        self.concurrency -= 1
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _answer(self, request, writer):
        folder = request.path.split("/")[1]
        answer = self.answers.pop(0) if self.answers else self.at_path.get(folder)
        if callable(answer):
            await answer(request, writer)
            return
        if answer is not None:
            status, headers, body = answer
            await self.send(writer, status, headers, body)
            return
        await self.send(writer, *self.correct(request))

    def correct(self, request):
        """The status, headers and body that a correct server sends."""
        headers = {"etag": self.etag} if self.etag else {}
        current = request.headers.get("if-range", self.etag) == self.etag
        if request.start is None or not self.ranges or not current:
            return 200, headers, self.content
        if request.start >= len(self.content):
            return 416, headers | {"content-range": f"bytes */{len(self.content)}"}, b""
        last = len(self.content) - 1
        headers |= {"content-range": f"bytes {request.start}-{last}/{len(self.content)}"}
        return 206, headers, self.content[request.start :]

    async def send(self, writer, status, headers, body, *, cut=None):
        lines = {"content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body[:cut])
        await writer.drain()
        if cut is not None:
            writer.close()

    def cut(self, after):
        """A correct answer that is cut after some bytes of the body."""

        async def answer(request, writer):
            await self.send(writer, *self.correct(request), cut=after)

        return answer

    def stalled(self, after):
        """A correct answer that stalls after some bytes of the body."""

        async def answer(request, writer):
            status, headers, body = self.correct(request)
            headers = {"content-length": str(len(body)), **headers}
            await self.send(writer, status, headers, body[:after])
            await asyncio.Event().wait()

        return answer


class FakeClient:
    """A client whose polls return these replies."""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.polls = 0

    async def fetch(self, _ticket, /):
        self.polls += 1
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture(autouse=True)
def _short_retry_delays(monkeypatch):
    """Retries wait a moment instead of half a second and more."""
    monkeypatch.setattr("modelslab_async._downloads.link_retries._RETRY_DELAYS_S", (0.02,))


@pytest.fixture
async def server():
    async with Server() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def make_downloads(folder):
    """Makes downloads that may connect to the loopback server."""

    def make(client=None, **more):
        return Downloads(
            client, **{"to": folder, "allow_private": True, "link_timeout": 30, **more}
        )

    return make


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
