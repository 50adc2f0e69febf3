"""An emulator in this process, and clients that poll it often."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelslab_async import Client, Pace
from modelslab_async.emulator import Emulator, Jobs


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(jobs=Jobs(duration=(0.0, 0.3), seed=1))


@pytest.fixture
def a_client(emulator: Emulator) -> Callable[..., Client]:
    def make(key: str = "a-key-for-tests", **more: Any) -> Client:
        pace = Pace(floor=0.05, max_failures=1000)
        return Client(key, http=httpx.ASGITransport(app=emulator), pace=pace, **more)

    return make
