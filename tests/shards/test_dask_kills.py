"""SIGKILL for each kind of process of a Dask cluster: no ticket is lost, and no row is twice."""

import asyncio
import importlib
import os
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from pyarrow import parquet

from modelslab_async.emulator import run_server

from .held_emulator import HeldEmulator

distributed = pytest.importorskip("distributed", reason="pip install distributed")
dask = importlib.import_module("modelslab_async.dask")
pytestmark = pytest.mark.thorough
PROGRAM = Path(__file__).with_name("dask_process.py")
SHARD = 5


class Service:
    """The emulator, a table of its jobs, and the processes of a cluster."""

    def __init__(self, url, held, folder, stack):
        self.held = held
        self.source, self.out = folder / "ids.csv", folder / "out"
        self._environment = os.environ | {
            "MODELSLAB_API_KEY": "a-key-of-the-workers",
            "MODELSLAB_BASE_URL": url,
        }
        self._stack = stack

    def write(self, count):
        tickets = self.held.emulator.add_jobs(count, ["images"])
        rows = [f"{ticket.id},images\n" for ticket in tickets]
        self.source.write_text("id,family\n" + "".join(rows))
        return [str(ticket) for ticket in tickets]

    async def start(self, *arguments):
        """Start a process. It is killed when the test has ended."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, PROGRAM, *arguments),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self._stack.push_async_callback(kill, process)
        return process

    async def start_cluster(self, workers):
        """Start a scheduler and workers, and return it, its address and them."""
        scheduler = await self.start("scheduler")
        address = (await scheduler.stdout.readline()).decode().strip()
        started = [await self.start("worker", address) for _ in range(workers)]
        for each in started:
            assert await each.stdout.readline()
        return scheduler, address, started

    def check(self, tickets):
        """Each ticket has one row, and each shard one part."""
        rows = parquet.read_table(self.out, columns=["ticket"])["ticket"].to_pylist()
        assert Counter(tickets) == Counter(rows)
        assert -(-len(tickets) // SHARD) == len(list(self.out.glob("part-*")))


async def kill(process):
    if process.returncode is None:
        process.kill()
    await process.wait()


@asynccontextmanager
async def dask_client_of(address):
    client = await distributed.Client(address, asynchronous=True, set_as_default=False)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def service(tmp_path):
    held = HeldEmulator()
    async with run_server(held) as url, AsyncExitStack() as stack:
        yield Service(url, held, tmp_path, stack)


async def fetch(service, address):
    async with dask_client_of(address) as client:
        return await dask.fetch(client, service.source, to=service.out, shard=SHARD)


async def test_killed_workers(service):
    """Ten workers are killed one after another, each while shards are being polled."""
    tickets = service.write(200)
    _, address, workers = await service.start_cluster(3)
    fetching = asyncio.create_task(fetch(service, address))
    for _ in range(10):
        # What is asked now is answered after the kill, so no more than three shards end in between.
        service.held.hold(*(ticket.partition(":")[2] for ticket in tickets))
        await service.held.asked()
        await kill(workers.pop(random.randrange(3)))
        workers.append(await service.start("worker", address))
        service.held.release()
    assert not fetching.done()
    service.held.hold()
    service.held.release()
    # A shard fails if four workers died with it.
    if isinstance((await asyncio.gather(fetching, return_exceptions=True))[0], dask.ShardsFailed):
        await fetch(service, address)
    service.check(tickets)


async def test_killed_scheduler(service):
    """The call ends with an error. On another cluster, it goes on where it was."""
    tickets = service.write(40)
    scheduler, address, _ = await service.start_cluster(2)
    service.held.hold(tickets[-1].partition(":")[2])
    fetching = asyncio.create_task(fetch(service, address))
    await service.held.asked()
    await kill(scheduler)
    with pytest.raises(ConnectionError, match="Dask has given up"):
        await fetching
    service.held.release()
    _, address, _ = await service.start_cluster(2)
    report = await fetch(service, address)
    assert 8 == report.kept + report.written
    service.check(tickets)


async def test_killed_program(service):
    """Its shards may still be polled while another program fetches the same."""
    tickets = service.write(40)
    _, address, _ = await service.start_cluster(2)
    service.held.hold(tickets[0].partition(":")[2])
    program = await service.start("driver", address, str(service.source), str(service.out))
    await service.held.asked()
    await kill(program)
    service.held.release()
    program = await service.start("driver", address, str(service.source), str(service.out))
    assert 0 == await program.wait()
    service.check(tickets)
