"""Submits of a batch are recorded before they are sent, and a restart sends none twice."""

import asyncio
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest
from everyday import cases

from modelslab_async import (
    ENDPOINTS,
    AuthenticationError,
    Batch,
    Client,
    Endpoint,
    GenerationFailed,
    JournalError,
    JournalFull,
    Pace,
    Processing,
    Submission,
    SubmitRetried,
    SubmitSent,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    UnusableFile,
)
from modelslab_async._batch.journal_submit_recorder import JournalSubmitRecorder
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async._submitting.submit_request import SubmitRequest
from modelslab_async.emulator import Emulator, Jobs, run_server
from modelslab_async.journal import Journal

from .conftest import HeldReplies

REALTIME = "realtime/text2img"
# `stopped_clock` as a date.
BY_TIME = "by its time (sent about 2027-01-15T08:00:00+00:00)"
WORKER = Path(__file__).with_name("submit_program.py")


class BrokenTransport:
    """Loses each request, before or after the server received it."""

    def __init__(self, inner, *, after):
        self.inner, self.after = inner, after

    async def exchange(self, request):
        if self.after:
            await self.inner.exchange(request)
        raise TransportError("the connection broke", may_have_been_sent=self.after)


def stopped_clock():
    """The clock of a journal whose leases never run out, however short they are."""
    return 1_800_000_000.0


def client_of(emulator, key="a-key-for-tests"):
    return Client(key, http=httpx.ASGITransport(app=emulator), pace=Pace(floor=0.05))


@pytest.fixture
def broken_client(a_client):
    """Make clients whose every exchange breaks."""

    def make(*, after):
        http = a_client().engine.status_client._sender._transport
        return Client(
            "a-key-for-tests", http=BrokenTransport(http, after=after), pace=Pace(max_failures=1)
        )

    return make


async def test_submitted_ticket_joins_the_batch(a_client, emulator, path):
    """It is recorded when it is handed out, and `run` waits for it."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert reply.ticket == (await batch.journal.find_submit("7")).ticket
        assert [] == await batch.uncertain()
        assert [reply.ticket] == [each.ticket async for each in batch.run()]
    assert 1 == len(emulator.submits)


async def test_restarted_program_submits_nothing_twice(a_client, emulator, path):
    """A known track_id is answered from the journal."""
    for _ in range(2):
        async with a_client() as client, Batch.open(path, client=client) as batch:
            reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
            assert isinstance(reply, Processing)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        (outcome,) = [each async for each in batch.run()]
        assert outcome == await batch.submit(REALTIME, prompt="a cat", track_id=7)
        with pytest.raises(ValueError, match="'7' is in this journal for another submit"):
            await batch.submit(REALTIME, prompt="a dog", track_id=7)
    assert 1 == len(emulator.submits)


async def test_key_of_a_submission_is_answered_from_the_journal(a_client, emulator, path):
    """A key of the caller's own does what a track_id does, and is not sent."""
    submission = Submission(REALTIME, {"prompt": "a cat"}, key="row 1")
    for _ in range(2):
        async with a_client() as client, Batch.open(path, client=client) as batch:
            reply = await batch.submit(submission)
            assert emulator.submits[0].ticket == reply.ticket
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(ValueError, match="is in this journal for another submit"):
            await batch.submit(Submission(REALTIME, {"prompt": "a dog"}, key="row 1"))
    assert 1 == len(emulator.submits)


async def test_submit_whose_file_is_gone_is_answered_from_the_journal(
    a_client, emulator, path, tmp_path
):
    """The program deletes its upload after the submit. Its error would say: nothing was started."""
    image = tmp_path / "in.png"
    parameters = {"prompt": "a cat", "init_image": image}
    named = [
        Submission("realtime/img2img", parameters, key="row 1"),
        Submission("realtime/img2img", parameters | {"track_id": 7}),
    ]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        image.write_bytes(b"\x89PNG\r\n\x1a\n")
        tickets = [(await batch.submit(each)).ticket for each in named]
        image.unlink()
        assert tickets == [(await batch.submit(each)).ticket for each in named]
        with pytest.raises(UnusableFile, match="nothing was started"):
            await batch.submit(named[0].with_key("row 2"))
        with pytest.raises(ValueError, match="'row 1' is in this journal for another submit"):
            await batch.submit(Submission("images/img2img", parameters, key="row 1"))
    assert 2 == len(emulator.submits)


async def test_submit_with_the_track_id_of_another_key_is_refused(a_client, emulator, path):
    """Its own key would name no submit in the journal, and nothing would say so."""
    first = Submission(REALTIME, {"prompt": "a cat", "track_id": 7}, key="row 1")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        ticket = (await batch.submit(first)).ticket
        with pytest.raises(ValueError, match="track_id '7' is in this journal for another submit"):
            await batch.submit(first.with_key("row 2"))
        assert ticket == (await batch.submit(REALTIME, prompt="a cat", track_id=7)).ticket
    assert 1 == len(emulator.submits)


async def test_key_is_looked_up_before_the_track_id(emulator, path):
    """The row is known by its key, although another row with its new track_id is in flight."""
    held = HeldReplies(emulator)
    first = Submission(REALTIME, {"prompt": "a cat", "track_id": 7}, key="row 1")
    async with (
        Client("a-key-for-tests", http=held) as client,
        Batch.open(path, client=client) as batch,
    ):
        held.released.set()
        ticket = (await batch.submit(first)).ticket
        held.arrived.clear()
        held.released.clear()
        second = Submission(REALTIME, {"prompt": "a dog", "track_id": 8}, key="row 2")
        in_flight = asyncio.create_task(batch.submit(second))
        await held.arrived.wait()
        try:
            renumbered = Submission(REALTIME, {"prompt": "a cat", "track_id": 8}, key="row 1")
            assert ticket == (await batch.submit(renumbered)).ticket
        finally:
            held.released.set()
        await in_flight
    assert 2 == len(emulator.submits)


async def test_empty_track_id_is_refused(a_client, emulator, path):
    """It names no submit, so the same program would pay again."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(
            ValueError, match=r"track_id, .* is empty; give another, or leave it out"
        ):
            await batch.submit(REALTIME, prompt="a cat", track_id="")
        keyed = Submission(REALTIME, {"prompt": "a cat", "track_id": ""}, key="row 1")
        assert (await batch.submit(keyed)).ticket == (await batch.submit(keyed)).ticket
    assert 1 == len(emulator.submits)


async def test_failed_submit_is_not_sent_again(path):
    """The same program gets the same error."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), failure_rate=1.0, seed=1))
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert 1 == len([each async for each in batch.run()])
        with pytest.raises(GenerationFailed):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)


async def test_second_process_waits_for_the_reply_of_the_first(path, monkeypatch):
    """Both run the same loop of submits. Each submit is sent once, and both have its ticket."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), seed=1))
    arrived, released = asyncio.Event(), asyncio.Event()
    inner = httpx.ASGITransport(app=emulator)

    class Held(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            response = await inner.handle_async_request(request)
            arrived.set()
            await released.wait()
            return response

    lookups = asyncio.Queue()
    find = Journal.find_submit

    async def looked_up(self, track_id):
        lookups.put_nowait(track_id)
        return await find(self, track_id)

    async with (
        Client("a-key-for-tests", http=Held()) as client,
        client_of(emulator) as other_client,
        Batch.open(path, client=client) as batch,
        Batch.open(path, client=other_client, lease=0.2) as other,
    ):
        first = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
        await arrived.wait()
        monkeypatch.setattr(Journal, "find_submit", looked_up)
        second = asyncio.create_task(other.submit(REALTIME, prompt="a cat", track_id=7))
        for _ in range(3):
            assert "7" == await lookups.get()
        with pytest.raises(ValueError, match="for another submit"):
            await other.submit(REALTIME, prompt="a dog", track_id=7)
        released.set()
        assert (await first).ticket == (await second).ticket
    assert 1 == len(emulator.submits)


async def test_submit_that_another_process_sent_after_the_lookup_gets_its_reply(
    a_client, emulator, path, monkeypatch
):
    """The second process looks first, records second, and sends nothing."""
    find = Journal.find_submit

    async with (
        a_client() as client,
        Batch.open(path, client=client) as batch,
        Batch.open(path, client=client) as other,
    ):

        async def find_too_early(self, track_id):
            found = await find(self, track_id)
            if found is None and self is other.journal:
                await batch.submit(REALTIME, prompt="a cat", track_id=7)
            return found

        monkeypatch.setattr(Journal, "find_submit", find_too_early)
        reply = await other.submit(REALTIME, prompt="a cat", track_id=7)
    assert [reply.ticket] == [submit.ticket for submit in emulator.submits]


async def test_immediate_result_is_recorded(path):
    """Nothing is left to poll."""
    emulator = Emulator(jobs=Jobs(immediate=1.0, seed=1))
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        done = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert isinstance(done, Success)
        assert [] == [each async for each in batch.run()]
        assert [done] == [each async for each in batch.outcomes()]
    assert 0 == emulator.polls.total()


async def test_submit_that_was_recorded_and_never_sent_is_only_called_possible(a_client, path):
    """The program may have been killed between the record and the request."""
    payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], {"prompt": "a cat"}).payload_hash
    async with Journal.open(path) as journal:
        await journal.record_submit("7", endpoint=REALTIME, payload_hash=payload_hash)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(SubmitUncertain, match="may have been sent before, and may or may not"):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)


async def test_uncertain_submit_is_listed_and_not_sent_again(
    broken_client, a_client, emulator, path
):
    """Until the caller confirms its ticket."""
    async with broken_client(after=True) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(SubmitUncertain):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert 1 == len(emulator.submits)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        (recorded,) = await batch.uncertain()
        with pytest.raises(SubmitUncertain, match="look for it in your account") as caught:
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert (recorded.track_id, recorded.payload_hash) == (
            *(caught.value.track_id, caught.value.payload_hash),
        )
        assert 1 == (await batch.report()).uncertain
        await batch.journal.confirm("7", emulator.submits[0].ticket)
        assert [] == await batch.uncertain()
        reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert emulator.submits[0].ticket == reply.ticket
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (REALTIME, "or in a webhook with the track_id 7"),
        ("workflows/run", f"{BY_TIME} or, if it was sent with a track_id, by 7"),
        ("v9_images/paint", f"{BY_TIME} or, if it was sent with a track_id, by 7"),
    ],
)
async def test_earlier_submit_is_looked_for_by_what_the_service_can_show(path, name, where):
    """If the endpoint takes no track_id, the id may be in the journal alone."""
    paint = Endpoint(name="v9_images/paint", url="{base}/v9/images/paint", resolved_by="images")
    endpoints = ENDPOINTS | {paint.name: paint}
    submission = Submission(name, {"workflow_id": "1", "prompt": "a cat"}, key="row 1")
    payload_hash = SubmitRequest.of(endpoints[name], submission.parameters).payload_hash
    async with Journal.open(path, clock=stopped_clock) as journal:
        await journal.record_submit(
            "7", endpoint=name, payload_hash=payload_hash, key=submission.key
        )
    async with (
        Client("a-key-for-tests", endpoints=endpoints) as client,
        Batch.open(path, client=client) as batch,
    ):
        with pytest.raises(SubmitUncertain) as caught:
            await batch.submit(submission)
        [(_, result)] = [each async for each in batch.generate_many([submission])]
    assert f"look for it in your account at the service, {where}; then call" in str(caught.value)
    assert str(caught.value) == str(result.cause)
    assert "7" == caught.value.track_id


async def test_refused_submit_can_be_sent_again(broken_client, path):
    """So can one that never left."""
    emulator = Emulator(keys={"a-key-for-tests"})
    async with client_of(emulator, "another-key") as client, Batch.open(path, client=client) as b:
        with pytest.raises(AuthenticationError):
            await b.submit(REALTIME, prompt="a cat", track_id=7)
        assert await b.journal.find_submit("7") is None
    async with broken_client(after=False) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(TransportError):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert await batch.journal.find_submit("7") is None
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        reply = await batch.submit(REALTIME, prompt="a cat", track_id=7)
    assert [reply.ticket] == [each.ticket for each in emulator.submits if each.ticket]


@pytest.mark.parametrize("status_code", [401, 429])
async def test_refusal_that_names_a_job_leaves_its_submit_uncertain(path, status_code):
    """The work may have begun. The journal keeps the submit, and the ticket for later processes."""
    submits = []

    def answer(request):
        submits.append(request)
        return httpx.Response(status_code, json={"status": "processing", "id": 111})

    http, submission = httpx.MockTransport(answer), Submission(REALTIME, {"prompt": "a"}, key="a")
    async with (
        Client("a-key-for-tests", http=http) as client,
        Batch.open(path, client=client) as batch,
    ):
        with pytest.raises(SubmitUncertain, match="the reply names realtime:111") as caught:
            await batch.submit(submission)
    async with (
        Client("a-key-for-tests", http=http) as client,
        Batch.open(path, client=client) as batch,
    ):
        with pytest.raises(SubmitUncertain, match="its reply names realtime:111, so") as again:
            await batch.submit(submission)
        [(_, result)] = [pair async for pair in batch.generate_many([submission])]
        [uncertain] = await batch.uncertain()
        named = (caught.value.ticket, again.value.ticket, result.cause.ticket)
        assert (uncertain.named_ticket,) * 3 == named
        await batch.journal.confirm(uncertain.track_id, uncertain.named_ticket)
        assert Ticket("realtime", 111) == (await batch.submit(submission)).ticket
    assert 1 == len(submits)


async def test_submit_is_not_sent_if_it_cannot_be_recorded(a_client, emulator, path, monkeypatch):
    """A full disk stops the submit, and its slot is free again."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    monkeypatch.setattr(RunOperations, "record_own", full)
    async with a_client(queue=1) as client, Batch.open(path, client=client) as batch:
        for _ in range(2):  # The place that was taken is free again.
            with pytest.raises(JournalFull):
                await batch.submit(REALTIME, prompt="a cat")
    assert [] == emulator.submits


async def test_unrecorded_ticket_is_named_by_the_error(a_client, emulator, path, monkeypatch):
    """The journal lists the submit as uncertain."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    async with a_client() as client, Batch.open(path, client=client) as batch:
        with monkeypatch.context() as patch:
            patch.setattr(RunOperations, "confirm_sent", full)
            with pytest.raises(JournalFull) as caught:
                await batch.submit(REALTIME, prompt="a cat", track_id=7)
            ticket = emulator.submits[0].ticket
            assert str(ticket) in "".join(caught.value.__notes__)
            assert (await batch.journal.find_submit("7")).ticket is None


async def test_submit_is_recorded_although_the_program_leaves_its_folder_meanwhile(
    a_client, tmp_path, monkeypatch
):
    """A relative path of a journal names the file that it named when the batch was opened."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")

    def leave(event):
        if isinstance(event, SubmitSent):
            monkeypatch.chdir(tmp_path / "second")

    async with a_client(on_event=leave) as client, Batch.open("a.journal", client=client) as batch:
        reply = await batch.submit(Submission(REALTIME, {"prompt": "a fox"}, key="fox"))
        assert reply.ticket == (await batch.journal.find_submit_by_key("fox")).ticket
        assert [] == await batch.uncertain()
    assert ["a.journal"] == [file.name for file in (tmp_path / "first").iterdir()]
    assert [] == list((tmp_path / "second").iterdir())


async def test_cancelled_submit_in_flight_is_recorded(emulator, path):
    """The batch waits for its reply, and keeps its ticket."""
    held = HeldReplies(app=emulator)
    async with (
        Client("a-key-for-tests", http=held) as client,
        Batch.open(path, client=client) as batch,
    ):
        submit = asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7))
        await held.arrived.wait()
        submit.cancel()
        held.released.set()
    async with Batch.open(path) as batch:
        assert [] == await batch.uncertain()
        assert emulator.submits[0].ticket == (await batch.journal.find_submit("7")).ticket


@pytest.mark.parametrize("cancels", ["a task", "a scope"])
async def test_submit_in_flight_is_recorded_however_often_its_batch_is_cancelled(
    emulator, path, monkeypatch, cancels
):
    """Closing waits for the reply, and then the block ends as cancelled."""
    close, closing, held = JournalSubmitRecorder.close, asyncio.Event(), HeldReplies(app=emulator)

    async def announced_close(recorder):
        closing.set()
        await close(recorder)

    async def submit_in_batch():
        async with (
            Client("a-key-for-tests", http=held) as client,
            Batch.open(path, client=client) as batch,
        ):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)

    async def submit_in_scope():
        # anyio cancels the tasks of a scope again and again.
        with scope:
            await submit_in_batch()

    monkeypatch.setattr(JournalSubmitRecorder, "close", announced_close)
    scope = anyio.CancelScope()
    is_scope = cancels == "a scope"
    working = asyncio.create_task(submit_in_scope() if is_scope else submit_in_batch())
    await held.arrived.wait()
    cancel = scope.cancel if is_scope else working.cancel
    cancel()
    await closing.wait()
    for _ in range(3):
        cancel()
        await asyncio.sleep(0)
    held.released.set()
    await asyncio.wait([working])
    assert scope.cancelled_caught if is_scope else working.cancelled()
    async with Batch.open(path) as batch:
        assert [] == await batch.uncertain()
        assert emulator.submits[0].ticket == (await batch.journal.find_submit("7")).ticket


async def test_batch_is_left_while_on_submitted_does_not_return(emulator, path):
    """The ticket is recorded before the hook is called, so closing does not wait for the hook."""
    is_called, may_return = asyncio.Event(), asyncio.Event()

    async def wait(_):
        is_called.set()
        await may_return.wait()

    async def submit_in_batch(client):
        async with Batch.open(path, client=client) as batch:
            await batch.submit(REALTIME, prompt="a cat", track_id=7)

    http = httpx.ASGITransport(app=emulator)
    async with Client("a-key-for-tests", http=http, on_submitted=wait) as client:
        working = asyncio.create_task(submit_in_batch(client))
        await is_called.wait()
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()
        may_return.set()
    async with Batch.open(path) as batch:
        assert emulator.submits[0].ticket == (await batch.journal.find_submit("7")).ticket


async def test_submit_of_a_living_process_is_not_uncertain(path):
    """It is listed once its lease is over."""
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


@pytest.fixture
def room(monkeypatch):
    """An event. Until it is set, the journal has no room for the result of a submit."""
    has_room = asyncio.Event()

    def bound(owner, name):
        real = getattr(owner, name)

        async def write(self, *given, **more):
            if not has_room.is_set():
                raise JournalFull("there is no room")
            return await real(self, *given, **more)

        monkeypatch.setattr(owner, name, write)

    bound(RunOperations, "confirm_sent")
    bound(RunOperations, "mark_uncertain")
    bound(RunOperations, "withdraw_own")
    return has_room


@pytest.mark.parametrize("by", ["submit", "generate_many"])
async def test_ticket_that_could_not_be_recorded_is_recorded_later(
    a_client, emulator, path, room, by
):
    """The next call with the same key gets it, sends nothing, and does not wait forever."""
    submission = Submission(REALTIME, {"prompt": "a cat"}, key="row 1")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        for _ in range(2):
            with pytest.raises(JournalFull):
                await batch.submit(submission)
        room.set()
        if by == "submit":
            reply = await batch.submit(submission)
        else:
            [(_, reply)] = [each async for each in batch.generate_many([submission])]
        assert [reply.ticket] == [each.ticket for each in emulator.submits]


@pytest.mark.usefixtures("frequent_renewals")
async def test_ticket_that_could_not_be_recorded_is_recorded_without_a_call(
    a_client, emulator, path, room
):
    """The batch tries again at intervals, and when it is closed."""
    async with a_client() as client, Batch.open(path, client=client, lease=600) as batch:
        with pytest.raises(JournalFull):
            await batch.submit(REALTIME, prompt="a cat", track_id=1)
        room.set()
        while (await batch.journal.find_submit("1")).ticket is None:
            assert [] == await batch.uncertain()
        room.clear()
        with pytest.raises(JournalFull):
            await batch.submit(REALTIME, prompt="a dog", track_id=2)
        room.set()
    async with Batch.open(path) as batch:
        assert [] == await batch.uncertain()
        tickets = [(await batch.journal.find_submit(each)).ticket for each in "12"]
    assert [each.ticket for each in emulator.submits] == tickets


@pytest.mark.usefixtures("room", "frequent_renewals")
async def test_ticket_that_never_could_be_recorded_is_logged(a_client, emulator, path, caplog):
    """The journal lists the submit as uncertain."""
    async with a_client() as client, Batch.open(path, client=client, lease=600) as batch:
        with pytest.raises(JournalFull):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        while "trying again" not in caplog.text:
            assert [] == await batch.uncertain()
    async with Batch.open(path) as batch:
        assert ["7"] == [each.track_id for each in await batch.uncertain()]
    (submit,) = emulator.submits
    assert f"submit 7 as uncertain, though the work was started as {submit.ticket}" in caplog.text


async def test_refused_attempt_that_could_not_be_recorded_is_repeated(path, emulator, room):
    """Its record is deleted before the next attempt, which would else wait for its result."""
    refusals = iter([True])

    async def answer(request):
        if next(refusals, False):
            body = {"status": "error", "message": "Rate limit exceeded", "retry_after": 0.01}
            return httpx.Response(429, json=body)
        return await httpx.ASGITransport(app=emulator).handle_async_request(request)

    def make_room(event):
        if isinstance(event, SubmitRetried):
            room.set()

    http = httpx.MockTransport(answer)
    async with (
        Client("a-key-for-tests", http=http, pace=Pace(floor=0.05), on_event=make_room) as client,
        Batch.open(path, client=client) as batch,
    ):
        submission = Submission(REALTIME, {"prompt": "a cat"}, key="row 1")
        [(_, result)] = [each async for each in batch.generate_many([submission])]
        assert isinstance(result, Success)
        assert [] == await batch.uncertain()
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("error", [JournalFull("no room"), ValueError("no such value")], ids=str)
async def test_ticket_that_cannot_be_recorded_stops_no_other_submit(
    a_client, emulator, path, monkeypatch, error
):
    """Its own submits raise, those of other rows are sent, and the batch can be closed."""
    real = RunOperations.confirm_sent

    async def confirm_sent(self, own, *given, **more):
        if own.submit.key == "row 1":
            raise error if stays_broken else JournalFull("no room")
        await real(self, own, *given, **more)

    stays_broken = False
    monkeypatch.setattr(RunOperations, "confirm_sent", confirm_sent)
    rows = [Submission(REALTIME, {"prompt": key}, key=key) for key in ("row 1", "row 2")]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        with pytest.raises(JournalFull):
            await batch.submit(rows[0])
        stays_broken = True
        assert isinstance(await batch.submit(rows[1]), Processing | Success)
        with pytest.raises(type(error), match=str(error)):
            await batch.submit(rows[0])
    assert ["row 1", "row 2"] == [each.fields["prompt"] for each in emulator.submits]


async def test_uncertain_submit_that_could_not_be_recorded_is_listed_later(
    broken_client, path, room
):
    """The next call with the same track_id raises, and does not wait forever."""
    async with broken_client(after=True) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(SubmitUncertain):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert [] == await batch.uncertain()
        room.set()
        with pytest.raises(SubmitUncertain):
            await batch.submit(REALTIME, prompt="a cat", track_id=7)
        assert ["7"] == [each.track_id for each in await batch.uncertain()]


async def test_submit_without_a_client_is_refused(path):
    """The error says what is missing."""
    async with Batch.open(path) as batch:
        with pytest.raises(ValueError, match="a submit needs a client"):
            await batch.submit(REALTIME, prompt="a cat")


@pytest.mark.parametrize("rounds", cases([4], [12]))
async def test_killed_process_loses_and_repeats_no_submit(path, rounds):
    """However often it is killed, all work is in the journal, as a ticket or as uncertain."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.05), seed=1))
    async with run_server(emulator) as url:
        for round_ in range(1, rounds + 1):
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
        assert 5 * rounds <= len(emulator.submits)
        started = Counter(str(each.fields["track_id"]) for each in emulator.submits)
        assert 1 == max(started.values())
        async with Journal.open(path) as journal:
            for each in emulator.submits:
                recorded = await journal.find_submit(str(each.fields["track_id"]))
                assert recorded is not None
                assert recorded.ticket in (None, Ticket.of(each.ticket))


@pytest.mark.parametrize("stall", ["lease over", "run ended"])
async def test_submit_in_flight_after_a_stall_of_its_process_is_not_uncertain(
    emulator, path, stall
):
    """Other processes wait for its reply, whatever has become of the run meanwhile."""
    ahead, listed = 0.0, []

    def clock():
        return time.time() + ahead

    async def answer(request):
        listed.append(await other.uncertain())
        return await httpx.ASGITransport(app=emulator).handle_async_request(request)

    async with (
        Client("a-key-for-tests", http=httpx.MockTransport(answer)) as client,
        Batch.open(path, client=client, clock=clock) as batch,
        Journal.open(path, clock=clock) as other,
    ):
        await batch.submit(REALTIME, prompt="a cat", track_id=1)
        ahead = 1000.0
        if stall == "run ended":
            await other.leases.end_run(batch._journaled_submits._own_submits_lease._run_id)
        await batch.submit(REALTIME, prompt="a dog", track_id=2)
    assert [[], []] == listed


async def test_submits_after_the_end_of_their_run_share_a_new_run(
    a_client, emulator, path, monkeypatch, leap
):
    """Its lease is renewed like that of the first one."""
    begin_run, renew, begun, renewed = (
        RunOperations.begin_run,
        RunOperations.renew,
        [],
        asyncio.Queue(),
    )

    async def counted_begin(*args, **more):
        begun.append(await begin_run(*args, **more))
        return begun[-1]

    async def counted_renew(self, run_id, **more):
        renewed.put_nowait(run_id)
        return await renew(self, run_id, **more)

    monkeypatch.setattr(RunOperations, "begin_run", counted_begin)
    monkeypatch.setattr(RunOperations, "renew", counted_renew)
    async with a_client() as client, Batch.open(path, client=client, lease=4000.0) as batch:
        await batch.submit(REALTIME, prompt="a cat", track_id=0)
        await batch.journal.leases.end_run(begun[0])
        await asyncio.gather(
            *(batch.submit(REALTIME, prompt=f"no. {n}", track_id=n) for n in range(1, 6))
        )
        assert 2 == len(begun)
        leap(1000.0)
        assert begun[1] == await renewed.get()
    assert 6 == len(emulator.submits)


async def test_journal_errors_after_a_submit_are_logged(
    a_client, broken_client, path, monkeypatch, caplog
):
    """A failed renewal, end or withdrawal harms no submit."""

    async def locked(*_args, **_more):
        raise JournalFull("there is no room")

    async with a_client() as client, Batch.open(path, client=client, lease=0.2) as batch:
        await batch.submit(REALTIME, prompt="a cat", track_id=1)
        monkeypatch.setattr(RunOperations, "renew", locked)
        async with asyncio.timeout(300):
            while "could not be renewed" not in caplog.text:
                await asyncio.wait(
                    [batch._journaled_submits._own_submits_lease._renewal_task], timeout=0.01
                )
        monkeypatch.setattr(RunOperations, "end_run", locked)
    assert "a run stays open for up to 0.2 s" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(RunOperations, "withdraw_own", locked)
    async with broken_client(after=False) as client, Batch.open(path, client=client) as batch:
        with pytest.raises(TransportError):
            await batch.submit(REALTIME, prompt="a cat", track_id=2)
    assert "the journal lists submit 2 as uncertain, though the submit ended" in caplog.text
    assert "it cannot be written: there is no room" in caplog.text


@pytest.fixture
def closing(monkeypatch):
    """An event that is set when a batch begins to close."""
    close, is_closing = JournalSubmitRecorder.close, asyncio.Event()

    async def announced_close(recorder):
        is_closing.set()
        await close(recorder)

    monkeypatch.setattr(JournalSubmitRecorder, "close", announced_close)
    return is_closing


async def test_submit_that_waits_for_a_slot_is_not_sent_while_its_batch_closes(path, closing):
    """A program leaves the batch after an error. Its other tasks must not go on to pay."""
    emulator = Emulator(jobs=Jobs(immediate=1.0, seed=1))
    held = HeldReplies(emulator)
    async with Client("a-key-for-tests", http=held, queue=1) as client:

        async def submit_in_batch():
            async with Batch.open(path, client=client) as batch:
                submits.extend(
                    asyncio.create_task(batch.submit(REALTIME, prompt=f"no. {n}")) for n in range(3)
                )
                await held.arrived.wait()

        submits = []
        leaving = asyncio.create_task(submit_in_batch())
        await closing.wait()
        held.released.set()
        await leaving
        results = await asyncio.gather(*submits, return_exceptions=True)
    [sent] = emulator.submits
    assert [sent.ticket] == [each.ticket for each in results if isinstance(each, Success)]
    errors = [str(each) for each in results if isinstance(each, JournalError)]
    assert 2 == len(errors)
    assert all("the batch is closing, and nothing was sent" in error for error in errors)
    async with Batch.open(path) as batch:
        assert (1, 0) == ((await batch.report()).tickets, (await batch.report()).uncertain)


async def test_submit_that_is_being_recorded_is_not_sent_while_its_batch_closes(
    a_client, emulator, path, closing, held_records
):
    """Its record is deleted, so the next program can send it."""

    async def submit_in_batch():
        async with Batch.open(path, client=client) as batch:
            submits.append(asyncio.create_task(batch.submit(REALTIME, prompt="a cat", track_id=7)))
            await held_records.written.wait()

    submits = []
    async with a_client() as client:
        leaving = asyncio.create_task(submit_in_batch())
        await closing.wait()
        held_records.released.set()
        await leaving
        with pytest.raises(JournalError, match="nothing was sent"):
            await submits[0]
    assert [] == emulator.submits
    async with Batch.open(path) as batch:
        assert await batch.journal.find_submit("7") is None
