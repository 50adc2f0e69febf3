"""A journal in a file or in a database, and a clock that a test sets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelslab_async.journal import Journal


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def journal(path: Path | str, clock: Clock) -> AsyncIterator[Journal]:
    async with Journal.open(path, clock=clock) as journal:
        yield journal


@pytest.fixture
async def other(path: Path | str, clock: Clock) -> AsyncIterator[Journal]:
    """The same journal, as another process opens it."""
    async with Journal.open(path, clock=clock) as journal:
        yield journal


@pytest.fixture
async def file_journal(file_path: Path, clock: Clock) -> AsyncIterator[Journal]:
    async with Journal.open(file_path, clock=clock) as journal:
        yield journal
