"""A process of a Dask cluster, or a program that fetches, for tests that kill them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from distributed import Client, Scheduler, Worker

from modelslab_async.dask import fetch


async def scheduler() -> None:
    async with Scheduler(host="127.0.0.1", dashboard_address="127.0.0.1:0") as running:
        sys.stdout.write(f"{running.address}\n")
        sys.stdout.flush()
        await running.finished()


async def worker(address: str) -> None:
    async with Worker(address, nthreads=1, host="127.0.0.1") as running:
        sys.stdout.write(f"{running.address}\n")
        sys.stdout.flush()
        await running.finished()


async def driver(address: str, source: str, to: str) -> None:
    async with Client(address, asynchronous=True) as dask_client:
        await fetch(dask_client, source, to=to, shard=5)


ROLES: dict[str, Callable[..., Awaitable[None]]] = {
    "scheduler": scheduler,
    "worker": worker,
    "driver": driver,
}

if __name__ == "__main__":
    asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))  # type: ignore[arg-type]
