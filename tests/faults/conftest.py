"""Fixtures for the tests of faults: a key that must not leak, and a check for leaked resources."""

import asyncio
import gc
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

CANARY = "c4n4ryKEYc4n4ryKEYc4n4ryKEYc4n4r"
OPEN_FILES = Path("/proc/self/fd")


# The kinds of transports, in the parameters of tests, that are those of httpx.
HTTPX_KINDS = {"httpx", "transport", "client"}


@pytest.fixture(autouse=True)
def _drop_lost_connections(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Collect the connections that httpcore has lost, so that they fail no later test.

    httpcore loses a connection if its request is cancelled at certain moments, such as while it
    connects. On a busy machine, a deadline may pass just then.
    """
    yield
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("kind") in HTTPX_KINDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def canary() -> str:
    """Return a key of 32 characters."""
    assert 32 == len(CANARY)
    return CANARY


class Leaks:
    """Checks that a block leaves no task, no open file, and no error in the event loop."""

    async def __aenter__(self) -> "Leaks":
        gc.collect()
        self.tasks = asyncio.all_tasks()
        self.files = self._files()
        self.loop_errors: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        return self

    async def __aexit__(self, kind: object, *_exc: object) -> None:
        if kind is not None:
            return
        gc.collect()
        # The server closes its ends of the connections a little later.
        for _ in range(5000):
            if asyncio.all_tasks() <= self.tasks and self._files() <= self.files:
                break
            await asyncio.sleep(0.005)
        assert set() == asyncio.all_tasks() - self.tasks
        assert self._files() <= self.files
        assert [] == self.loop_errors

    @staticmethod
    def _files() -> int:
        return len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.loop_errors.append(f"{context.get('message')}: {context.get('exception')!r}")


@pytest.fixture
def leaks(caplog: pytest.LogCaptureFixture) -> Iterator[type[Leaks]]:
    """Return a context manager for a block that must leak nothing and log no error."""
    yield Leaks
    assert [] == [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
