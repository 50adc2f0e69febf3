"""What the tests of faults share: a key that must show nowhere, and a check that nothing leaks."""

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

CANARY = "c4n4ryKEYc4n4ryKEYc4n4ryKEYc4n4r"
OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def canary() -> str:
    """A key of 32 characters."""
    assert 32 == len(CANARY)
    return CANARY


class Leaks:
    """Around a block: it leaves no task, no socket, and the event loop has nothing to say."""

    async def __aenter__(self) -> "Leaks":
        gc.collect()
        self.tasks = asyncio.all_tasks()
        self.files = self._files()
        self.complaints: list[str] = []
        asyncio.get_running_loop().set_exception_handler(self._complain)
        return self

    async def __aexit__(self, kind: object, *_exc: object) -> None:
        if kind is not None:
            return
        gc.collect()
        # The other ends of the connections close a moment later.
        for _ in range(100):
            if asyncio.all_tasks() <= self.tasks and self._files() <= self.files:
                break
            await asyncio.sleep(0.005)
        assert set() == asyncio.all_tasks() - self.tasks
        assert self._files() <= self.files
        assert [] == self.complaints

    @staticmethod
    def _files() -> int:
        return len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


@pytest.fixture
def leaks(caplog: pytest.LogCaptureFixture) -> Iterator[type[Leaks]]:
    """What to put around a block that must leak nothing; the log may hold no error either."""
    yield Leaks
    assert [] == [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
