"""
Fetches tables of tickets on a Dask cluster, and writes the outcomes as Parquet files.

The tickets are divided into shards. Dask chooses a worker for each shard, and starts the shard
again if that worker dies. Neither an API key nor a ticket is sent through Dask: each worker reads
the key from its environment, and the tickets from files.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Final, TypeVar

try:
    import distributed
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'modelslab_async.dask needs distributed: pip install "modelslab-async[dask]", or '
        "pip install distributed pyarrow if you run from a clone",
        name=missing.name,
    ) from missing

from ._models.argument_checks import MAX_INT32, check_count, check_type
from ._shards.cluster_fetch import ClusterFetch, ClusterLost
from ._shards.fetch_report import FetchReport, ShardFailure, ShardsFailed
from ._shards.input_files import locate
from ._shards.poll_limits import PollLimits
from ._shards.split_file import input_spec

__all__ = ["FetchReport", "ShardFailure", "ShardsFailed", "fetch"]

T = TypeVar("T")

# Each shard at work costs a task of asyncio, whether or not the cluster has a thread for it.
_MAX_CONCURRENCY: Final = 100_000


async def fetch(
    dask_client: distributed.Client,
    source: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str],
    shard: int = 5000,
    rate: float | None = None,
    account: str | os.PathLike[str] | None = None,
    queue: int | None = 5,
    concurrency: int | None = None,
    timeout: float | None = None,
    family: str | None = None,
    column: str | None = None,
) -> FetchReport:
    """
    Wait for all tickets in one or more tables, and write the outcomes to a folder.

    The tickets are divided into shards. The outcomes of a shard become one Parquet file, called a
    part. A part appears only when it is complete. After a failure, call `fetch` again: it polls
    only tickets that are unresolved or whose part is missing.

    Args:
        dask_client: A Dask client, synchronous or asynchronous. Its workers need the API key in
            their environment and access to the files.
        source: The path of a table in any format that `batch run` reads, or a glob pattern for
            several.
        to: The folder of the parts. It is created if it does not exist.
        shard: The number of tickets in a part. Give the same number in all calls for one folder.
        rate: The maximum number of polls a second, of all workers together.
        account: The shared account of the workers: its SQLite file, or its PostgreSQL address.
        queue: The maximum number of queued generations of the shared account. All its clients must
            give the same number.
        concurrency: The maximum number of shards at once; None for the cluster's number of threads.
        timeout: The maximum number of seconds to wait for each ticket.
        family: The family of bare ids, such as `13443927`; None to take it from the tables.
        column: The name of the column with the tickets or ids, or its number, counted from 1.

    Raises:
        ShardsFailed: Some shards could not be finished. All other shards were finished.
        ValueError: An argument is invalid, there is no such file, or a worker has no API key.
        ModelsLabError: The server refuses the API key, or the shared account cannot be used.
        ConnectionError: The connection to the Dask scheduler was lost.
    """
    check_type("dask_client", dask_client, distributed.Client, "a client of dask.distributed")
    check_count("shard", shard, unit="tickets", most=MAX_INT32)
    check_count("concurrency", concurrency, unit="shards", most=_MAX_CONCURRENCY, optional=True)
    limits = PollLimits.of(rate=rate, account=account, queue=queue, timeout=timeout)
    queued = ClusterFetch(locate("to", to), shard, input_spec(family, column), limits)
    fetching = queued.run(_DaskCluster(dask_client), locate("source", source), concurrency)
    return await _run_in_loop_of(dask_client, fetching)


async def _run_in_loop_of(dask_client: distributed.Client, work: Coroutine[Any, Any, T]) -> T:
    if dask_client.asynchronous:
        return await work
    # A synchronous Dask client has an event loop of its own, in another thread.
    loop: Any = dask_client.loop
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop.asyncio_loop))


class _DaskCluster:
    """Implements `Cluster` with a Dask client, in the event loop of that client."""

    def __init__(self, dask_client: distributed.Client) -> None:
        self._dask_client = dask_client

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run a function on a worker, and return its result."""
        try:
            future = self._dask_client.submit(function, *arguments, pure=False)
            result: T = await future
        except Exception as error:
            if isinstance(error, CancelledError) or self._dask_client.status != "running":
                raise ClusterLost(f"Dask has given up the work: {error}") from error
            raise
        return result

    async def check(self) -> None:
        """Check that each worker can import this package."""
        # A worker that cannot import the classes of a task's arguments dies. Without this check,
        # one worker after another would die of the same task, and no error would be raised.
        await self._dask_client.run(exec, f"import {__name__}")

    async def capacity(self) -> int:
        """Return the number of threads of all workers."""
        dask_client: Any = self._dask_client
        return sum((await dask_client.nthreads()).values())
