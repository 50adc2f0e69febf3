"""Saving: the successes of a batch become files, each recorded before it is told, none twice."""

import asyncio
import hashlib
import sqlite3
import time
from contextlib import aclosing, closing

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    ClientClosed,
    Downloads,
    Failed,
    FileNotWritten,
    JournalError,
    JournalFull,
    LinkGone,
    Pace,
    Saved,
    Success,
    Ticket,
    Unresolved,
    Unsaved,
)
from modelslab_async._downloads.filenames import stem_of
from modelslab_async._journal.run_leases import RunLeases
from modelslab_async.emulator import Emulator, FileLinks, Jobs
from modelslab_async.journal import Journal


class Counted(httpx.ASGITransport):
    """The way to the emulator; it counts what was fetched, and can fail or wait on the way."""

    def __init__(self, emulator):
        super().__init__(app=emulator)
        self.fetched = []
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()
        self.concurrency = self.most = 0

    async def handle_async_request(self, request):
        self.fetched.append(request.url.path)
        self.concurrency += 1
        self.most = max(self.most, self.concurrency)
        try:
            await self.open.wait()
            if self.broken:
                return httpx.Response(410)
            return await super().handle_async_request(request)
        finally:
            self.concurrency -= 1


@pytest.fixture
def way(emulator):
    return Counted(emulator)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def saving(way, folder):
    def make(client=None, **more):
        return Downloads(
            client, to=folder, http=way, allow_private=True, **{"link_timeout": 0, **more}
        )

    return make


async def all_of(news):
    async with aclosing(news):
        return [each async for each in news]


def rows(path, query):
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute(query).fetchall()


async def until(count, way):
    """Wait until so many transfers are on their way at once."""
    deadline = time.monotonic() + 60
    while way.concurrency < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def test_successes_become_files(a_client, emulator, path, folder, saving):
    """Each is on record with its size and digest when it is told; the rest is told as it is."""
    tickets = [emulator.add_job(("images", n), fails=n % 5 == 0) for n in range(1, 51)]
    told = []
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with saving(client) as downloads:
            async for save_result in batch.save(downloads):
                told.append(save_result)
                if isinstance(save_result, Saved):
                    recorded = await batch.journal.files(save_result.ticket)
                    assert [file.path for file in save_result.files] == [
                        folder / record.path for record in recorded
                    ]
        report = await batch.report()
        recorded = [record async for record in batch.journal.all_files()]
    assert {*tickets} == {each.ticket for each in told}
    assert (50, 10) == (len(told), sum(isinstance(each, Failed) for each in told))
    assert (40, 0, 0, 40) == (report.saved, report.save_pending, report.unsaved, report.files)
    for record in recorded:
        content = (folder / record.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (record.size, record.sha256)
        assert record.is_length_verified
    assert 40 == len(names(folder))


async def test_a_family_that_this_client_does_not_know(a_client, emulator, path, saving):
    """It keeps no file of another ticket from being saved."""
    async with a_client() as client:
        async with Batch.open(path) as batch:
            await batch.add(["their_own:1", emulator.add_job("images:1", fails=False)])
        async with Batch.open(path, client=client) as batch, saving(client) as downloads:
            save_results = batch.save(downloads)
            first = await anext(save_results)
            with pytest.raises(ValueError, match="their_own"):
                await anext(save_results)
            report = await batch.report()
    assert (Saved, Ticket("images", 1)) == (type(first), first.ticket)
    assert (1, 1) == (report.saved, report.open)


async def test_what_is_recorded_is_not_fetched_again(a_client, emulator, way, path, saving):
    """A run that is left early is gone on with, also by one that looks at nothing any more."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 41)]
    async with a_client() as client, saving(client, concurrency=2) as downloads:
        async with Batch.open(path, client=client) as batch:
            await batch.add(tickets)
            async with aclosing(batch.save(downloads)) as save_results:
                first = [await anext(save_results) for _ in range(5)]
        recorded = [httpx.URL(url).path for (url,) in rows(path, "SELECT url FROM files")]
        assert 5 <= len(recorded) < 40
        async with Batch.open(path, client=client) as batch:
            second = await all_of(batch.save(downloads))
            assert [] == await all_of(batch.save(downloads))
            assert (40, 40) == ((await batch.report()).saved, (await batch.report()).files)
    assert {each.ticket for each in first}.isdisjoint(each.ticket for each in second)
    assert {1} == {way.fetched.count(each) for each in recorded}
    assert 40 == len(names(downloads.folder))


async def test_successes_of_a_run_that_saved_nothing(a_client, emulator, path, saving):
    """They are saved by the next one that saves."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 11)]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        assert all(isinstance(each, Success) for each in await all_of(batch.run()))
        assert (0, 0) == ((await batch.report()).save_pending, (await batch.report()).saved)
        async with saving(client) as downloads:
            assert {*tickets} == {each.ticket for each in await all_of(batch.save(downloads))}
        assert 10 == (await batch.report()).saved


async def test_what_cannot_be_saved_is_seen_and_tried_again(a_client, emulator, way, path, saving):
    """Once a run: it is told, stands in the journal with its reason, and is not lost."""
    ticket = emulator.add_job("images:1", fails=False)
    way.broken = True
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([ticket, emulator.add_job("images:2", fails=True)])
        async with saving(client) as downloads:
            told = await all_of(batch.save(downloads))
            (unsaved,) = [each for each in told if isinstance(each, Unsaved)]
            assert isinstance(unsaved.cause, LinkGone)
            (lacking,) = await batch.journal.unsaved()
            assert (ticket, unsaved.cause.message) == (lacking.ticket, lacking.error)
            assert (1, 0) == ((await batch.report()).unsaved, (await batch.report()).save_pending)
            way.broken = False
            (saved,) = await all_of(batch.save(downloads))
        assert isinstance(saved, Saved)
        assert [] == await batch.journal.unsaved()


async def test_an_expired_link_costs_one_look(path, folder):
    """The links in the journal are of long ago; the service is asked once for new ones."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)), links=FileLinks(lifetime=0.2))
    way = Counted(emulator)
    pace = Pace(floor=0.05, max_failures=1000)
    async with (
        Client("a-key-for-tests", http=way, pace=pace) as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=folder, http=way, allow_private=True) as downloads,
    ):
        await batch.add([emulator.add_job("images:1", fails=False)])
        await all_of(batch.run())
        await asyncio.sleep(0.3)
        polls = emulator.polls.total()
        (told,) = await all_of(batch.save(downloads))
    assert isinstance(told, Saved)
    assert 1 == emulator.polls.total() - polls


async def test_transfers_are_bounded_and_hold_up_no_look(a_client, emulator, way, path, saving):
    """While no transfer moves, all tickets settle; at most so many transfers are on their way."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 101)]
    way.open.clear()
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with saving(client, concurrency=3) as downloads:
            saved = asyncio.create_task(all_of(batch.save(downloads)))
            await until(3, way)
            deadline = time.monotonic() + 60
            while (await batch.report()).success < 100:
                assert time.monotonic() < deadline
            assert 0 == (await batch.report()).saved
            way.open.set()
            assert 100 == len(await saved)
    assert 3 == way.most


async def test_two_processes_share_the_files(a_client, emulator, way, path, saving):
    """Each success is saved by one of them, once."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 201)]

    async def work():
        async with a_client() as client, Batch.open(path, client=client) as batch:
            await batch.add(tickets)
            async with saving(client, concurrency=1) as downloads:
                return await all_of(batch.save(downloads, window=20))

    first, second = await asyncio.gather(work(), work())
    assert {*tickets} == {each.ticket for each in (*first, *second)}
    assert 200 == len(first) + len(second) == len(way.fetched)


async def test_another_ends_a_lease_in_the_midst(a_client, emulator, way, path, saving):
    """What was being saved is the other's; whoever lost it tells nothing of it."""
    now = 1000.0

    def clock():
        return now

    emulator.add_job("images:1", fails=False)
    way.open.clear()
    async with (
        a_client() as client,
        saving(client) as downloads,
        Batch.open(path, client=client, clock=clock, lease=1000) as slow,
        Batch.open(path, client=client, clock=clock, lease=1000) as other,
    ):
        await slow.add(["images:1"])
        losing = asyncio.create_task(all_of(slow.save(downloads)))
        await until(1, way)
        now += 2000
        winning = asyncio.create_task(all_of(other.save(downloads)))
        await until(2, way)
        way.open.set()
        told = [*await losing, *await winning]
    assert ["images:1"] == [str(each.ticket) for each in told]
    assert ["images-1-0.png"] == names(downloads.folder)


async def test_a_part_left_behind_is_swept(a_client, emulator, path, folder, saving):
    """One whose file another saved is removed; one of no ticket of this journal is not touched."""
    ticket = emulator.add_job("images:1", fails=False)
    folder.mkdir()
    for name in ("images-1-0.7.part", "images-1-0.7.part.json", "video-9-0.part"):
        (folder / name).write_text("{}")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([ticket])
        async with saving(client) as downloads:
            await all_of(batch.save(downloads))
    assert [f"{stem_of(ticket, 0)}.png", "video-9-0.part"] == names(folder)


async def test_no_room_for_files(a_client, emulator, path, folder, saving):
    """It is told as every fault of saving, and the journal goes on."""
    folder.write_text("a file, where the folder should be")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([emulator.add_job("images:1", fails=False)])
        async with saving(client) as downloads:
            (told,) = await all_of(batch.save(downloads))
    assert isinstance(told.cause, FileNotWritten)


@pytest.fixture(params=["record_file", "complete_save", "claim_saves", "complete"])
def breaking(request, monkeypatch):
    """A method of all journals that finds no room, until it is told that there is some."""
    owner = Journal if hasattr(Journal, request.param) else RunLeases
    real, room = getattr(owner, request.param), asyncio.Event()

    async def full(self, *given, **more):
        if not room.is_set():
            raise JournalFull("there is no room")
        return await real(self, *given, **more)

    monkeypatch.setattr(owner, request.param, full)
    return room


async def test_a_journal_that_cannot_be_written(a_client, emulator, path, saving, breaking):
    """The error is raised, wherever it struck; the next run has all that was not told."""
    tickets = [emulator.add_job(("images", n), fails=False, duration=0) for n in range(1, 21)]
    async with (
        a_client() as client,
        saving(client) as downloads,
        Batch.open(path, client=client) as batch,
    ):
        await batch.add(tickets)
        with pytest.raises(JournalFull):
            await all_of(batch.save(downloads))
        breaking.set()
        assert {*tickets} == {each.ticket for each in await all_of(batch.save(downloads))}
        assert (20, 0) == ((await batch.report()).saved, (await batch.report()).running)


async def test_a_batch_closed_under_a_save(a_client, emulator, path, saving):
    """Whoever waits hears of it, and nothing stays behind."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, saving(client) as downloads:
        async with Batch.open(path, client=client) as batch:
            await batch.add(["images:1"])
            waiting = asyncio.create_task(all_of(batch.save(downloads)))
            await asyncio.sleep(0.1)
        with pytest.raises(JournalError, match="closed"):
            await waiting


async def test_files_are_verified_and_mended(a_client, emulator, way, path, saving):
    """What is changed or missing is told, and the next save gets that and nothing else."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 6)]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with saving(client) as downloads:
            await all_of(batch.save(downloads))
            folder = downloads.folder
            assert 5 == len((await batch.verify()).unchanged)
            (folder / "images-2-0.png").write_bytes(b"scribbled over")
            (folder / "images-4-0.png").unlink()
            found = await batch.verify(folder, repair=True)
            assert ([3, 1, 1], ["2"], ["4"]) == (
                [len(found.unchanged), len(found.changed), len(found.missing)],
                [file.ticket.id for file in found.changed],
                [file.ticket.id for file in found.missing],
            )
            way.fetched.clear()
            told = await all_of(batch.save(downloads))
        assert {"2", "4"} == {each.ticket.id for each in told}
        assert 2 == len(way.fetched)
        assert 5 == len((await batch.verify(folder)).unchanged)


async def test_failed_tickets_can_be_opened_again(a_client, emulator, path):
    """The next run asks about them once more, and keeps what the server says then."""
    emulator.add_job("images:1", fails=True)
    emulator.add_job("images:2", fails=False)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        await all_of(batch.run())
        assert 1 == await batch.retry_failed()
        assert (1, 1) == ((await batch.report()).open, (await batch.report()).success)
        assert await batch.journal.last("images:1") is None
        emulator.add_job("images:1", fails=False, duration=0)
        (told,) = await all_of(batch.run())
        assert (Ticket("images", 1), True) == (told.ticket, isinstance(told, Success))
        assert 0 == await batch.retry_failed()


async def test_what_is_refused_at_once(a_client, path, saving):
    """No client, closed downloads, a window of nothing."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        async with saving(client) as downloads:
            with pytest.raises(ValueError, match="window"):
                await all_of(batch.save(downloads, window=0))
            async with Batch.open(path) as other:
                with pytest.raises(ValueError, match="client"):
                    await all_of(other.save(downloads))
        with pytest.raises(ClientClosed):
            await all_of(batch.save(downloads))


async def test_an_unresolved_ticket_goes_by(a_client, emulator, path, saving):
    """It is told as a run tells it, while others are saved."""
    emulator.add_job("images:1", duration=1000)
    emulator.add_job("images:2", duration=0, fails=False)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        async with saving(client) as downloads:
            told = {each.ticket.id: each for each in await all_of(batch.save(downloads, timeout=1))}
    assert (Unresolved, Saved) == (type(told["1"]), type(told["2"]))


async def test_a_save_is_drained(a_client, emulator, way, path, saving):
    """What is on its way comes to its end and is told; nothing else is begun."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 101)]
    emulator.add_job("images:1000", duration=1000)
    way.open.clear()
    async with a_client() as client, saving(client, concurrency=2) as downloads:
        async with Batch.open(path, client=client) as batch:
            await batch.add([*tickets, "images:1000"])
            told = asyncio.create_task(all_of(batch.save(downloads)))
            await until(2, way)
            batch.drain()
            way.open.set()
            saved = {each.ticket for each in await told if isinstance(each, Saved)}
            report = await batch.report()
        assert 2 <= len(saved) == report.saved < 100
        async with Batch.open(path, client=client) as batch:
            rest = await all_of(batch.save(downloads, timeout=1))
    assert {*tickets} - saved == {each.ticket for each in rest if isinstance(each, Saved)}


async def test_a_run_is_drained(a_client, emulator, path):
    """It ends by itself, though a ticket is open for long; a drained batch begins no other."""
    emulator.add_job("images:1", duration=0)
    emulator.add_job("images:2", duration=1000)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        outcomes = batch.run()
        assert "1" == (await anext(outcomes)).ticket.id
        batch.drain()
        assert [] == await all_of(outcomes)
        assert (1, 0) == ((await batch.report()).open, (await batch.report()).running)
        assert [] == await all_of(batch.run())


async def test_what_another_run_settles_meanwhile_is_saved_too(a_client, emulator, path, saving):
    """A run that saves waits for tickets of one that does not, and leaves none of their files."""
    emulator.add_job("images:1", duration=1.5, fails=False)
    async with (
        a_client() as client,
        a_client() as other,
        saving(client) as downloads,
        Batch.open(path, client=client, lease=4) as batch,
        Batch.open(path, client=other, lease=4) as bare,
    ):
        await batch.add(["images:1"])
        waiting = asyncio.create_task(all_of(bare.run()))
        deadline = time.monotonic() + 60
        while not (await batch.report()).running:
            assert time.monotonic() < deadline
        (told,) = await all_of(batch.save(downloads))
        assert ["images:1"] == [str(each.ticket) for each in await waiting]
    assert ("images:1", Saved) == (str(told.ticket), type(told))
