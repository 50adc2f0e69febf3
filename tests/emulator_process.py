"""An emulator in a process of its own, which counts what it was asked, and a handle for it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, frozen
from counting_service import CountingService

from modelslab_async.emulator import Jobs, run_server


@frozen
class Figures:
    """
    What the service saw.

    Attributes:
        prompts: The prompts of all submits, in order.
        refused: The number of submits that drew a 429.
        most_queued: The most generations that were queued at once.
        polls: The number of polls.
    """

    prompts: list[str]
    refused: int
    most_queued: int
    polls: int


@define
class EmulatorProcess:
    """A handle of the process."""

    url: str
    _process: asyncio.subprocess.Process

    @classmethod
    @asynccontextmanager
    async def running(cls, **settings: Any) -> AsyncGenerator["EmulatorProcess", None]:
        """Let it run while the block runs. The settings are `queue` and `durations`."""
        # Under `PYTHONSAFEPATH` a program does not find its neighbours by itself.
        folders = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, json.dumps(settings)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            yield cls((await process.stdout.readline()).decode().strip(), process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def end(self) -> Figures:
        """End the process, and return what it counted."""
        output, _ = await self._process.communicate(b"")
        return Figures(**json.loads(output))


async def _main(settings: dict[str, Any]) -> None:
    jobs = Jobs(duration=settings["durations"])
    service = CountingService(queue_limit=settings["queue"], jobs=jobs)
    is_over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), is_over.set)
    async with run_server(service) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await is_over.wait()
    figures = {
        "prompts": [submit.fields["prompt"] for submit in service.submits],
        "refused": sum(submit.ticket is None for submit in service.submits),
        "most_queued": service.most_queued,
        "polls": service.polls.total(),
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
