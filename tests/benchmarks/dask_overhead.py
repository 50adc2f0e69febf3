"""
Measure what Dask costs for a shard, besides the polls.

    python tests/benchmarks/dask_overhead.py --shards 2000 --rounds 5

A cluster with one worker finishes shards whose part is written already, one after another, as a
thread of `modelslab_async.dask.fetch` does. The time in which this process does the same without
Dask is taken off.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import distributed

from modelslab_async._shards.poll_limits import PollLimits
from modelslab_async._shards.shard_output import write_part
from modelslab_async._shards.shard_run import finish_shard
from modelslab_async._shards.split_file import Shard
from modelslab_async.dask import _DaskCluster

MS_PER_S = 1000


class Overhead(NamedTuple):
    """Milliseconds for one shard: of CPU in two processes, and from its start to its end."""

    program_ms: float
    worker_ms: float
    whole_ms: float


async def finish_all(cluster: Any, shard: Shard, limits: PollLimits, shards: int) -> None:
    """Finish the same shard again and again."""
    for _ in range(shards):
        await cluster.call(finish_shard, shard, limits)


async def measure(dask_client: Any, shard: Shard, limits: PollLimits, shards: int) -> Overhead:
    """Finish shards in the worker, and then in this process."""

    async def worker_cpu_s() -> float:
        return float(sum((await dask_client.run(time.process_time)).values()))

    started, cpu_s, worker_s = time.perf_counter(), time.process_time(), await worker_cpu_s()
    await finish_all(_DaskCluster(dask_client), shard, limits, shards)
    whole_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    worker_s = await worker_cpu_s() - worker_s
    started = time.perf_counter()
    for _ in range(shards):
        finish_shard(shard, limits)
    own_s = time.perf_counter() - started
    each = MS_PER_S / shards
    return Overhead(cpu_s * each, (worker_s - own_s) * each, (whole_s - own_s) * each)


async def main(shards: int, rounds: int, folder: Path) -> None:
    """Print the overhead of each round, and the medians."""
    part = folder / "part.parquet"
    write_part(part, [], [])
    shard = Shard(path=str(folder / "tickets"), part=str(part), size=0)
    limits = PollLimits.of(rate=None, account=None, queue=None, timeout=None)
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    async with (
        distributed.LocalCluster(asynchronous=True, **options) as cluster,
        distributed.Client(cluster, asynchronous=True) as dask_client,
    ):
        await measure(dask_client, shard, limits, shards // 10)
        measured = [await measure(dask_client, shard, limits, shards) for _ in range(rounds)]
    medians = Overhead(*map(statistics.median, zip(*measured, strict=True)))
    for name, each in (
        *((f"round {n}", m) for n, m in enumerate(measured, 1)),
        ("median", medians),
    ):
        print(
            f"{name:8} {each.program_ms:.2f} ms of CPU in the scheduler and the program, "
            f"{each.worker_ms:.2f} in the worker, {each.whole_ms:.2f} ms from start to end"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(arguments.shards, arguments.rounds, Path(name)))
