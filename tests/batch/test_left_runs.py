"""A batch that is left while a run is closed by another task, or whose scope was cancelled."""

import asyncio
import threading
from contextlib import aclosing

import anyio
import httpx
import pytest

from modelslab_async import Batch, Downloads, JournalError
from modelslab_async._downloads.part_file import PartFile
from modelslab_async._engine.engine import Engine
from modelslab_async._journal.run_operations import RunOperations

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
REALTIME = "realtime/text2img"


class Transfers:
    """Transfers of files whose digest takes a thread until a test releases it."""

    def __init__(self, folder):
        self.folder = folder
        self.spared = ""
        self.begun, self.may_end = asyncio.Event(), threading.Event()
        self.fetched = []

    def hold(self, part):
        if part.stem != self.spared:
            self.loop.call_soon_threadsafe(self.begun.set)
            assert self.may_end.wait(300)

    def answer(self, request):
        self.fetched.append(request.url.path)
        return httpx.Response(200, content=PNG, headers={"etag": '"1"'})

    def downloads(self, client):
        self.loop = asyncio.get_running_loop()
        return Downloads(client, to=self.folder, http=httpx.MockTransport(self.answer))


@pytest.fixture
def transfers(monkeypatch, tmp_path):
    held = Transfers(tmp_path / "out")
    digest = PartFile.digest
    monkeypatch.setattr(PartFile, "digest", lambda part: (held.hold(part), digest(part))[1])
    return held


async def leave_held(leaving, may_end):
    """Check that the batch is left only once its run may end."""
    try:
        for _ in range(20):
            await asyncio.sleep(0.01)
            assert not leaving.done()
    finally:
        may_end.set()
        await leaving


async def running(path):
    async with Batch.open(path) as batch:
        return (await batch.report()).running


async def test_run_left_by_break_is_closed_before_its_batch(
    a_client, emulator, path, transfers, caplog
):
    """The loop closes the generator in a task of its own, and the batch waits for that task."""
    transfers.spared = "realtime-1-0"

    async def leave(client, downloads):
        async with Batch.open(path, client=client) as batch:
            await batch.add([emulator.add_job(f"realtime:{n}", duration=0) for n in (1, 2)])
            async for _ in batch.save(downloads):
                await transfers.begun.wait()
                break
            await batch.report()

    async with a_client() as client, transfers.downloads(client) as downloads:
        leaving = asyncio.create_task(leave(client, downloads))
        await transfers.begun.wait()
        await leave_held(leaving, transfers.may_end)
        assert 0 == await running(path)
    assert "" == caplog.text


async def test_run_of_a_cancelled_task_is_closed_before_its_batch(
    a_client, emulator, path, monkeypatch, caplog
):
    """The block is left without awaiting the task. With many tickets, closing a run takes long."""
    begun, dropped = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(Engine, "wait_for_drops", lambda _: dropped.wait())

    async def consume(batch):
        async for _ in batch.run():
            begun.set()

    async def leave(client):
        async with Batch.open(path, client=client) as batch:
            await batch.add([emulator.add_job(f"realtime:{n}", duration=3600) for n in (1, 2)])
            await batch.add([emulator.add_job("realtime:3", duration=0)])
            consuming = asyncio.create_task(consume(batch))
            await begun.wait()
            consuming.cancel()
        await asyncio.wait([consuming])
        assert consuming.cancelled()

    async with a_client() as client:
        leaving = asyncio.create_task(leave(client))
        await begun.wait()
        await leave_held(leaving, dropped)
        assert 0 == await running(path)
    assert "" == caplog.text


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_run_that_begins_while_its_batch_is_left_gives_its_tickets_back(
    a_client, emulator, path, monkeypatch, caplog, *, is_cancelled
):
    """The journal is not closed before the run has ended, even if its caller has left too."""
    begun, may_begin = asyncio.Event(), asyncio.Event()
    begin_run = RunOperations.begin_run

    async def begin_later(leases, **settings):
        run_id = await begin_run(leases, **settings)
        begun.set()
        await may_begin.wait()
        return run_id

    async def consume(batch):
        async for _ in batch.run():
            pass

    async with a_client() as client:
        async with Batch.open(path, client=client) as batch:
            await batch.add([emulator.add_job("realtime:1", duration=3600)])
            monkeypatch.setattr(RunOperations, "begin_run", begin_later)
            consuming = asyncio.create_task(consume(batch))
            await begun.wait()
            if is_cancelled:
                consuming.cancel()
            asyncio.get_running_loop().call_later(0.05, may_begin.set)
        with pytest.raises(asyncio.CancelledError if is_cancelled else JournalError):
            await consuming
        with pytest.raises(JournalError, match="was closed"):
            await consume(batch)
        monkeypatch.undo()
        assert 0 == await running(path)
    assert "" == caplog.text


@pytest.mark.parametrize("way", ["save", "generate_many"])
async def test_batch_in_a_cancelled_scope_closes_its_runs(a_client, emulator, path, transfers, way):
    """A scope of anyio cancels each await. The run and its transfers end nevertheless."""
    submissions = [(REALTIME, {"prompt": "a fox"})]

    async def leave(client, downloads):
        with scope:
            async with Batch.open(path, client=client) as batch:
                if way == "save":
                    await batch.add([emulator.add_job("realtime:1", duration=0)])
                    results = batch.save(downloads)
                else:
                    results = batch.generate_many(submissions, downloads=downloads)
                async with aclosing(results):
                    async for _ in results:
                        pass

    scope = anyio.CancelScope()
    async with a_client() as client, transfers.downloads(client) as downloads:
        leaving = asyncio.create_task(leave(client, downloads))
        await transfers.begun.wait()
        scope.cancel()
        await leave_held(leaving, transfers.may_end)
        fetched = [*transfers.fetched]
        assert 0 == await running(path)
        assert fetched == transfers.fetched
    assert scope.cancelled_caught
