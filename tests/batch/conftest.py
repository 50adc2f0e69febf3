"""An emulator in this process, and clients that poll it often."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelslab_async import Client, Pace
from modelslab_async._batch import leased_tickets
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async.emulator import Emulator, Jobs


class HeldReplies(httpx.ASGITransport):
    """Passes requests on at once, and their replies when a test releases them."""

    def __init__(self, app: Emulator) -> None:
        super().__init__(app=app)
        self.arrived, self.released = asyncio.Event(), asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.arrived.set()
        await self.released.wait()
        return response


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(jobs=Jobs(duration=(0.0, 0.3), seed=1))


@pytest.fixture
def a_client(emulator: Emulator) -> Callable[..., Client]:
    def make(key: str = "a-key-for-tests", **more: Any) -> Client:
        pace = Pace(floor=0.05, max_failures=1000)
        return Client(key, http=httpx.ASGITransport(app=emulator), pace=pace, **more)

    return make


class HeldRecords:
    """Holds each submit once its record is written, until a test releases it."""

    def __init__(self) -> None:
        self.written, self.released = asyncio.Event(), asyncio.Event()


@pytest.fixture
def held_records(monkeypatch: pytest.MonkeyPatch) -> HeldRecords:
    held, record_own = HeldRecords(), RunOperations.record_own

    async def record_and_hold(*given: Any, **more: Any) -> Any:
        own = await record_own(*given, **more)
        held.written.set()
        await held.released.wait()
        return own

    monkeypatch.setattr(RunOperations, "record_own", record_and_hold)
    return held


@pytest.fixture
def frequent_renewals(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Renew a lease of ten minutes five times a second, and record late results as often.

    A short lease is renewed as often, but a slow machine loses it.
    """
    monkeypatch.setattr(leased_tickets, "_RENEWALS_PER_LEASE", 3000)
