"""The emulator of `kill.py`. It lists each poll with its worker, and each file that it serves."""

import asyncio
import hashlib
import json
import re
import zlib
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from kill_journal import JournalReader, Location

from modelslab_async.emulator import Emulator
from modelslab_async.emulator.media.files import make_file

# One file of so many is larger than a limited worker may write.
_FILES_PER_LARGE_FILE = 20
_LARGE_FILE_BYTES = 200_000
# A pause between two pieces of a file, so that a kill can interrupt a transfer.
_PAUSE_S = 0.02


class CountingEmulator:
    """
    The emulator, with lists of polls, of files and of files that were recorded already.

    It makes the files itself: some are large, and all are sent in pieces.
    """

    def __init__(self, emulator: Emulator, folder: Path, journal: Location) -> None:
        self.emulator = emulator
        self.journal = JournalReader(journal)
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

        async def receive_and_note() -> Any:
            nonlocal body
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.request" and not message.get("more_body"):
                asked = json.loads(body)
                self.polls.write(f"{asked['request_id']} {asked['key']}\n")
            return message

        await self.emulator(scope, receive_and_note if scope["type"] == "http" else receive, send)

    async def _file(self, scope: Any, path: str, send: Any) -> None:
        status, content = 200, make_file(path, "png").content
        if zlib.crc32(path.encode()) % _FILES_PER_LARGE_FILE == 0:
            content += bytes(_LARGE_FILE_BYTES)
        self.served.write(f"{path} {hashlib.sha256(content).hexdigest()}\n")
        if await self._is_recorded(path):
            self.again.write(f"{path}\n")
        asked = {name.decode(): value.decode() for name, value in scope["headers"]}
        span = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        start = int(span[1]) if span and asked.get("if-range") == '"v1"' else 0
        headers = [(b"etag", b'"v1"'), (b"content-length", b"%d" % (len(content) - start))]
        if 0 < start < len(content):
            status = 206
            content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
            headers.append((b"content-range", content_range.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        middle = (start + len(content)) // 2
        for piece in (content[start:middle], content[middle:]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(_PAUSE_S)
        await send({"type": "http.response.body"})

    async def _is_recorded(self, path: str) -> bool:
        id_, output_index = path.rpartition("/")[2].removesuffix(".png").split("-")
        async with self.journal.opened() as journal:
            files = await journal.files(("images", id_))
        return any(file.output_index == int(output_index) for file in files)
