"""Each file of a success is recorded before it is handed out, and none is saved twice."""

import asyncio
import errno
import hashlib
import logging
import os
import sqlite3
import time
from contextlib import aclosing, closing

import httpx
import pytest
from attrs import evolve

from modelslab_async import (
    Batch,
    Client,
    ClientClosed,
    Downloads,
    Failed,
    FileNotWritten,
    JournalDamaged,
    JournalError,
    JournalFull,
    JournalLocked,
    LinkGone,
    Pace,
    Saved,
    ServerError,
    Success,
    Ticket,
    Unresolved,
    Unsaved,
)
from modelslab_async._downloads import file_sha256_check
from modelslab_async._downloads.file_stems import stem_of
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async.emulator import Emulator, FileLinks, Jobs, ScriptedReply
from modelslab_async.journal import Journal

GOOD_LINK = "https://files.example/0.png"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
RUNNING = ScriptedReply(body=b'{"status": "processing", "id": 1, "output": []}')


class CountingTransport(httpx.ASGITransport):
    """Sends to the emulator, counts downloads, and can fail or block them."""

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
def transport(emulator):
    return CountingTransport(emulator)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def make_downloads(transport, folder):
    def make(client=None, **more):
        return Downloads(
            client,
            allow_private=True,
            **{"http": transport, "to": folder, "link_timeout": 0, **more},
        )

    return make


async def all_of(results):
    async with aclosing(results):
        return [each async for each in results]


def rows(path, query):
    with closing(sqlite3.connect(path, timeout=30)) as db:
        return db.execute(query).fetchall()


async def until(count, transport):
    """Wait until some number of transfers is in progress."""
    deadline = time.monotonic() + 60
    while transport.concurrency < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_running(batch):
    """Wait until a run has a ticket."""
    deadline = time.monotonic() + 60
    while not (await batch.report()).running:
        assert time.monotonic() < deadline


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def test_successes_become_recorded_files(a_client, emulator, path, folder, make_downloads):
    """Each is recorded with size and digest when it is handed out. Failures pass through."""
    tickets = [emulator.add_job(("images", n), fails=n % 5 == 0) for n in range(1, 51)]
    results = []
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with make_downloads(client) as downloads:
            async for save_result in batch.save(downloads):
                results.append(save_result)
                if isinstance(save_result, Saved):
                    recorded = await batch.journal.files(save_result.ticket)
                    assert [file.path for file in save_result.files] == [
                        folder / record.path for record in recorded
                    ]
        report = await batch.report()
        recorded = [record async for record in batch.journal.all_files()]
    assert {*tickets} == {each.ticket for each in results}
    assert (50, 10) == (len(results), sum(isinstance(each, Failed) for each in results))
    assert (40, 0, 0, 40) == (report.saved, report.save_pending, report.unsaved, report.files)
    for record in recorded:
        content = (folder / record.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (record.size, record.sha256)
        assert record.is_length_verified
    assert 40 == len(names(folder))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE replies SET body = '{\"cut' WHERE ticket = 2",
        "UPDATE files SET path = 5.5, sha256 = x'00'",
    ],
    ids=["reply", "file"],
)
async def test_damaged_row_ends_the_save_of_its_ticket_alone(
    a_client, emulator, file_path, make_downloads, damage
):
    """The others are saved. The result and the journal say which row to repair."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 6)]
    async with a_client() as client, Batch.open(file_path, client=client) as batch:
        await batch.add(tickets)
        assert 5 == len(await all_of(batch.run()))
        await batch.journal.record_file(
            "images:2", 0, path="x", sha256="0", size=1, url="https://a"
        )
        with closing(sqlite3.connect(file_path, timeout=30)) as db, db:
            db.execute(damage)
        for saved in (4, 0):
            async with make_downloads(client) as downloads:
                results = await all_of(batch.save(downloads))
            assert saved == sum(isinstance(each, Saved) for each in results)
            (damaged,) = [each for each in results if isinstance(each, Unresolved)]
            assert tickets[1] == damaged.ticket
            assert isinstance(damaged.cause, JournalDamaged)
            assert str(damaged.cause).startswith(f"{file_path}: the ")
        assert [tickets[1]] == [each.ticket for each in await batch.journal.unsaved()]
        report = await batch.report()
    assert (4, 1, 0) == (report.saved, report.unsaved, report.save_pending)


async def test_claim_of_saves_that_meets_a_lock_is_repeated(
    a_client, emulator, path, make_downloads, *, caplog, monkeypatch
):
    """A run whose claim finds the journal locked tries again, and saves the files."""
    emulator.add_job("images:1", duration=0.0, fails=False)
    async with a_client() as client, Journal.open(path, lock_timeout=0.01) as journal:
        batch = Batch(journal, client, lease=600.0)
        await batch.add(["images:1"])
        claim, refusals = journal.leases.claim_saves, [JournalLocked("locked")] * 2

        async def claim_after_refusals(*args, **kwargs):
            if refusals:
                raise refusals.pop()
            return await claim(*args, **kwargs)

        monkeypatch.setattr(journal.leases, "claim_saves", claim_after_refusals)
        async with make_downloads(client) as downloads:
            assert [Saved] == [type(each) for each in await all_of(batch.save(downloads))]
    assert 2 == caplog.text.count("the journal is locked, trying again")


async def test_unknown_family_is_raised_after_all_files_are_saved(
    a_client, emulator, path, make_downloads
):
    """It keeps no file of another ticket from being saved."""
    async with a_client() as client:
        async with Batch.open(path) as batch:
            await batch.add(["their_own:1", emulator.add_job("images:1", fails=False)])
        async with Batch.open(path, client=client) as batch, make_downloads(client) as downloads:
            save_results = batch.save(downloads)
            first = await anext(save_results)
            with pytest.raises(ValueError, match="their_own"):
                await anext(save_results)
            report = await batch.report()
    assert (Saved, Ticket("images", 1)) == (type(first), first.ticket)
    assert (1, 1) == (report.saved, report.open)


async def test_files_are_saved_with_a_concurrency_too_large_for_any_column(
    a_client, emulator, path, make_downloads
):
    """It sets how many tickets are claimed at once, and a store has no such number."""
    async with (
        a_client() as client,
        Batch.open(path, client=client) as batch,
        make_downloads(client, concurrency=2**70) as downloads,
    ):
        await batch.add([emulator.add_job("images:1", fails=False)])
        (save_result,) = await all_of(batch.save(downloads))
    assert Saved is type(save_result)


async def test_recorded_files_are_not_downloaded_again(
    a_client, emulator, transport, file_path, make_downloads
):
    """The next save continues, though all tickets are polled."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 41)]
    async with a_client() as client, make_downloads(client, concurrency=2) as downloads:
        async with Batch.open(file_path, client=client) as batch:
            await batch.add(tickets)
            async with aclosing(batch.save(downloads)) as save_results:
                first = [await anext(save_results) for _ in range(5)]
        recorded = [httpx.URL(url).path for (url,) in rows(file_path, "SELECT url FROM files")]
        assert 5 <= len(recorded) < 40
        async with Batch.open(file_path, client=client) as batch:
            second = await all_of(batch.save(downloads))
            assert [] == await all_of(batch.save(downloads))
            assert (40, 40) == ((await batch.report()).saved, (await batch.report()).files)
    assert {each.ticket for each in first}.isdisjoint(each.ticket for each in second)
    assert {1} == {transport.fetched.count(each) for each in recorded}
    assert 40 == len(names(downloads.folder))


async def test_successes_of_a_run_are_saved_by_the_next_save(
    a_client, emulator, path, make_downloads
):
    """`run` saves no files."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 11)]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        assert all(isinstance(each, Success) for each in await all_of(batch.run()))
        assert (0, 0) == ((await batch.report()).save_pending, (await batch.report()).saved)
        async with make_downloads(client) as downloads:
            assert {*tickets} == {each.ticket for each in await all_of(batch.save(downloads))}
        assert 10 == (await batch.report()).saved


async def test_failed_save_is_recorded_and_tried_again(
    a_client, emulator, transport, path, make_downloads
):
    """Once a run: it is handed out as `Unsaved`, and stands in the journal with its reason."""
    ticket = emulator.add_job("images:1", fails=False)
    transport.broken = True
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([ticket, emulator.add_job("images:2", fails=True)])
        async with make_downloads(client) as downloads:
            results = await all_of(batch.save(downloads))
            (unsaved,) = [each for each in results if isinstance(each, Unsaved)]
            assert isinstance(unsaved.cause, LinkGone)
            (unsaved_ticket,) = await batch.journal.unsaved()
            assert (ticket, unsaved.cause.message) == (unsaved_ticket.ticket, unsaved_ticket.error)
            assert (1, 0) == ((await batch.report()).unsaved, (await batch.report()).save_pending)
            transport.broken = False
            (saved,) = await all_of(batch.save(downloads))
        assert isinstance(saved, Saved)
        assert [] == await batch.journal.unsaved()


class RefusingClient:
    """A client whose polls are refused with a message that no journal can store as it is."""

    async def fetch(self, _ticket, /):
        raise ServerError("odd \0 and \ud800")


async def test_message_that_no_journal_can_store_is_escaped(
    a_client, emulator, transport, path, make_downloads
):
    """The save of the ticket fails, and not the whole run."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in (1, 2)]
    transport.broken = True
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with make_downloads(RefusingClient()) as downloads:
            results = await all_of(batch.save(downloads))
        assert {*tickets} == {each.ticket for each in results if isinstance(each, Unsaved)}
        errors = [each.error for each in await batch.journal.unsaved()]
    assert 2 == sum(error.endswith("no new link: odd \\x00 and \\ud800") for error in errors)


async def test_expired_link_costs_one_poll(path, folder):
    """The client polls once for new links."""
    now = 0.0
    emulator = Emulator(
        jobs=Jobs(duration=(0.0, 0.0)), links=FileLinks(lifetime=60.0), clock=lambda: now
    )
    transport = CountingTransport(emulator)
    pace = Pace(floor=0.05, max_failures=1000)
    async with (
        Client("a-key-for-tests", http=transport, pace=pace) as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=folder, http=transport, allow_private=True) as downloads,
    ):
        await batch.add([emulator.add_job("images:1", fails=False)])
        await all_of(batch.run())
        now += 61.0
        polls = emulator.polls.total()
        (result,) = await all_of(batch.save(downloads))
    assert isinstance(result, Saved)
    assert 1 == emulator.polls.total() - polls


async def test_transfers_are_bounded_and_delay_no_poll(
    a_client, emulator, transport, path, make_downloads
):
    """While transfers block, all tickets are completed."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 101)]
    transport.open.clear()
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with make_downloads(client, concurrency=3) as downloads:
            saved = asyncio.create_task(all_of(batch.save(downloads)))
            await until(3, transport)
            deadline = time.monotonic() + 60
            while (await batch.report()).success < 100:
                assert time.monotonic() < deadline
            assert 0 == (await batch.report()).saved
            transport.open.set()
            assert 100 == len(await saved)
    assert 3 == transport.most


async def test_two_processes_share_the_saves(a_client, emulator, transport, path, make_downloads):
    """Each success is saved by one of them, once."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 201)]

    async def work():
        async with a_client() as client, Batch.open(path, client=client) as batch:
            await batch.add(tickets)
            async with make_downloads(client, concurrency=1) as downloads:
                return await all_of(batch.save(downloads, window=20))

    first, second = await asyncio.gather(work(), work())
    assert {*tickets} == {each.ticket for each in (*first, *second)}
    assert 200 == len(first) + len(second) == len(transport.fetched)


async def test_save_that_lost_its_lease_hands_out_nothing(
    a_client, emulator, transport, path, make_downloads
):
    """The other run saves the file, and hands it out."""
    now = 1000.0

    def clock():
        return now

    emulator.add_job("images:1", fails=False)
    transport.open.clear()
    async with (
        a_client() as client,
        make_downloads(client) as downloads,
        Batch.open(path, client=client, clock=clock, lease=1000) as slow,
        Batch.open(path, client=client, clock=clock, lease=1000) as other,
    ):
        await slow.add(["images:1"])
        losing = asyncio.create_task(all_of(slow.save(downloads)))
        await until(1, transport)
        now += 2000
        winning = asyncio.create_task(all_of(other.save(downloads)))
        await until(2, transport)
        transport.open.set()
        results = [*await losing, *await winning]
    assert ["images:1"] == [str(each.ticket) for each in results]
    assert ["images-1-0.png"] == names(downloads.folder)


async def test_part_of_a_saved_file_is_removed(a_client, emulator, path, folder, make_downloads):
    """A part of a ticket that is not in this journal is kept."""
    ticket = emulator.add_job("images:1", fails=False)
    folder.mkdir()
    for name in ("images-1-0.7.part", "images-1-0.7.part.json", "video-9-0.part"):
        (folder / name).write_text("{}")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([ticket])
        async with make_downloads(client) as downloads:
            await all_of(batch.save(downloads))
    assert [f"{stem_of(ticket, 0)}.png", "video-9-0.part"] == names(folder)


async def test_unwritable_folder_is_unsaved(a_client, emulator, path, folder, make_downloads):
    """The journal goes on."""
    folder.write_text("a file, where the folder should be")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([emulator.add_job("images:1", fails=False)])
        async with make_downloads(client) as downloads:
            (result,) = await all_of(batch.save(downloads))
    assert isinstance(result.cause, FileNotWritten)


@pytest.fixture(params=["record_file", "complete_save", "claim_saves", "complete"])
def broken_method(request, monkeypatch):
    """A method of all journals that raises JournalFull until the event is set."""
    owner = Journal if hasattr(Journal, request.param) else RunOperations
    real, room = getattr(owner, request.param), asyncio.Event()

    async def full(self, *given, **more):
        if not room.is_set():
            raise JournalFull("there is no room")
        return await real(self, *given, **more)

    monkeypatch.setattr(owner, request.param, full)
    return room


async def test_unwritable_journal_ends_the_save(
    a_client, emulator, path, make_downloads, broken_method
):
    """The next save has all that was not handed out."""
    tickets = [emulator.add_job(("images", n), fails=False, duration=0) for n in range(1, 21)]
    async with (
        a_client() as client,
        make_downloads(client) as downloads,
        Batch.open(path, client=client) as batch,
    ):
        await batch.add(tickets)
        with pytest.raises(JournalFull):
            await all_of(batch.save(downloads))
        broken_method.set()
        assert {*tickets} == {each.ticket for each in await all_of(batch.save(downloads))}
        assert (20, 0) == ((await batch.report()).saved, (await batch.report()).running)


async def test_closed_batch_ends_its_saves(a_client, emulator, path, make_downloads):
    """A waiting task gets an error, and nothing stays behind."""
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, make_downloads(client) as downloads:
        async with Batch.open(path, client=client) as batch:
            await batch.add(["images:1"])
            waiting = asyncio.create_task(all_of(batch.save(downloads)))
            await until_running(batch)
        with pytest.raises(JournalError, match="closed"):
            await waiting


async def test_verify_finds_and_repairs_files(a_client, emulator, transport, path, make_downloads):
    """The next save downloads the changed and missing ones only."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 6)]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with make_downloads(client) as downloads:
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
            transport.fetched.clear()
            results = await all_of(batch.save(downloads))
        assert {"2", "4"} == {each.ticket.id for each in results}
        assert 2 == len(transport.fetched)
        assert 5 == len((await batch.verify(folder)).unchanged)


async def test_file_that_cannot_be_read_is_named_and_ends_alone(
    a_client, emulator, path, make_downloads, *, folder, monkeypatch
):
    """The folder is not blamed, and the next repair saves the file if it can be read by then."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 4)]
    async with (
        a_client() as client,
        Batch.open(path, client=client) as batch,
        make_downloads(client) as downloads,
    ):
        await batch.add(tickets)
        await all_of(batch.save(downloads))
        denied = folder / "images-2-0.png"
        (folder / "images-3-0.png").write_bytes(b"scribbled over")

        def digest_unless_denied(file, name):
            if file.name == str(denied):
                raise PermissionError(errno.EACCES, "Permission denied")
            return hashlib.file_digest(file, name)

        with monkeypatch.context() as patch:
            patch.setattr(file_sha256_check, "file_digest", digest_unless_denied)
            found = await batch.verify(repair=True)
            results = {each.ticket.id: each for each in await all_of(batch.save(downloads))}
        assert ["2", "3"] == [file.ticket.id for file in found.changed]
        assert {"2": "Permission denied"} == {
            file.ticket.id: reason for file, reason in found.unreadable.items()
        }
        assert {"2", "3"} == results.keys()
        assert isinstance(results["3"], Saved)
        assert isinstance(results["2"].cause, FileNotWritten)
        assert f"{denied} is there already and cannot be read" in results["2"].cause.message
        assert "choose a folder" not in results["2"].cause.message
        (saved,) = await all_of(batch.save(downloads))
        assert [denied] == [file.path for file in saved.files]
        assert {} == (await batch.verify()).unreadable


async def test_repaired_folder_gets_copies_of_unchanged_files(
    a_client, emulator, transport, path, make_downloads, *, folder, tmp_path
):
    """Files that are still where they were saved are copied from there, even if links are dead."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in (1, 2)]
    other_folder = tmp_path / "other"
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(tickets)
        async with make_downloads(client) as downloads:
            saved = {each.ticket: each.files[0] for each in await all_of(batch.save(downloads))}
        assert 2 == len((await batch.verify(other_folder, repair=True)).missing)
        transport.fetched.clear()
        transport.broken = True
        async with make_downloads(client, to=other_folder) as downloads:
            copied = {each.ticket: each.files[0] for each in await all_of(batch.save(downloads))}
        assert [] == transport.fetched
        expected = {
            ticket: evolve(file, path=other_folder / file.path.name)
            for ticket, file in saved.items()
        }
        assert expected == copied
        assert 2 == len((await batch.verify()).unchanged)
        assert {*expected.values()} == {*(await batch.verify(other_folder)).unchanged}
    assert ["images-1-0.png", "images-2-0.png"] == names(folder) == names(other_folder)


async def test_changed_file_is_not_copied(
    a_client, emulator, transport, path, make_downloads, *, folder, tmp_path, monkeypatch
):
    """It is downloaded, even if it changes after it was found unchanged."""

    async def finds_no_change(_file, _path):
        return True

    emulator.add_job("images:1", fails=False)
    other_folder = tmp_path / "other"
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1"])
        async with make_downloads(client) as downloads:
            await all_of(batch.save(downloads))
        await batch.verify(other_folder, repair=True)
        (folder / "images-1-0.png").write_bytes(b"scribbled over")
        monkeypatch.setattr(
            "modelslab_async._downloads.generation_save.is_unchanged", finds_no_change
        )
        transport.fetched.clear()
        async with make_downloads(client, to=other_folder) as downloads:
            (saved,) = await all_of(batch.save(downloads))
        assert isinstance(saved, Saved)
        assert 1 == len(transport.fetched)
        assert 1 == len((await batch.verify(other_folder)).unchanged)
    assert ["images-1-0.png"] == names(other_folder)


async def test_save_in_another_folder_has_all_files_of_a_ticket(
    a_client, emulator, path, make_downloads, tmp_path
):
    """The files that an earlier run saved of the ticket are copied, so they are not divided."""
    bad = "https://files.example/bad.png"
    ticket = emulator.add_job("images:1", fails=False, output=[GOOD_LINK, bad])
    dead = httpx.MockTransport(
        lambda request: httpx.Response(410 if request.url == bad else 200, content=PNG)
    )
    good = httpx.MockTransport(lambda _request: httpx.Response(200, content=PNG))
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add([ticket])
        async with make_downloads(client, http=dead) as downloads:
            (unsaved,) = await all_of(batch.save(downloads))
        async with make_downloads(client, http=good, to=tmp_path / "other") as downloads:
            (saved,) = await all_of(batch.save(downloads))
    assert (1, 2) == (len(unsaved.files), len(saved.files))
    assert {tmp_path / "other"} == {file.path.parent for file in saved.files}


async def test_reopened_failures_are_polled_again(a_client, emulator, path):
    """The next run records what the server says then."""
    emulator.add_job("images:1", fails=True)
    emulator.add_job("images:2", fails=False)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        await all_of(batch.run())
        assert 1 == await batch.retry_failed()
        assert (1, 1) == ((await batch.report()).open, (await batch.report()).success)
        assert await batch.journal.last("images:1") is None
        emulator.add_job("images:1", fails=False, duration=0)
        (result,) = await all_of(batch.run())
        assert (Ticket("images", 1), True) == (result.ticket, isinstance(result, Success))
        assert 0 == await batch.retry_failed()


async def test_wrong_arguments_are_refused_at_once(a_client, path, make_downloads):
    """No client, closed downloads, a window of 0."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        async with make_downloads(client) as downloads:
            with pytest.raises(ValueError, match="window"):
                await all_of(batch.save(downloads, window=0))
            async with Batch.open(path) as other:
                with pytest.raises(ValueError, match="client"):
                    await all_of(other.save(downloads))
        with pytest.raises(ClientClosed):
            await all_of(batch.save(downloads))


@pytest.mark.parametrize("method", ["save", "generate_many"])
async def test_folder_that_is_not_utf8_is_refused_at_once(
    a_client, emulator, path, folder, *, make_downloads, method
):
    """No journal can hold the paths of its files, so nothing is submitted or polled."""
    emulator.add_job("images:1", duration=0)
    odd = folder / os.fsdecode(b"caf\xe9")
    async with (
        a_client() as client,
        Batch.open(path, client=client) as batch,
        make_downloads(client, to=odd) as downloads,
    ):
        await batch.add(["images:1"])
        results = (
            batch.save(downloads)
            if method == "save"
            else batch.generate_many([("realtime/text2img", {"prompt": "a"})], downloads=downloads)
        )
        with pytest.raises(ValueError, match=r"not UTF-8.*another folder"):
            await all_of(results)
    assert (0, 0) == (len(emulator.submits), emulator.polls["images:1"])


async def test_unresolved_ticket_passes_through_a_save(
    a_client, emulator, path, make_downloads, leap
):
    """Others are saved."""
    emulator.add_job("images:1", duration=1000)
    emulator.add_job("images:2", duration=0, fails=False)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1", "images:2"])
        async with make_downloads(client) as downloads:
            results = {}
            async with aclosing(batch.save(downloads, timeout=50)) as save_results:
                async for each in save_results:
                    results[each.ticket.id] = each
                    if each.ticket.id == "2":
                        leap(50)
    assert (Unresolved, Saved) == (type(results["1"]), type(results["2"]))


async def test_drained_save_finishes_its_transfers(
    a_client, emulator, transport, path, make_downloads, *, leap
):
    """Nothing new is started."""
    tickets = [emulator.add_job(("images", n), fails=False) for n in range(1, 101)]
    emulator.add_job("images:1000", duration=1000)
    transport.open.clear()
    async with a_client() as client, make_downloads(client, concurrency=2) as downloads:
        async with Batch.open(path, client=client) as batch:
            await batch.add([*tickets, "images:1000"])
            results = asyncio.create_task(all_of(batch.save(downloads)))
            await until(2, transport)
            batch.drain()
            transport.open.set()
            saved = {each.ticket for each in await results if isinstance(each, Saved)}
            report = await batch.report()
        assert 2 <= len(saved) == report.saved < 100
        async with Batch.open(path, client=client) as batch:
            rest = []
            async with aclosing(batch.save(downloads, timeout=50)) as save_results:
                async for each in save_results:
                    rest.append(each)
                    if len(saved) + len(rest) == 100:
                        leap(50)
    assert {*tickets} - saved == {each.ticket for each in rest if isinstance(each, Saved)}


async def test_drained_run_ends(a_client, emulator, path):
    """Though a ticket is open for long. A drained batch starts no other run."""
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


async def test_success_of_another_run_is_saved(a_client, emulator, path, make_downloads, *, caplog):
    """A save waits for the tickets of a run without files, and saves theirs."""
    caplog.set_level(logging.INFO)
    emulator.add_job("images:1", duration=0, fails=False)
    emulator.script("images:1", [RUNNING])
    async with (
        a_client() as client,
        a_client() as other,
        make_downloads(client) as downloads,
        Batch.open(path, client=client, lease=1000) as batch,
        Batch.open(path, client=other, lease=1000) as bare,
    ):
        await batch.add(["images:1"])
        waiting = asyncio.create_task(all_of(bare.run()))
        await until_running(batch)
        saving = asyncio.create_task(all_of(batch.save(downloads)))
        deadline = time.monotonic() + 60
        while "waiting for tickets that other processes of this batch poll" not in caplog.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        emulator.script("images:1", [None])
        (result,) = await saving
        assert ["images:1"] == [str(each.ticket) for each in await waiting]
    assert ("images:1", Saved) == (str(result.ticket), type(result))
