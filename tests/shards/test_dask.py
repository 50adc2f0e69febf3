"""The Dask adapter on a real cluster of processes, on loopback."""

import asyncio
import importlib
import os
import signal
import sys
from collections import Counter

import pytest
import pytest_asyncio
from pyarrow import parquet

from modelslab_async.emulator import run_server

from .held_emulator import HeldEmulator

distributed = pytest.importorskip("distributed", reason="pip install distributed")
dask = importlib.import_module("dask")
fetch = importlib.import_module("modelslab_async.dask").fetch
pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "a-key-of-the-workers"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service():
    """The emulator, and its address."""
    held = HeldEmulator()
    async with run_server(held) as url:
        held.url = url
        yield held


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cluster(service):
    """Two workers, each a process. The key is in their environment alone."""
    # Dask gives up a killed worker if its restart takes longer than this, by default 15 seconds.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "30 minutes"}):
        async with distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # Else two clusters of one machine want one port.
            asynchronous=True,
            env={"MODELSLAB_API_KEY": KEY, "MODELSLAB_BASE_URL": service.url},
        ) as cluster:
            yield cluster
            # A cluster that closes gives each worker only 5 seconds to end.
            nannies = list(cluster.workers.values())
            await asyncio.gather(*(nanny.close(timeout=600) for nanny in nannies))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def dask_client(cluster):
    async with distributed.Client(cluster, asynchronous=True, set_as_default=False) as dask_client:
        yield dask_client


@pytest.fixture
def write(service, tmp_path):
    """Write a table of ids of jobs that are done, and return its tickets."""

    def write_table(name, count):
        tickets = service.emulator.add_jobs(count, ["images"])
        rows = [f"{ticket.id},images\n" for ticket in tickets]
        (tmp_path / name).write_text("id,family\n" + "".join(rows))
        return [str(ticket) for ticket in tickets]

    return write_table


def tickets_in(folder):
    return Counter(parquet.read_table(folder, columns=["ticket"])["ticket"].to_pylist())


async def test_both_kinds_of_clients_fetch(cluster, dask_client, service, write, tmp_path):
    """Each ticket has one row. The other kind of client finds all parts and polls nothing."""
    tickets = [*write("a.csv", 7), *write("b.csv", 2)]
    report = await fetch(dask_client, tmp_path / "*.csv", to=tmp_path / "out", shard=3, rate=1000)
    assert (9, 4, 0) == (report.success, report.written, report.kept)
    assert Counter(tickets) == tickets_in(tmp_path / "out")
    polls = service.emulator.request_count
    address = cluster.scheduler_address
    blocking = await asyncio.to_thread(distributed.Client, address, set_as_default=False)
    try:
        report = await fetch(blocking, tmp_path / "*.csv", to=tmp_path / "out", shard=3)
    finally:
        await asyncio.to_thread(blocking.close)
    assert (9, 0, 4) == (report.success, report.written, report.kept)
    assert polls == service.emulator.request_count


async def test_killed_worker_loses_no_ticket(dask_client, service, write, tmp_path):
    """Its shard is begun again by another one, and no row is there twice."""
    tickets = write("a.csv", 12)
    service.hold(tickets[0].partition(":")[2])
    fetching = asyncio.create_task(
        fetch(dask_client, tmp_path / "a.csv", to=tmp_path / "out", shard=3, concurrency=1)
    )
    asked = asyncio.create_task(service.asked())
    await asyncio.wait((asked, fetching), return_when=asyncio.FIRST_COMPLETED)
    assert asked.done(), "the fetch ended before its first poll"
    (address,) = [each for each, keys in (await dask_client.processing()).items() if keys]
    pids = await dask_client.run(os.getpid)
    os.kill(pids[address], signal.SIGKILL)
    service.release()
    report = await fetching
    assert (12, 4) == (report.success, report.written)
    assert Counter(tickets) == tickets_in(tmp_path / "out")
    assert 4 == len(list((tmp_path / "out").glob("part-*")))


async def test_worker_without_key_says_so(dask_client, write, tmp_path):
    """The error names the variable, and no key has reached this process."""
    write("a.csv", 1)
    await dask_client.wait_for_workers(2)
    # A function of this module cannot be imported there, and `os.environ.pop` would be copied.
    key = "import os; os.environ['MODELSLAB_API_KEY']"
    await dask_client.run(exec, f"{key} = ''")
    try:
        with pytest.raises(ValueError, match="set MODELSLAB_API_KEY for the workers") as missing:
            await fetch(dask_client, tmp_path / "a.csv", to=tmp_path / "out")
    finally:
        await dask_client.run(exec, f"{key} = {KEY!r}")
    assert KEY not in str(missing.value)


async def test_worker_without_the_package_says_so(dask_client, write, tmp_path):
    """It is asked before a task is sent, because it could not read one and would end."""
    write("a.csv", 1)
    await dask_client.wait_for_workers(2)
    hide = "import sys; sys.modules['modelslab_async.dask'] = {}"
    await dask_client.run(exec, hide.format(None))
    try:
        with pytest.raises(ImportError, match=r"modelslab_async\.dask"):
            await fetch(dask_client, tmp_path / "a.csv", to=tmp_path / "out")
    finally:
        await dask_client.run(exec, "import sys; del sys.modules['modelslab_async.dask']")


async def test_wrong_client_is_refused(tmp_path):
    """The client of this package is a likely mistake."""
    with pytest.raises(TypeError, match=r"dask_client is a client of dask\.distributed"):
        await fetch(object(), "a.csv", to=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shard": 2**31}, "shard is a number of tickets from 1 to 2147483647, got"),
        ({"concurrency": 10**9}, "concurrency is a number of shards from 1 to 100000 or None, got"),
    ],
)
async def test_number_that_no_cluster_can_use_is_refused(dask_client, tmp_path, wrong, words):
    """Otherwise the name of a part could be too long, or a task for each shard use all memory."""
    with pytest.raises(ValueError, match=f"^{words}"):
        await fetch(dask_client, tmp_path / "a.csv", to=tmp_path / "out", **wrong)


async def test_missing_distributed_is_named(monkeypatch):
    """The error says what to install."""
    monkeypatch.delitem(sys.modules, "modelslab_async.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .modelslab-async\[dask\]"):
        importlib.import_module("modelslab_async.dask")
