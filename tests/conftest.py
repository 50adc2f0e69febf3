"""Fixtures of the whole suite: a run on virtual time, and the emulator in process."""

import asyncio
import gc
import itertools
import os
import random
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from postgres_server import PostgresServer
from virtual_time import JumpingLoop

from modelslab_async import Client
from modelslab_async.emulator import Emulator

_batch_numbers = itertools.count(1)

settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure(config: pytest.Config) -> None:
    """
    With an old anyio, ignore sockets that nothing has closed.

    Before version 4.16, anyio leaves the socket open if it is cancelled just as a connection opens.
    httpx clients connect by anyio, and the client cancels their calls.
    """
    if tuple(map(int, version("anyio").split(".")[:2])) < (4, 16):
        for leaked in ("<socket", "<function _SelectorTransport.__del__"):
            config.addinivalue_line(
                "filterwarnings",
                f"ignore:Exception ignored in. {leaked}:pytest.PytestUnraisableExceptionWarning",
            )


def pytest_collection() -> None:
    """Collect no garbage while the tests are collected: that would take a third of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """
    Spare later garbage collections what the imports and the collection of the tests have made.

    A collection then takes a millisecond, and not 0.3 s. Tests for leaks run hundreds of them.
    """
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed the random numbers by the test, so that a failure repeats."""
    random.seed(item.nodeid)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the tests of one session, started by the first that needs it."""
    with PostgresServer.running() as server:
        yield server


@pytest.fixture
def file_path(tmp_path: Path) -> Path:
    """A path for a journal in a file."""
    return tmp_path / "batch.journal"


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """The address of a new journal in a database."""
    server: PostgresServer = request.getfixturevalue("postgres")
    return f"{server.address}&batch=batch%20{next(_batch_numbers)}"


@pytest.fixture(params=["sqlite", "postgres"])
def path(request: pytest.FixtureRequest) -> Path | str:
    """Where a new journal is kept: a file, or a database."""
    is_file = request.param == "sqlite"
    found: Path | str = request.getfixturevalue("file_path" if is_file else "address")
    return found


Virtually = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def virtually() -> Virtually:
    """Run an async function on virtual time. A task that it leaves behind fails the test."""

    def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def checked() -> Any:
            result = await main()
            await asyncio.sleep(0)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert set() == left
            return result

        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(checked())

    return run


@pytest.fixture
def leap() -> Callable[[float], None]:
    """
    Move the clock of the running event loop forward, so that its timers are due.

    A test with real sockets or files takes a deadline that no slow machine reaches by itself, and
    leaps to it once the event has happened that the deadline is to end.

    The first leap replaces the clock of the loop. Code that keeps the clock sees all leaps if a
    leap of 0 s came before.
    """
    ahead_s = 0.0

    def move(seconds: float) -> None:
        nonlocal ahead_s
        loop = asyncio.get_running_loop()
        real_time, is_first = loop.time, "time" not in vars(loop)
        ahead_s = seconds if is_first else ahead_s + seconds
        if is_first:
            loop.time = lambda: real_time() + ahead_s  # type: ignore[method-assign]

    return move


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the keys, hosts and proxies of this machine from the tests."""
    for name in list(os.environ):
        if name.startswith("MODELSLAB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


class Wire(httpx.AsyncBaseTransport):
    """The emulator in process, behind a network with a latency. It records the requests."""

    def __init__(self, emulator: Emulator, latency: float = 0.0) -> None:
        self.inner = httpx.ASGITransport(app=emulator)
        self.latency = latency
        self.requests: list[httpx.Request] = []
        self.moments: list[float] = []
        self.flying = 0
        self.most_flying = 0
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.moments.append(asyncio.get_running_loop().time())
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            await asyncio.sleep(self.latency / 2)
            if self.down:
                raise httpx.ConnectError("All connection attempts failed")
            response = await self.inner.handle_async_request(request)
            await asyncio.sleep(self.latency / 2)
            return response
        finally:
            self.flying -= 1


class World:
    """An emulator and a client on the clock of the running event loop."""

    def __init__(self, *, latency: float = 0.0, emulated: Any = None, **client: Any) -> None:
        clock = asyncio.get_running_loop().time
        self.emulator = Emulator(clock=clock, **(emulated or {}))
        self.wire = Wire(self.emulator, latency)
        key = client.pop("api_key", "a-test-key-1234")
        self.client = Client(key, http=self.wire, **client)

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.client.aclose()


@pytest.fixture
def world() -> type[World]:
    return World
