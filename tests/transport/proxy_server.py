"""An HTTP proxy that opens tunnels and forwards requests, or fails as a test wants."""

import asyncio
import ssl
from contextlib import suppress

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Proxy:
    """
    Sends everything to one server, whatever the request names, and records the heads it got.

    Its end waits until each of its connections was closed by the client.
    """

    def __init__(self, server=None, *, answer=ESTABLISHED, opens=True, tls=None):
        self.heads = []
        self.answer = answer
        self._server_port = server and server.port
        self._opens = opens
        self._tls = tls
        self._talks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.scheme = "https" if self._tls else "http"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_exc):
        self._server.close()
        await asyncio.sleep(0)
        async with asyncio.timeout(300):
            await asyncio.gather(*self._talks)

    def url_for(self, user):
        return f"{self.scheme}://{user}@127.0.0.1:{self.port}"

    async def _accept(self, reader, writer):
        self._talks.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._talk(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def _talk(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        if self.answer is None:
            await reader.read()
            return
        if head.startswith(b"CONNECT"):
            writer.write(self.answer)
            if not self.answer.startswith(b"HTTP/1.1 200"):
                return
            head = b""
        if not self._opens:
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        server_writer.write(head)
        await asyncio.gather(_pump(reader, server_writer), self.pump_back(server_reader, writer))

    async def pump_back(self, reader, writer):
        await _pump(reader, writer)


async def _pump(reader, writer):
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
