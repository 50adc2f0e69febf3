"""An emulator whose answers about some tickets are held back. It has no clock."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

from modelslab_async.emulator import Emulator, Jobs


class HeldEmulator:
    """Jobs that are done at once, apart from those whose answer a test holds back."""

    def __init__(self) -> None:
        self.emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0), seed=1))
        self._held_ids = frozenset[str]()
        self._asked = asyncio.Event()
        self._released = asyncio.Event()

    def deliver_webhooks(self) -> AbstractAsyncContextManager[None]:
        return self.emulator.deliver_webhooks()

    def hold(self, *ids: str) -> None:
        """Hold the answers about these ids back until `release`."""
        self._held_ids = frozenset(ids)
        self._asked.clear()
        self._released.clear()

    async def asked(self) -> None:
        """Wait until a poll of such an id has come."""
        await self._asked.wait()

    def release(self) -> None:
        self._released.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def receive_and_hold() -> Any:
            message = await receive()
            body = message.get("body")
            if body and str(json.loads(body).get("request_id")) in self._held_ids:
                self._asked.set()
                await self._released.wait()
            return message

        await self.emulator(scope, receive_and_hold if scope["type"] == "http" else receive, send)
