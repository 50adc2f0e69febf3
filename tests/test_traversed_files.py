"""A reader who follows one call meets a bounded number of files."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import modelslab_async
from modelslab_async import Batch, Client
from modelslab_async.emulator import Emulator, Jobs, run_server

PACKAGE = Path(modelslab_async.__file__).parent
MOST_FILES_OF_WAIT = 25
MOST_FILES_OF_BATCH = 36
# Long enough for polls of a running job.
JOBS = Jobs(duration=(0.5, 0.5))


@contextmanager
def traversed_files() -> Iterator[set[str]]:
    """Collect the files of the client whose functions are called in the block."""
    files: set[str] = set()

    def on_call(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and frame.f_code.co_name != "<module>" and PACKAGE in path.parents:
            name = path.relative_to(PACKAGE).as_posix()
            if not name.startswith("emulator/"):
                files.add(name)

    # The garbage collector may end generators that other tests have left.
    gc.collect()
    gc.disable()
    sys.setprofile(on_call)
    try:
        yield files
    finally:
        sys.setprofile(None)
        gc.enable()


async def test_wait_traverses_few_files():
    """`wait` on a client that has polled before, over the default transport."""
    emulator = Emulator(jobs=JOBS)
    first, second = emulator.add_jobs(2, ["images"])
    async with run_server(emulator) as url, Client("a-key", base_url=url) as client:
        await client.wait(first)
        await asyncio.sleep(0)
        with traversed_files() as files:
            await client.wait(second)
    assert MOST_FILES_OF_WAIT >= len(files), sorted(files)


async def test_batch_traverses_few_files(tmp_path):
    """`Batch.add` and `run` on such a client. What the journal's thread runs does not count."""
    emulator = Emulator(jobs=JOBS)
    first, *tickets = emulator.add_jobs(4, ["images"])
    async with (
        run_server(emulator) as url,
        Client("a-key", base_url=url) as client,
        Batch.open(tmp_path / "a.journal", client=client) as batch,
    ):
        await client.wait(first)
        await asyncio.sleep(0)
        with traversed_files() as files:
            await batch.add(tickets)
            outcomes = [outcome async for outcome in batch.run()]
    assert 3 == len(outcomes)
    assert MOST_FILES_OF_BATCH >= len(files), sorted(files)
