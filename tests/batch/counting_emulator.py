"""Watched: the emulator of the kill game; it writes down who asked about what, and every file."""

import asyncio
import hashlib
import json
import re
import sqlite3
import zlib
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

from modelslab_async.emulator import Emulator
from modelslab_async.emulator.media.files import make_file

# One file of so many is larger than what a worker without room may write.
_LARGE = 20
_LONG = 200_000
# Seconds between two pieces of a file, so that a kill finds transfers half done.
_BETWEEN = 0.02


class Watched:
    """
    The emulator, with a line for each look, for each file and for each file that was had already.

    Files are made here: some are long, and all come in pieces.
    """

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.journal = folder / "journal"
        self.polls, self.served, self.again = (
            (folder / name).open("a", buffering=1) for name in ("polls", "served", "again")
        )

    def deliver_webhooks(self) -> AbstractAsyncContextManager[None]:
        return self.emulator.deliver_webhooks()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            await self._file(scope, scope["path"], send)
            return
        body = b""

        async def noted() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body"):
                asked = json.loads(body)
                self.polls.write(f"{asked['request_id']} {asked['key']}\n")
            return message

        await self.emulator(scope, noted if scope["type"] == "http" else receive, send)

    async def _file(self, scope: Any, path: str, send: Any) -> None:
        status, content = 200, make_file(path, "png").content
        if zlib.crc32(path.encode()) % _LARGE == 0:
            content += bytes(_LONG)
        self.served.write(f"{path} {hashlib.sha256(content).hexdigest()}\n")
        if self._is_recorded(path):
            self.again.write(f"{path}\n")
        asked = {name.decode(): value.decode() for name, value in scope["headers"]}
        span = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        start = int(span[1]) if span and asked.get("if-range") == '"v1"' else 0
        headers = [(b"etag", b'"v1"'), (b"content-length", b"%d" % (len(content) - start))]
        if 0 < start < len(content):
            status = 206
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            headers.append((b"content-range", told.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        middle = (start + len(content)) // 2
        for piece in (content[start:middle], content[middle:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(_BETWEEN)
        await send({"type": "http.response.body"})

    def _is_recorded(self, path: str) -> bool:
        with closing(sqlite3.connect(self.journal, timeout=60)) as db:
            found = db.execute("SELECT 1 FROM files WHERE url LIKE ?", (f"%{path}",)).fetchone()
        return found is not None
