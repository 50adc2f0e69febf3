"""
Lets a cluster split files into shards, poll the shards' tickets, and write the outcomes.

The module limits how many shards are polled at once, and works with any kind of cluster.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from .._account.shared_limits import OtherLimits
from .._models.errors import ModelsLabError
from .._tables.ticket_columns import InputSpec
from .._transport.credentials import MissingApiKey
from .fetch_report import FetchReport, ShardFailure, ShardsFailed
from .input_files import InputFile, find_inputs
from .poll_limits import PollLimits, UnusableSettings
from .shard_run import finish_shard
from .split_file import Shard, split_file

T = TypeVar("T")


class ClusterLost(ConnectionError):
    """The cluster cannot be reached, or has cancelled the work."""


# After one of these errors, no more shards are started, because each would end with the same error.
# Any other error belongs to one file or one shard.
_STOPS_ALL: Final[tuple[type[Exception], ...]] = (
    *(ModelsLabError, MissingApiKey, UnusableSettings, OtherLimits),
    *(ImportError, ClusterLost),
)


class Cluster(Protocol):
    """Runs functions in other processes."""

    async def call(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """
        Run a function in another process, and return its result.

        Raises:
            ClusterLost: The work was cancelled, or the cluster cannot be reached.
            Exception: The error that the function raised, or the error that ended its process.
        """
        ...

    async def check(self) -> None:
        """
        Check that all current processes of the cluster can import what the functions need.

        Raises:
            ImportError: A process lacks a package.
        """
        ...

    async def capacity(self) -> int:
        """Return how many functions can run at once."""
        ...


class ClusterFetch:
    """
    Lets a cluster split files of tickets into shards, and poll the tickets of each shard.

    Shards in the queue are polled before another file is split, so that few shards are on disk at a
    time.

    Args:
        folder: The folder of the output files, one for each shard.
        size: The number of tickets in a shard. The last shard of a file may have fewer.
        spec: Which column of the files holds tickets or ids, and which family the ids belong to.
        limits: The limits for all shards together.
    """

    def __init__(self, folder: str, size: int, spec: InputSpec, limits: PollLimits) -> None:
        self._folder = folder
        self._size = size
        self._spec = spec
        self._limits = limits
        self._queue: asyncio.LifoQueue[InputFile | Shard] = asyncio.LifoQueue()
        self._report = FetchReport()
        self._failures = list[ShardFailure]()
        self._stopped_by: Exception | None = None

    async def run(self, cluster: Cluster, pattern: str, concurrency: int | None) -> FetchReport:
        """
        Poll all tickets in the files that match `pattern`, and write their outcomes.

        See `modelslab_async.dask.fetch`.

        Args:
            cluster: Runs functions on its workers.
            pattern: The path of a file, or a pattern with wildcards for several files.
            concurrency: The maximum number of files and shards to work on at once; None for the
                cluster's capacity.
        """
        await cluster.check()
        inputs = await cluster.call(find_inputs, pattern, self._folder, self._size)
        workers = concurrency or max(1, await cluster.capacity())
        self._limits = self._limits.share(workers)
        for file in reversed(inputs):
            self._queue.put_nowait(file)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(cluster)) for _ in range(workers)]
            await self._queue.join()
            for task in tasks:
                task.cancel()
        if self._stopped_by is not None:
            raise self._stop_error(self._stopped_by)
        if self._failures:
            raise self._failed()
        return self._report

    async def _work(self, cluster: Cluster) -> None:
        while True:
            item = await self._queue.get()
            try:
                if self._stopped_by is None:
                    await self._do(cluster, item)
            except _STOPS_ALL as error:
                self._stopped_by = self._stopped_by or error
            except Exception as error:  # noqa: BLE001 -- The other shards go on.
                self._add_failure(item, error)
            finally:
                self._queue.task_done()

    async def _do(self, cluster: Cluster, item: InputFile | Shard) -> None:
        match item:
            case InputFile():
                split = await cluster.call(split_file, item, self._folder, self._size, self._spec)
                self._report = self._report.plus_split(split)
                for shard in reversed(split.shards):
                    self._queue.put_nowait(shard)
            case Shard():
                counts = await cluster.call(finish_shard, item, self._limits)
                self._report = self._report.plus_part(counts)

    def _add_failure(self, item: InputFile | Shard, error: Exception) -> None:
        path = item.path if isinstance(item, InputFile) else item.part
        self._failures.append(ShardFailure(path=path, error=error))

    def _stop_error(self, error: Exception) -> Exception:
        if isinstance(error, MissingApiKey):
            error = ValueError(f"{error.need}; set {error.variable} for the workers of the cluster")
        error.add_note(
            f"fetch stopped after {self._report.written} parts, which are kept in {self._folder}; "
            "call it again to go on"
        )
        return error

    def _failed(self) -> ShardsFailed:
        first = self._failures[0]
        failed = ShardsFailed(
            f"{len(self._failures)} parts or files could not be finished, such as {first.path} "
            f"({type(first.error).__name__}: {first.error!s:.500}); `failures` has all of them, "
            "and another call tries them again",
            failures=tuple(self._failures),
            report=self._report,
        )
        failed.__cause__ = first.error
        return failed
