"""Submits of a batch: written down before they are sent, and never sent twice by a restart."""

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from modelslab_async import (
    AuthenticationError,
    Batch,
    Client,
    GenerationFailed,
    JournalFull,
    Pace,
    Processing,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
)
from modelslab_async._journal.run_leases import RunLeases
from modelslab_async.emulator import Emulator, Jobs, run_server
from modelslab_async.journal import Journal

REALTIME = "realtime/text2img"
WORKER = Path(__file__).with_name("submit_program.py")


class Broken:
    """What is sent through it is lost: before it left, or after the service had taken it."""

    def __init__(self, inner, *, after):
        self.inner, self.after = inner, after

    async def exchange(self, request):
        if self.after:
            await self.inner.exchange(request)
        raise TransportError("the connection broke", may_have_been_sent=self.after)


def client_of(emulator, key="a-key-for-tests"):
    return Client(key, http=httpx.ASGITransport(app=emulator), pace=Pace(floor=0.05))


@pytest.fixture
def broken(a_client):
    """A client whose every exchange breaks."""

    def make(*, after):
        http = a_client().engine.status_client._sender._transport
        return Client("a-key-for-tests", http=Broken(http, after=after), pace=Pace(max_failures=1))

    return make


async def test_what_is_submitted_joins_the_batch(a_client, emulator, path):
    """Its ticket is in the file when it is handed out, and `run` waits for it."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        begun = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert begun.ticket == (await batch.journal.find_submit("7")).ticket
        assert [] == await batch.uncertain()
        assert [begun.ticket] == [each.ticket async for each in batch.run()]
    assert 1 == len(emulator.submits)


async def test_the_same_program_again_sends_nothing_again(a_client, emulator, path):
    """A submit with a known track_id is answered from the file: begun, done or failed."""
    for _ in range(2):
        async with a_client() as client, Batch.open(path, client=client) as batch:
            begun = await batch.submit(REALTIME, prompt="a cat", track_id=7)
            assert isinstance(begun, Processing)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        (outcome,) = [each async for each in batch.run()]
        assert outcome == await batch.submit(REALTIME, prompt="a cat", track_id=7)
        with pytest.raises(ValueError, match="'7' is in this journal for another submit"):
            await batch.submit(REALTIME, prompt="a dog", track_id=7)
    assert 1 == len(emulator.submits)


async def test_what_failed_stays_failed(path):
    """A failed job is not started again by the same program."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), failure_rate=1.0, seed=1))
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert 1 == len([each async for each in batch.run()])
        with pytest.raises(GenerationFailed):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)


async def test_a_result_that_comes_at_once_is_kept(path):
    """Where the reply to the submit is the result, nothing is left to look at."""
    emulator = Emulator(jobs=Jobs(immediate=1.0, seed=1))
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        done = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert isinstance(done, Success)
        assert [] == [each async for each in batch.run()]
        assert [done] == [each async for each in batch.outcomes()]
    assert 0 == emulator.polls.total()


async def test_a_doubtful_submit_is_listed_and_never_sent_again(broken, a_client, emulator, path):
    """Until somebody has looked, and told the journal what it started."""
    async with broken(after=True) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(SubmitUncertain):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        (intent,) = await batch.uncertain()
        with pytest.raises(SubmitUncertain, match="look for it") as caught:
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert (intent.track_id, intent.payload_hash) == (
            *(caught.value.track_id, caught.value.payload_hash),
        )
        assert 1 == (await batch.report()).uncertain
        await batch.journal.confirm("7", emulator.submits[0].ticket)
        assert [] == await batch.uncertain()
        begun = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert emulator.submits[0].ticket == begun.ticket
    assert 1 == len(emulator.submits)


async def test_what_started_nothing_can_be_sent_again(broken, path):
    """A refusal, or a submit that never left, leaves no mark in the file."""
    emulator = Emulator(keys={"a-key-for-tests"})
    async with client_of(emulator, "another-key") as client, Batch.open(path, client=client) as b:
        with pytest.raises(AuthenticationError):
            await b.submit(REALTIME, prompt="a cat", track_id=7)
        assert await b.journal.find_submit("7") is None
    async with broken(after=False) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(TransportError):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert await batch.journal.find_submit("7") is None
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        begun = await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert [begun.ticket] == [each.ticket for each in emulator.submits if each.ticket]


async def test_nothing_is_sent_that_is_not_written_down(a_client, emulator, path, monkeypatch):
    """A full disk stops the submit, not the file."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    monkeypatch.setattr(Journal, "record_submit", full)
    async with a_client(slots=1) as client, Batch.open(path, client=client) as batch:
        for _ in range(2):  # The place that was taken is free again.
            with pytest.raises(JournalFull):
                await batch.submit(REALTIME, prompt="a cat")
    assert [] == emulator.submits


async def test_work_that_could_not_be_written_down_is_told(a_client, emulator, path, monkeypatch):
    """The error names the ticket, and the file says that a submit is uncertain."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    async with a_client() as client, Batch.open(path, client=client) as batch:
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "confirm", full)
            with pytest.raises(JournalFull) as caught:
                await batch.submit(REALTIME, prompt="a cat", track_id=7)
        ticket = emulator.submits[0].ticket
        assert str(ticket) in "".join(caught.value.__notes__)
        assert (await batch.journal.find_submit("7")).ticket is None


async def test_whoever_gives_up_waiting_leaves_no_doubt(a_client, emulator, path):
    """A cancelled submit that is on its way is waited for, and its ticket kept."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
        while await batch.journal.find_submit("7") is None:
            await asyncio.wait([submit], timeout=0.001)
        submit.cancel()
    async with Batch.open(path) as batch:
        assert [] == await batch.uncertain()
        assert emulator.submits[0].ticket == (await batch.journal.find_submit("7")).ticket


async def test_what_another_process_sends_is_not_doubtful(path):
    """Only once the lease of a process that died is over does anybody need to look for it."""
    ahead = 0.0

    def clock():
        return time.time() + ahead

    lost, found = asyncio.Event(), asyncio.Event()

    class Slow:
        async def exchange(self, _request):
            lost.set()
            await found.wait()
            raise TransportError("the connection broke", may_have_been_sent=True)

    async with (
        Client("a-key-for-tests", http=Slow()) as client,
        Batch.open(path, client=client, lease=1000.0) as theirs,
        Batch.open(path, clock=clock) as ours,
    ):
        submit = asyncio.create_task(theirs.submit(REALTIME, prompt="a cat", track_id=7))
        await lost.wait()
        assert [] == await ours.uncertain()
        ahead = 1001.0
        assert ["7"] == [each.track_id for each in await ours.uncertain()]
        ahead = 0.0
        found.set()
        with pytest.raises(SubmitUncertain):
            await submit


async def test_without_a_client(path):
    """It says what is missing."""
    async with Batch.open(path) as batch:
        with pytest.raises(ValueError, match="a submit needs a client"):
            await batch.submit(REALTIME, prompt="a cat")


async def test_a_process_that_is_killed_loses_and_repeats_nothing(path):
    """However often it dies: nothing is paid twice, and all work is in the file or in doubt."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.05), seed=1))
    async with run_server(emulator) as url:
        for round_ in range(1, 13):
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, WORKER, path, url, str(round_))
            )
            # It dies somewhere in the midst of its submits, wherever it has come to by then.
            ended = asyncio.create_task(worker.wait())
            while len(emulator.submits) < 5 * round_ and not ended.done():
                await asyncio.wait([ended], timeout=0.005)
            with suppress(ProcessLookupError):
                worker.kill()
            await ended
        assert 60 <= len(emulator.submits)
        started = Counter(str(each.fields["track_id"]) for each in emulator.submits)
        assert 1 == max(started.values())
        async with Journal.open(path) as journal:
            for each in emulator.submits:
                intent = await journal.find_submit(str(each.fields["track_id"]))
                assert intent is not None
                assert intent.ticket in (None, Ticket.of(each.ticket))


async def test_a_lease_that_another_ended_is_taken_anew(a_client, path):
    """Who slept for too long has no run any more; the next submit begins another."""
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=0.4) as batch,
        Journal.open(path, clock=lambda: time.time() + 1000) as other,
    ):
        await batch.submit(REALTIME, prompt="a cat", track_id=1)
        first = batch._journaled_submits._run_id
        run = await other.leases.begin_run(lease=10)
        await other.leases.claim(run, before_run=run, limit=1, lease=10)
        beating = batch._journaled_submits._renewal_task
        await asyncio.wait([beating], timeout=60)
        assert beating.done()
        await batch.submit(REALTIME, prompt="a dog", track_id=2)
        assert batch._journaled_submits._run_id > run > first


async def test_trouble_with_the_journal_is_told_and_outlived(
    a_client, broken, path, monkeypatch, caplog
):
    """What could not be renewed, ended or withdrawn is said in the log, and harms no submit."""

    async def locked(*_args, **_more):
        raise JournalFull("there is no room")

    async with a_client() as client, Batch.open(path, client=client, lease=0.2) as batch:
        await batch.submit(REALTIME, prompt="a cat", track_id=1)
        monkeypatch.setattr(RunLeases, "renew", locked)
        async with asyncio.timeout(30):
            while "could not be renewed" not in caplog.text:
                await asyncio.wait([batch._journaled_submits._renewal_task], timeout=0.01)
        monkeypatch.setattr(RunLeases, "end_run", locked)
    assert "a run stays open for up to 0.2 s" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(Journal, "withdraw", locked)
    async with broken(after=False) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(TransportError):
            await batch.submit(REALTIME, prompt="a cat", track_id=2)
    assert "submit 2 started nothing, but stays recorded as uncertain" in caplog.text
