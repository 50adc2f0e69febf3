"""An exception that belongs to one ticket ends that ticket, and never the batch."""

import asyncio

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    Downloads,
    Failed,
    JournalDamaged,
    JournalError,
    JournalFull,
    Pace,
    Saved,
    Success,
    TransportError,
    Unresolved,
    Unsaved,
)
from modelslab_async._batch.leased_tickets import LeasedTickets
from modelslab_async._batch.poll_and_save_run import SaveRun
from modelslab_async._batch.poll_run import PollRun
from modelslab_async._journal import exports, tickets

KEY = "a-key-for-tests"


class Foreign(Exception):
    """An exception that no part of the package knows."""


def raising_for(function, is_bad):
    """Wrap a function so that it raises for some arguments. The message quotes a key."""

    def wrapped(*args, **kwargs):
        if is_bad(*args):
            raise Foreign(KEY)
        return function(*args, **kwargs)

    return wrapped


async def all_of(results):
    return [each async for each in results]


@pytest.fixture
def ids(emulator):
    """Four jobs that succeed at once; the second is the one that gives trouble."""
    return [emulator.add_job(("images", n), fails=False, duration=0) for n in range(1, 5)]


async def test_outcome_that_cannot_be_encoded_ends_its_ticket_alone(
    a_client, ids, file_path, monkeypatch
):
    """The ticket is unresolved, with the name of the error's type. The others are committed."""
    encode = raising_for(
        tickets.encode, lambda value: value.ticket == ids[1] and isinstance(value, Success)
    )
    async with a_client() as client, Batch.open(file_path, client=client) as batch:
        await batch.add(ids)
        with monkeypatch.context() as patch:
            patch.setattr(tickets, "encode", encode)
            outcomes = {each.ticket: each for each in await all_of(batch.run())}
        assert {*ids} == {*outcomes}
        assert [Success, Unresolved, Success, Success] == [type(outcomes[each]) for each in ids]
        assert "the outcome could not be recorded (Foreign)" == outcomes[ids[1]].cause.message
        assert KEY not in repr(outcomes[ids[1]])
        assert (3, 1) == ((await batch.report()).success, (await batch.report()).unresolved)
        (again,) = await all_of(batch.run())
        assert isinstance(again, Success)


async def test_poll_that_raises_ends_its_ticket_alone(emulator, ids, file_path):
    """A transport may raise anything. The batch hands out the other outcomes."""
    inner = httpx.ASGITransport(app=emulator)

    class Raising(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            if b'"2"' in await request.aread():
                raise Foreign(KEY)
            return await inner.handle_async_request(request)

    client = Client(KEY, http=Raising(), pace=Pace(floor=0.05))
    async with client, Batch.open(file_path, client=client) as batch:
        await batch.add(ids)
        outcomes = {each.ticket: each for each in await all_of(batch.run(timeout=600))}
    assert [Success, Unresolved, Success, Success] == [type(outcomes[each]) for each in ids]
    assert KEY not in str(outcomes[ids[1]].cause)


class VPNDown(TransportError):
    """An error of a caller's own transport."""


async def test_outcome_with_an_error_class_of_the_caller_can_be_read_back(path, tmp_path):
    """The journal has the nearest class of the package in its place, with the same message."""

    class NoVPN:
        async def exchange(self, _request):
            raise VPNDown("the vpn is down", may_have_been_sent=False)

    client = Client(KEY, http=NoVPN(), pace=Pace(floor=0.01, ceiling=0.02, max_failures=2))
    async with client, Batch.open(path, client=client) as batch:
        await batch.add(["images:1"])
        [outcome] = await all_of(batch.run(timeout=600))
        assert isinstance(outcome.cause, VPNDown)
        [recorded] = await all_of(batch.outcomes())
        assert (TransportError, "the vpn is down") == (type(recorded.cause), recorded.cause.message)
        assert 1 == await batch.export(tmp_path / "all.csv")


async def test_save_that_raises_ends_its_ticket_alone(
    a_client, emulator, ids, file_path, monkeypatch
):
    """The ticket is `Unsaved`, the others are saved, and the next save tries again."""
    failed = emulator.add_job("images:9", fails=True, duration=0)
    downloads = Downloads(
        to=file_path.parent / "out", http=httpx.ASGITransport(app=emulator), allow_private=True
    )
    async with (
        a_client() as client,
        downloads,
        Batch.open(file_path, client=client) as batch,
    ):
        await batch.add([*ids, failed])
        with monkeypatch.context() as patch:
            patch.setattr(
                downloads,
                "try_save",
                raising_for(downloads.try_save, lambda success, *_: success.ticket == ids[1]),
            )
            results = {each.ticket: each for each in await all_of(batch.save(downloads))}
        assert [Saved, Unsaved, Saved, Saved] == [type(results[each]) for each in ids]
        assert isinstance(results[failed], Failed)
        assert "saving raised Foreign" == results[ids[1]].cause.message
        (unsaved,) = await batch.journal.unsaved()
        assert ("saving raised Foreign", ids[1]) == (unsaved.error, unsaved.ticket)
        (again,) = await all_of(batch.save(downloads))
        assert isinstance(again, Saved)


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
async def test_export_that_raises_names_the_ticket(
    a_client, ids, file_path, monkeypatch, file_format
):
    """An export with a ticket left out would look complete, so it stops and says which it is."""
    converter = "to_dict" if file_format == "jsonl" else "outcome_row"
    target = file_path.parent / f"all.{file_format}"
    async with a_client() as client, Batch.open(file_path, client=client) as batch:
        await batch.add(ids)
        await all_of(batch.run())
        bad = raising_for(
            getattr(exports, converter),
            lambda each, *_: getattr(each, "outcome", each).ticket == ids[1],
        )
        with monkeypatch.context() as patch:
            patch.setattr(exports, converter, bad)
            with pytest.raises(JournalDamaged, match="images:2 cannot be exported") as caught:
                await batch.export(target)
        assert (ids[1], str(file_path)) == (caught.value.ticket, caught.value.path)
        assert not target.exists()
        assert 4 == await batch.export(target)


async def test_lone_surrogate_in_a_message_spares_the_export(
    a_client, emulator, file_path, tmp_path
):
    """JSON can hold one and a file in UTF-8 cannot, so CSV shows a question mark."""
    ticket = emulator.add_job("images:1", fails=True, duration=0)
    async with a_client() as client, Batch.open(file_path, client=client) as batch:
        await batch.add([ticket])
        await all_of(batch.run())
        await batch.journal._store.write(
            lambda db: db.execute(
                """UPDATE replies SET body = '{"status":"failed","message":"half \\ud800"}'"""
            )
        )
        assert 1 == await batch.export(tmp_path / "all.csv")
    assert "half ?" in (tmp_path / "all.csv").read_text(encoding="utf-8")


async def test_full_disk_ends_the_run_though_an_outcome_cannot_be_encoded(
    a_client, ids, file_path, monkeypatch
):
    """An error of the journal belongs to no ticket."""

    def encode(_value):
        raise JournalFull("there is no room") if encode.is_full else Foreign(KEY)

    async def write(run, completions):
        encode.is_full = len(completions) == 1
        return await real_write(run, completions)

    encode.is_full = False
    real_write = LeasedTickets._write
    async with a_client() as client, Batch.open(file_path, client=client) as batch:
        await batch.add(ids)
        monkeypatch.setattr(tickets, "encode", encode)
        monkeypatch.setattr(LeasedTickets, "_write", write)
        with pytest.raises(JournalFull):
            await all_of(batch.run())
        monkeypatch.undo()
        assert {Success} == {type(each) for each in await all_of(batch.run())}


async def test_closed_save_has_no_further_results(a_client, file_path, emulator, tmp_path):
    """A caller that asks after the close gets an error, and does not wait."""
    downloads = Downloads(to=tmp_path / "out", http=httpx.ASGITransport(app=emulator))
    emulator.add_job("images:1", duration=1000)
    async with a_client() as client, downloads, Batch.open(file_path, client=client) as batch:
        await batch.add(["images:1"])
        run_id = await batch.journal.leases.begin_run(lease=60)
        poll_run = PollRun(client.engine, batch.journal, run_id=run_id, before_run=run_id, lease=60)
        save_run = SaveRun(poll_run, downloads, batch.journal, before_run=run_id)
        save_run.start(timeout=None, window=10)
        await save_run.close()
        for _ in range(2):
            with pytest.raises(JournalError, match="closed"):
                await save_run.next_results()


async def test_claim_of_saves_without_a_lease_ends_the_save_run(
    a_client, file_path, emulator, tmp_path
):
    """The batch then begins another run."""
    downloads = Downloads(to=tmp_path / "out", http=httpx.ASGITransport(app=emulator))
    async with a_client() as client, downloads, Batch.open(file_path, client=client) as batch:
        run_id = await batch.journal.leases.begin_run(lease=60)
        poll_run = PollRun(client.engine, batch.journal, run_id=run_id, before_run=run_id, lease=60)
        save_run = SaveRun(poll_run, downloads, batch.journal, before_run=run_id)
        await batch.journal.leases.end_run(run_id)
        save_run.start(timeout=None, window=10)
        assert await save_run.next_results() is None
        assert save_run.has_lost_lease
        await save_run.close()


class ForeignBase(BaseException):
    """An exception that `except Exception` does not catch."""


@pytest.mark.parametrize("task", [PollRun, SaveRun], ids=["polling", "saving"])
async def test_run_raises_whatever_ends_its_task(a_client, ids, file_path, monkeypatch, task):
    """The caller of a run gets what its task died of, and does not wait for ever."""

    async def fail(*_args, **_more):
        raise ForeignBase("odd")
        yield

    name = "_claim_tickets" if task is PollRun else "_claim_saves"
    monkeypatch.setattr(task, name, fail)
    async with (
        asyncio.timeout(300),
        a_client() as client,
        Downloads(client, to=file_path.parent / "out") as downloads,
        Batch.open(file_path, client=client) as batch,
    ):
        await batch.add(ids)
        with pytest.raises(ForeignBase):
            await all_of(batch.save(downloads))


async def test_what_ends_the_poller_reaches_every_caller(a_client, ids, monkeypatch):
    """An exception of any kind in the poller's own task ends the waits with an error."""
    async with asyncio.timeout(300), a_client() as client:
        sender = client.engine.status_client

        async def fail(*_args):
            raise GeneratorExit

        monkeypatch.setattr(type(sender), "poll", fail)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="poller of this client has stopped"):
                await client.gather(ids)


async def test_what_a_source_raises_reaches_the_caller(a_client, ids):
    """A stream does not wait for a source that ended with an exception of any kind."""

    async def source():
        yield ids[0]
        raise ForeignBase("odd")

    async with asyncio.timeout(300), a_client() as client:
        with pytest.raises(ForeignBase):
            await all_of(client.stream(source()))
