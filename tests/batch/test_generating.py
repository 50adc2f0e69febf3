"""`Batch.generate_many`: submits, polls and saves side by side, and pays for nothing twice."""

import asyncio
import itertools
import json
import time
from collections import Counter
from contextlib import aclosing

import httpx
import pytest
from attrs import evolve
from journal_states import damage_reply, delete_reply

from modelslab_async import (
    ENDPOINTS,
    AuthenticationError,
    Batch,
    Client,
    Downloads,
    Failed,
    InvalidRequest,
    JournalDamaged,
    JournalFull,
    Pace,
    Saved,
    Submission,
    SubmissionConflict,
    Submitted,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    Unresolved,
    Unsubmitted,
)
from modelslab_async._journal import results_of_tickets
from modelslab_async._journal.run_operations import RunOperations
from modelslab_async._journal.tickets import OutcomeRow
from modelslab_async._submitting.submit_request import SubmitRequest
from modelslab_async.emulator import Emulator, Jobs, run_server
from modelslab_async.journal import Journal

REALTIME = "realtime/text2img"
PACE = Pace(floor=0.05, max_failures=1000)


def stopped_clock():
    """The clock of a journal whose leases never run out, however short they are."""
    return 1_800_000_000.0


def client_of(emulator, **more):
    http = httpx.ASGITransport(app=emulator)
    return Client("a-key-for-tests", http=http, pace=PACE, **more)


def rows(count):
    return [Submission(REALTIME, {"prompt": f"no. {n}"}, key=f"row {n}") for n in range(count)]


async def results_of(batch, requests, **more):
    return [pair async for pair in batch.generate_many(requests, **more)]


@pytest.fixture
def duplicate_recorded(monkeypatch):
    """
    An event that tells when the journal refuses a submit that it has already.

    The first two lookups of a key end together, before either submit is recorded. So both callers
    try to record theirs, in whatever order the threads of the journal run.
    """
    is_duplicate, both_looked_up, first_lookups = asyncio.Event(), asyncio.Barrier(2), [1, 2]
    record_own, find_submit_by_key = RunOperations.record_own, Journal.find_submit_by_key

    async def record(*args, **more):
        try:
            return await record_own(*args, **more)
        except ValueError:
            is_duplicate.set()
            raise

    async def find(*args):
        found = await find_submit_by_key(*args)
        if first_lookups:
            first_lookups.pop()
            await both_looked_up.wait()
        return found

    monkeypatch.setattr(RunOperations, "record_own", record)
    monkeypatch.setattr(Journal, "find_submit_by_key", find)
    return is_duplicate


async def test_each_submission_has_its_result(a_client, emulator, path):
    """The journal finds its submit by the caller's key, and each was submitted once."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        pairs = await results_of(batch, rows(20))
        assert {f"row {n}" for n in range(20)} == {submission.key for submission, _ in pairs}
        for submission, result in pairs:
            assert isinstance(result, Success)
            submit = await batch.journal.find_submit_by_key(submission.key)
            assert result.ticket == submit.ticket
    prompts = Counter(each.fields["prompt"] for each in emulator.submits)
    assert {f"no. {n}": 1 for n in range(20)} == prompts


async def test_second_call_pays_for_nothing(a_client, emulator, path):
    """It yields the same results from the journal, without a poll."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        first = await results_of(batch, rows(5))
    polls = emulator.polls.total()
    async with a_client() as client, Batch.open(path, client=client) as batch:
        second = await results_of(batch, rows(7))
        assert {s.key: r for s, r in first}.items() <= {s.key: r for s, r in second}.items()
    assert 7 == len(emulator.submits)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 7 == len(await results_of(batch, rows(7)))
    assert 7 == len(emulator.submits)
    assert polls < emulator.polls.total()


async def test_files_are_saved_while_others_are_submitted(path, tmp_path):
    """A success is yielded with its files, and a second call finds them in the journal."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.2), seed=1))
    async with run_server(emulator) as url:
        for _ in range(2):
            async with (
                Client("a-key-for-tests", base_url=url, queue=2, pace=Pace(floor=0.05)) as client,
                Batch.open(path, client=client) as batch,
                Downloads(client, to=tmp_path / "out", allow_private=True) as downloads,
            ):
                pairs = await results_of(batch, rows(8), downloads=downloads)
                assert 8 == len(pairs)
                for _, result in pairs:
                    assert isinstance(result, Saved)
                    assert all(file.path.exists() for file in result.files)
                    assert result.files
    assert 8 == len(emulator.submits)


async def test_first_files_are_there_before_last_row_is_read(path, tmp_path):
    """A source that waits for the first file gets it, so nothing waits for the whole table."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0), seed=1))
    is_saved = asyncio.Event()

    async def source():
        for number, row in enumerate(rows(4)):
            if number == 2:
                await is_saved.wait()
            yield row

    async with (
        run_server(emulator) as url,
        Client("a-key-for-tests", base_url=url, pace=Pace(floor=0.05)) as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True) as downloads,
    ):
        results = []
        async for _, result in batch.generate_many(source(), downloads=downloads):
            results.append(type(result))
            is_saved.set()
    assert 4 * [Saved] == results


@pytest.mark.parametrize("saves", [False, True])
async def test_result_that_comes_at_once_is_saved_too(path, tmp_path, saves):
    """A reply that holds the result needs no poll, and its files are saved."""
    emulator = Emulator(jobs=Jobs(immediate=1.0, seed=1))
    async with (
        run_server(emulator) as url,
        Client("a-key-for-tests", base_url=url) as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True) as downloads,
    ):
        pairs = await results_of(batch, rows(3), downloads=downloads if saves else None)
        assert 3 * [Saved if saves else Success] == [type(result) for _, result in pairs]
        assert [] == [each async for each in batch.run()]
    assert 0 == emulator.polls.total()


async def test_equal_submissions_without_key_are_told_apart(a_client, emulator, path):
    """Three equal ones are three submits, and a restarted program submits none again."""
    requests = [(REALTIME, {"prompt": "a cat"})] * 3 + [(REALTIME, {"prompt": "a dog"})]
    for _ in range(2):
        async with a_client() as client, Batch.open(path, client=client) as batch:
            pairs = await results_of(batch, requests)
            assert 4 == len({submission.key for submission, _ in pairs})
            assert 4 == len({result.ticket for _, result in pairs})
    assert 4 == len(emulator.submits)


async def test_changed_parameters_of_a_key_are_not_sent(a_client, emulator, path):
    """The changed submission alone ends, as a conflict."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await results_of(batch, rows(2))
        changed = Submission(REALTIME, {"prompt": "another"}, key="row 1")
        pairs = await results_of(batch, [rows(1)[0], changed])
        results = {submission.key: result for submission, result in pairs}
        assert isinstance(results["row 0"], Success)
        match results["row 1"]:
            case Unsubmitted(cause=SubmissionConflict() as conflict):
                assert "the key of submission 'row 1'" in str(conflict)
            case other:
                pytest.fail(str(other))
    assert 2 == len(emulator.submits)


async def test_track_id_of_another_submission_is_a_conflict(a_client, emulator, path):
    """Two keys with one track_id would be one submit in the journal."""
    requests = [
        Submission(REALTIME, {"prompt": "a cat", "track_id": 7}, key=key) for key in ("a", "b")
    ]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        results = [result for _, result in await results_of(batch, requests)]
    success, conflict = sorted(results, key=lambda each: type(each).__name__)
    assert isinstance(success, Success)
    assert "is in this journal for another submission; nothing was sent" in str(conflict.cause)
    assert 1 == len(emulator.submits)


async def test_key_given_twice_is_submitted_once(a_client, emulator, path):
    """Both have the same result, even while the first is in flight."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        pairs = await results_of(batch, [*rows(1), *rows(1)])
        assert 2 == len(pairs)
        assert 1 == len({result.ticket for _, result in pairs})
    assert 1 == len(emulator.submits)


async def test_refused_key_given_twice_is_no_conflict(path, duplicate_recorded):
    """The second waits while the first is in flight, and is then refused for the same reason."""

    async def refuse(_request):
        await duplicate_recorded.wait()
        return httpx.Response(200, json={"status": "error", "message": "the prompt is refused"})

    async with (
        Client("a-key-for-tests", http=httpx.MockTransport(refuse)) as client,
        Batch.open(path, client=client, lease=0.4, clock=stopped_clock) as batch,
    ):
        pairs = await results_of(batch, [*rows(1), *rows(1)])
    assert 2 * [InvalidRequest] == [type(result.cause) for _, result in pairs]


async def test_paths_of_saved_files_are_the_same_on_the_next_run(path, tmp_path, monkeypatch):
    """They are absolute also where the folder of the downloads is relative."""
    monkeypatch.chdir(tmp_path)
    emulator, paths = Emulator(jobs=Jobs(duration=(0.0, 0.0))), []
    async with run_server(emulator) as base_url:
        for _ in range(2):
            async with (
                Client("a-key-for-tests", base_url=base_url, pace=PACE) as client,
                Batch.open(path, client=client) as batch,
                Downloads(client, to="out", allow_private=True) as downloads,
            ):
                ((_, saved),) = await results_of(batch, rows(1), downloads=downloads)
                paths.append([file.path for file in saved.files])
    assert paths[0] == paths[1]
    assert [True] == [file.is_absolute() for file in paths[0]]


@pytest.mark.parametrize("is_refused_first", [False, True])
async def test_row_that_another_batch_takes_meanwhile_is_no_conflict(
    path, emulator, duplicate_recorded, is_refused_first
):
    """One batch records the row first. The other has its result or, if none came, submits it."""
    replies = iter((is_refused_first,))

    async def answer(request):
        await duplicate_recorded.wait()
        if next(replies, False):
            return httpx.Response(200, json={"status": "error", "message": "refused"})
        return await httpx.ASGITransport(app=emulator).handle_async_request(request)

    async with (
        Client("a-key-for-tests", http=httpx.MockTransport(answer), pace=PACE) as first,
        Client("a-key-for-tests", http=httpx.MockTransport(answer), pace=PACE) as second,
        Batch.open(path, client=first, lease=0.4, clock=stopped_clock) as one,
        Batch.open(path, client=second, lease=0.4, clock=stopped_clock) as other,
    ):
        both = await asyncio.gather(results_of(one, rows(1)), results_of(other, rows(1)))
    found = [result for pairs in both for _, result in pairs]
    refused = [result.cause for result in found if isinstance(result, Unsubmitted)]
    assert is_refused_first * [InvalidRequest] == [type(cause) for cause in refused]
    assert 2 - is_refused_first == sum(isinstance(result, Success) for result in found)
    assert 1 == len(emulator.submits)


class LosesReplies:
    """Delivers each request, and loses the replies to submits."""

    def __init__(self, inner):
        self.inner = inner

    async def exchange(self, request):
        response = await self.inner.exchange(request)
        if "prompt" in str(request.body):
            raise TransportError("the connection broke", may_have_been_sent=True)
        return response


async def test_uncertain_submission_is_never_sent_again(a_client, emulator, path):
    """It is listed until the caller confirms its ticket. A key given twice does not hang."""
    http = LosesReplies(a_client().engine.status_client._sender._transport)
    async with (
        Client("a-key-for-tests", http=http, queue=None) as client,
        Batch.open(path, client=client) as batch,
    ):
        for requests in ([*rows(1), *rows(1)], rows(1)):
            for _, result in await results_of(batch, requests):
                assert isinstance(result, Unsubmitted)
                assert isinstance(result.cause, SubmitUncertain)
        assert ["row 0"] == [each.key for each in await batch.uncertain()]
    async with a_client() as client, Batch.open(path, client=client) as batch:
        ((_, result),) = await results_of(batch, rows(1))
        assert isinstance(result.cause, SubmitUncertain)
        (uncertain,) = await batch.uncertain()
        await batch.journal.confirm(uncertain.track_id, emulator.submits[0].ticket)
        ((_, result),) = await results_of(batch, rows(1))
        assert isinstance(result, Success)
    assert 1 == len(emulator.submits)


@pytest.mark.parametrize("reply", ["ticket", "ticket and key in use", "refusal"])
async def test_submit_that_another_process_withdrew_in_flight_is_recorded(path, emulator, reply):
    """Its ticket is recorded when the reply comes, and no other submission ends."""
    firsts, withdrawn, has_withdrawn = iter([True]), [], asyncio.Event()

    async def answer(request):
        response = await httpx.ASGITransport(app=emulator).handle_async_request(request)
        if "text2img" not in request.url.path:
            return response
        if not next(firsts, False):
            # A submit that has its reply cannot be withdrawn any more.
            await has_withdrawn.wait()
            return response
        # For a process whose clock is ahead, the lease is over, so the submit is uncertain.
        async with Journal.open(path, clock=lambda: time.time() + 1000) as other:
            withdrawn.extend(await other.uncertain())
            for each in withdrawn:
                await other.withdraw(each.track_id)
                if reply == "ticket and key in use":
                    await other.record_submit(
                        f"other {each.key}", endpoint=REALTIME, payload_hash="0", key=each.key
                    )
        has_withdrawn.set()
        if reply == "refusal":
            return httpx.Response(200, json={"status": "error", "message": "refused"})
        return response

    async with (
        Client("a-key-for-tests", http=httpx.MockTransport(answer), pace=PACE) as client,
        Batch.open(path, client=client) as batch,
    ):
        results = {each.key: result for each, result in await results_of(batch, rows(3))}
        assert 3 == len(results)
        refused = [each for each in results.values() if isinstance(each, Unsubmitted)]
        assert (reply == "refusal") == len(refused)
        successes = {key: each for key, each in results.items() if isinstance(each, Success)}
        assert 3 - len(refused) == len(successes) == (await batch.report()).tickets
        if reply == "ticket":
            for key, success in successes.items():
                submit = await batch.journal.find_submit_by_key(key)
                assert success.ticket == submit.ticket
    assert [] != withdrawn


async def test_ticket_of_another_process_is_polled_if_that_process_does_not(
    a_client, emulator, path, monkeypatch
):
    """The run claims it, although the run saw no open ticket when it began."""
    has_claimed, is_looked_up = asyncio.Event(), asyncio.Event()
    claim, find = RunOperations.claim, Journal.find_submit_by_key

    async def claimed(*args, **more):
        found = await claim(*args, **more)
        has_claimed.set()
        return found

    async def looked_up(*args):
        is_looked_up.set()
        return await find(*args)

    monkeypatch.setattr(RunOperations, "claim", claimed)
    [row] = rows(1)
    payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], row.parameters).payload_hash
    async with (
        a_client() as client,
        Batch.open(path, client=client, lease=0.4, clock=stopped_clock) as batch,
        Journal.open(path, clock=stopped_clock) as other,
    ):
        run = await other.leases.begin_run(lease=60)
        await other.record_submit(
            "7", endpoint=REALTIME, payload_hash=payload_hash, run_id=run, key=row.key
        )
        generating = asyncio.create_task(results_of(batch, [row]))
        await has_claimed.wait()
        monkeypatch.setattr(Journal, "find_submit_by_key", looked_up)
        await is_looked_up.wait()
        await other.confirm("7", emulator.add_job("realtime:7", fails=False))
        [(_, result)] = await generating
        assert isinstance(result, Success)
    assert [] == emulator.submits


async def test_result_of_another_process_comes_while_many_earlier_ones_are_open(
    a_client, path, monkeypatch
):
    """The journal is read for all awaited tickets, however many a read takes."""
    monkeypatch.setattr("modelslab_async._batch.awaited_results._TICKETS_PER_READ", 1)
    all_awaited, looked_up, results = asyncio.Event(), set(), RunOperations.results

    async def counted(self, tickets):
        found = await results(self, tickets)
        looked_up.update(tickets)
        if 3 == len(looked_up):
            all_awaited.set()
        return found

    monkeypatch.setattr(RunOperations, "results", counted)
    async with (
        Journal.open(path, clock=stopped_clock) as other,
        a_client() as client,
        Batch.open(path, client=client, lease=0.4, clock=stopped_clock) as batch,
        asyncio.timeout(300),
    ):
        for number, row in enumerate(rows(3), 1):
            payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], row.parameters).payload_hash
            await other.record_submit(
                str(number), endpoint=REALTIME, payload_hash=payload_hash, key=row.key
            )
            await other.confirm(str(number), Ticket("realtime", number))
        run = await other.leases.begin_run(lease=60)
        claim = await other.leases.claim(run, before_run=run, limit=3, lease=60)
        async with aclosing(batch.generate_many(rows(3))) as pairs:
            first = asyncio.create_task(anext(pairs))
            await all_awaited.wait()
            number, ticket = claim.tickets[-1]
            success = Success(ticket=ticket, output=(), raw={"status": "success"})
            await other.leases.complete(run, [OutcomeRow(number, 1, success)])
            assert (rows(3)[-1], success) == await first


async def test_files_of_success_that_another_run_recorded_without_saving_are_saved(
    emulator, path, tmp_path, monkeypatch
):
    """The other run saves no files, so the run of this call does."""
    has_claimed = asyncio.Event()
    claim = RunOperations.claim

    async def claimed(*args, **more):
        found = await claim(*args, **more)
        has_claimed.set()
        return found

    async def source():
        # The run has claimed nothing when the ticket comes, so the other run can claim it first.
        await has_claimed.wait()
        yield rows(1)[0]

    async def complete_without_saving(submitted):
        run = await other.leases.begin_run(lease=60)
        [ticket] = (await claim(other.leases, run, before_run=run, limit=9, lease=60)).tickets
        async with client_of(emulator) as others_client:
            outcome = OutcomeRow(ticket.row_id, 1, await others_client.wait(submitted.ticket))
        assert [True] == await other.leases.complete(run, [outcome], save_files=False)
        await other.leases.end_run(run)

    monkeypatch.setattr(RunOperations, "claim", claimed)
    http = httpx.ASGITransport(app=emulator)
    async with (
        Journal.open(path, clock=stopped_clock) as other,
        client_of(emulator, on_submitted=complete_without_saving) as client,
        Batch.open(path, client=client, lease=0.4, clock=stopped_clock) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True, http=http) as downloads,
        asyncio.timeout(100),
    ):
        [(_, result)] = await results_of(batch, source(), downloads=downloads)
    assert isinstance(result, Saved)
    assert all(file.path.exists() for file in result.files)


async def test_refused_key_sends_no_more(path):
    """After the first refusal nothing is recorded as uncertain. A correct key submits all."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), seed=1), keys={"a-key-for-tests"})
    other = Client("another-key", http=httpx.ASGITransport(app=emulator))
    async with other as client, Batch.open(path, client=client) as batch:
        results = [result for _, result in await results_of(batch, rows(50))]
        assert all(isinstance(each.cause, AuthenticationError) for each in results)
        assert 50 == len(results)
        assert (await batch.report()).uncertain == 0
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        assert 5 == len(await results_of(batch, rows(5)))


async def test_refused_enterprise_key_ends_no_standard_submission(path):
    """Only submissions that need the refused key end. The later ones are sent."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), seed=1), keys={"a-key-for-tests"})
    enterprise = Submission("enterprise_realtime/text2img", {"prompt": "x"}, key="enterprise")
    async with (
        client_of(emulator, enterprise_key="a-wrong-enterprise-key") as client,
        Batch.open(path, client=client) as batch,
    ):
        pairs = await results_of(batch, [enterprise, *rows(3)], window=1)
    results = {submission.key: result for submission, result in pairs}
    assert isinstance(results.pop("enterprise").cause, AuthenticationError)
    assert {f"row {n}": Success for n in range(3)} == {key: type(r) for key, r in results.items()}


async def test_failed_ticket_that_is_reopened_during_a_run_is_polled_again(path):
    """The server was wrong. The run does not record its earlier reply a second time."""
    ids, polls, reopened = itertools.count(1), itertools.count(), asyncio.Event()

    def answer(request):
        if "fetch" not in request.url.path:
            return httpx.Response(200, json={"status": "processing", "id": next(ids)})
        if next(polls) == 0:
            return httpx.Response(200, json={"status": "failed", "message": "out of memory"})
        return httpx.Response(200, json={"status": "success", "output": ["https://a.example/b"]})

    async def requests():
        yield rows(2)[0]
        await reopened.wait()
        yield rows(2)[1]

    async with (
        Client("a-key-for-tests", http=httpx.MockTransport(answer), pace=PACE) as client,
        Batch.open(path, client=client) as batch,
    ):
        results = []
        async for _, result in batch.generate_many(requests()):
            results.append(type(result))
            if isinstance(result, Failed):
                assert 1 == await batch.retry_failed()
                reopened.set()
        assert [Failed, Success] == results
        # The call may have ended before the second poll of the first ticket.
        assert [] == [each async for each in batch.run() if not isinstance(each, Success)]
        assert [Success, Success] == [type(each) async for each in batch.outcomes()]


async def test_failed_work_is_not_submitted_again(path):
    """A restarted program gets the same failure from the journal."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1), failure_rate=1.0, seed=1))
    for _ in range(2):
        async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
            results = [result for _, result in await results_of(batch, rows(3))]
            assert 3 * [Failed] == [type(result) for result in results]
    assert 3 == len(emulator.submits)


async def test_timeout_is_per_ticket_and_next_call_waits_again(path):
    """An unresolved submission is polled again by the next call, and not submitted."""
    now = [0.0]
    emulator = Emulator(jobs=Jobs(duration=(0.2, 0.2), seed=1), clock=lambda: now[0])
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        ((_, result),) = await results_of(batch, rows(1), timeout=0.01)
        assert isinstance(result, Unresolved)
        now[0] = 10.0
        ((_, result),) = await results_of(batch, rows(1))
        assert isinstance(result, Success)
    assert 1 == len(emulator.submits)


async def test_two_processes_share_one_table(path):
    """Each submission is paid for once, and both callers have all results."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.2), seed=1))

    async def work():
        async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
            return await results_of(batch, rows(12))

    first, second = await asyncio.gather(work(), work())
    assert {s.key: r.ticket for s, r in first} == {s.key: r.ticket for s, r in second}
    assert 12 == len(emulator.submits)


async def test_leaving_early_leaves_the_rest(a_client, emulator, path):
    """What was submitted is in the journal, and the next call goes on with it."""
    async with (
        a_client(queue=2) as client,
        Batch.open(path, client=client) as batch,
        aclosing(batch.generate_many(rows(10))) as pairs,
    ):
        await anext(pairs)
    assert len(emulator.submits) < 10
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 10 == len(await results_of(batch, rows(10)))
        assert [] == await batch.uncertain()
    assert 10 == len(emulator.submits)


async def test_drained_batch_submits_no_more(a_client, emulator, path):
    """The call ends soon, and a later batch continues."""
    async with a_client(queue=2) as client, Batch.open(path, client=client) as batch:
        yielded = []
        async for submission, _ in batch.generate_many(rows(50)):
            yielded.append(submission)
            batch.drain()
        assert len(emulator.submits) < 50
    async with a_client(queue=None) as client, Batch.open(path, client=client) as batch:
        assert 50 == len(await results_of(batch, rows(50)))
    assert 50 == len(emulator.submits)


async def test_drained_batch_admits_no_waiting_submit(path):
    """Not even if it got its slot in the step of the event loop in which the batch drains."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))

    def drain_after_third(event):
        if isinstance(event, Submitted) and len(emulator.submits) == 3:
            batch.drain()

    async with (
        client_of(emulator, queue=1, on_event=drain_after_third) as client,
        Batch.open(path, client=client) as batch,
    ):
        await results_of(batch, rows(20))
    assert 3 == len(emulator.submits)


async def test_drain_while_the_run_begins_is_not_lost(a_client, emulator, path, monkeypatch):
    """Nothing is submitted once the run has begun."""
    is_beginning, may_begin = asyncio.Event(), asyncio.Event()
    begin_run = RunOperations.begin_run

    async def begin_later(*args, **more):
        is_beginning.set()
        await may_begin.wait()
        return await begin_run(*args, **more)

    monkeypatch.setattr(RunOperations, "begin_run", begin_later)
    async with a_client(queue=1) as client, Batch.open(path, client=client) as batch:
        generating = asyncio.create_task(results_of(batch, rows(20)))
        await is_beginning.wait()
        batch.drain()
        may_begin.set()
        await generating
    assert len(emulator.submits) <= 1


async def test_drained_batch_reads_no_more_requests(a_client, emulator, path):
    """The call ends although its source waits for another request."""
    is_closed = asyncio.Event()

    async def requests():
        try:
            for request in rows(2):
                yield request
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    async with a_client() as client, Batch.open(path, client=client) as batch:
        async for _ in batch.generate_many(requests()):
            batch.drain()
    assert is_closed.is_set()
    assert len(emulator.submits) <= 2


async def test_bad_request_ends_after_earlier_ones(a_client, emulator, path):
    """An ill-formed request raises ValueError after the results of the requests before it."""
    bad = Submission(REALTIME, {"promt": "a cat"}, key="bad")
    async with a_client() as client, Batch.open(path, client=client) as batch:
        pairs = batch.generate_many([*rows(3), bad, *rows(9)])
        keys = [(await anext(pairs))[0].key for _ in range(3)]
        with pytest.raises(ValueError, match="expects 'prompt', got 'promt'"):
            await anext(pairs)
    assert ["row 0", "row 1", "row 2"] == sorted(keys)
    assert 3 == len(emulator.submits)


async def test_submission_named_by_the_api_key_is_not_recorded(a_client, emulator, file_path):
    """A column of old requests was taken for the names of the rows."""
    key = "a-key-for-tests"
    named = Submission(REALTIME, {"prompt": "a dog"}, key=key)
    tracked = Submission(REALTIME, {"prompt": "a dog", "track_id": key})
    async with a_client(key) as client, Batch.open(file_path, client=client) as batch:
        for submission, what in ((named, "key of a submission"), (tracked, "track_id")):
            with pytest.raises(ValueError, match=f"the {what} .* give another") as submitted:
                await batch.submit(submission)
            with pytest.raises(ValueError, match=f"the {what} .* give another") as generated:
                await results_of(batch, [submission])
            assert key not in f"{submitted.value} {generated.value}"
        assert 0 == (await batch.report()).tickets
    assert [] == emulator.submits
    assert key.encode() not in b"".join(file.read_bytes() for file in file_path.parent.iterdir())


async def test_error_of_the_journal_ends_the_call(a_client, emulator, path, monkeypatch):
    """No more is submitted, and the error reaches the caller."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    async with a_client(queue=1) as client, Batch.open(path, client=client) as batch:
        monkeypatch.setattr(RunOperations, "complete", full)
        with pytest.raises(JournalFull):
            await results_of(batch, rows(20))
    assert len(emulator.submits) < 20


async def test_hook_that_cancels_itself_ends_the_call_with_an_error(a_client, emulator, path):
    """The error's cause names the ticket, and the next call finds the ticket in the journal."""
    calls = itertools.count(1)

    async def store(_):
        if next(calls) == 2:
            raise asyncio.CancelledError

    async with a_client(on_submitted=store) as client, Batch.open(path, client=client) as batch:
        pairs = batch.generate_many(rows(4), window=1)
        assert "row 0" == (await anext(pairs))[0].key
        with pytest.raises(RuntimeError, match="cancelled from within") as caught:
            await anext(pairs)
        cut_off = (await batch.journal.find_submit_by_key("row 1")).ticket
        assert f"after the work was started as {cut_off}" in caught.value.__cause__.__notes__[0]
    assert 2 == len(emulator.submits)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        assert 4 == len(await results_of(batch, rows(4)))
    assert 4 == len(emulator.submits)


async def test_failure_that_cannot_be_recorded_ends_the_call(path, monkeypatch):
    """It is no result that says that nothing was started: the work failed, and may be paid for."""

    async def full(*_args, **_more):
        raise JournalFull("there is no room")

    def fail_at_once(_request):
        body = {"status": "failed", "id": 7, "message": "Failed, Try Again"}
        return httpx.Response(200, json=body)

    monkeypatch.setattr(RunOperations, "confirm_sent", full)
    http = httpx.MockTransport(fail_at_once)
    async with (
        Client("a-key-for-tests", http=http) as client,
        Batch.open(path, client=client) as batch,
    ):
        with pytest.raises(JournalFull) as caught:
            await results_of(batch, rows(1))
    assert "GenerationFailed: realtime:7: Failed, Try Again" in "".join(caught.value.__notes__)


async def test_argument_out_of_range_sends_nothing(a_client, emulator, path):
    """Arguments are checked before anything is sent."""
    async with a_client() as client, Batch.open(path, client=client) as batch:
        for wrong in ({"timeout": -1}, {"window": 0}):
            with pytest.raises(ValueError, match="at least"):
                await results_of(batch, rows(1), **wrong)
    assert [] == emulator.submits


async def test_export_has_key_and_columns_of_each_submission(a_client, path, tmp_path):
    """The export holds the caller's columns. An API key in them is redacted."""
    row = {"prompt": "a cat", "note": "mine", "secret": "a-key-for-tests"}
    submission = Submission(REALTIME, {"prompt": "a cat"}, key="row 1", columns=row)
    async with a_client() as client, Batch.open(path, client=client) as batch:
        await results_of(batch, [submission])
        assert 1 == await batch.export(tmp_path / "out.jsonl")
    (record,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert ("row 1", REALTIME) == (record["key"], record["endpoint"])
    assert ("a cat", "mine") == (record["input"]["prompt"], record["input"]["note"])
    assert "a-key-for-tests" not in str(record)


async def test_damaged_reply_of_a_saved_ticket_is_unresolved(file_path, tmp_path):
    """The result names the damage, and no recorded file is read for it."""
    async with (
        run_server(Emulator(jobs=Jobs(duration=(0.0, 0.1)))) as url,
        Client("a-key-for-tests", base_url=url, pace=Pace(floor=0.05)) as client,
        Batch.open(file_path, client=client) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True) as downloads,
    ):
        [(_, saved)] = await results_of(batch, rows(1), downloads=downloads)
        assert isinstance(saved, Saved)
        store = batch.journal._store
        await store.write(lambda db: db.execute("UPDATE replies SET body = '{cut'"))
        [recorded] = await store.read(results_of_tickets.results_of, [saved.ticket])
        assert isinstance(recorded.outcome, Unresolved)
        assert isinstance(recorded.outcome.cause, JournalDamaged)


@pytest.mark.parametrize("saves", [False, True])
async def test_damaged_reply_of_earlier_call_ends_its_submission_alone(path, tmp_path, saves):
    """It is unresolved, with an error that names the journal. The other has its result."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))
    http = httpx.ASGITransport(app=emulator)
    async with (
        client_of(emulator) as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True, http=http) as downloads,
        asyncio.timeout(100),
    ):
        more = {"downloads": downloads} if saves else {}
        first = {each.key: result for each, result in await results_of(batch, rows(2), **more)}
        damage_reply(path, first["row 0"].ticket)
        second = {each.key: result for each, result in await results_of(batch, rows(2), **more)}
        assert first["row 1"] == second["row 1"]
        match second["row 0"]:
            case Unresolved(ticket=ticket, cause=JournalDamaged() as damaged):
                assert first["row 0"].ticket == ticket
                assert str(damaged).startswith(f"{batch.journal.path}: the reply of {ticket}")
            case other:
                pytest.fail(str(other))
    assert 2 == len(emulator.submits)


async def test_missing_reply_of_earlier_call_ends_its_submission_alone(path):
    """A user may have deleted a damaged row."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0)))
    async with (
        client_of(emulator) as client,
        Batch.open(path, client=client) as batch,
        asyncio.timeout(100),
    ):
        first = {each.key: result for each, result in await results_of(batch, rows(2))}
        delete_reply(path, first["row 0"].ticket)
        second = {each.key: result for each, result in await results_of(batch, rows(2))}
    assert first["row 1"] == second["row 1"]
    assert isinstance(second["row 0"].cause, JournalDamaged)
    assert "reopen the ticket to poll it again" in str(second["row 0"].cause)


async def test_unresolved_ticket_with_damaged_reply_is_polled_again(path):
    """The next call needs nothing of the damaged row."""
    now = 0.0
    emulator = Emulator(jobs=Jobs(duration=(0.2, 0.2), seed=1), clock=lambda: now)
    async with client_of(emulator) as client, Batch.open(path, client=client) as batch:
        [(_, unresolved)] = await results_of(batch, rows(1), timeout=0.01)
        assert isinstance(unresolved, Unresolved)
        damage_reply(path, unresolved.ticket)
        now = 10.0
        [(_, result)] = await results_of(batch, rows(1))
        assert isinstance(result, Success)


@pytest.mark.parametrize(
    ("ticket", "message", "is_claimed_elsewhere"),
    [
        ("their_own:1", "unknown family 'their_own'", False),
        ("their_own:1", "unknown family 'their_own'", True),
        ("images:1/2", "an id of family 'images' has 1 part", False),
        ("images:a-key-for-tests", "images:[key] is no ticket", False),
        ("workflows:1/x-a-key-for-tests", "workflows:1/x-[key] is no ticket", False),
    ],
)
async def test_unpollable_ticket_ends_its_submission_alone(
    a_client, path, ticket, message, is_claimed_elsewhere
):
    """It is unresolved with the reason, also if a run of another process holds the ticket."""
    [row, *others] = rows(3)
    payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], row.parameters).payload_hash
    async with (
        Journal.open(path) as other,
        a_client() as client,
        Batch.open(path, client=client) as batch,
        asyncio.timeout(100),
    ):
        await other.record_submit("7", endpoint=REALTIME, payload_hash=payload_hash, key=row.key)
        await other.confirm("7", ticket)
        if is_claimed_elsewhere:
            run = await other.leases.begin_run(lease=60)
            await other.leases.claim(run, before_run=run, limit=1, lease=60)
        results = {each.key: result for each, result in await results_of(batch, [row, *others])}
        assert {Success} == {type(results[each.key]) for each in others}
        match results[row.key]:
            case Unresolved(cause=InvalidRequest(__cause__=ValueError()) as cause):
                assert str(cause).startswith(message)
            case result:
                pytest.fail(str(result))
        shown = ticket.replace("a-key-for-tests", "[key]")
        assert shown == str(results[row.key].ticket)
        assert "a-key-for-tests" not in f"{results!r} {results[row.key]._repr_html_()}"
        assert 1 == (await batch.report()).open


async def test_files_of_recorded_success_of_unknown_family_are_saved(
    a_client, emulator, path, tmp_path
):
    """Its ticket needs no poll."""
    [row] = rows(1)
    payload_hash = SubmitRequest.of(ENDPOINTS[REALTIME], row.parameters).payload_hash
    http = httpx.ASGITransport(app=emulator)
    async with (
        a_client() as client,
        Batch.open(path, client=client) as batch,
        Downloads(client, to=tmp_path / "out", allow_private=True, http=http) as downloads,
        asyncio.timeout(100),
    ):
        done = await client.wait(emulator.add_job("images:1", fails=False))
        await batch.journal.record_submit(
            "7", endpoint=REALTIME, payload_hash=payload_hash, key=row.key
        )
        success = evolve(done, ticket=Ticket("their_own", 1))
        await batch.journal.confirm("7", success.ticket, result=success)
        [(_, result)] = await results_of(batch, [row], downloads=downloads)
    assert (Saved, success.ticket) == (type(result), result.ticket)


async def test_open_tickets_of_ended_process_hold_slots(path):
    """A resumed table has no more generations queued than the plan allows."""
    emulator = Emulator(jobs=Jobs(duration=(0.5, 0.5), immediate=0.0, seed=1), queue_limit=3)
    async with (
        client_of(emulator, queue=3) as client,
        Batch.open(path, client=client) as batch,
        aclosing(batch.generate_many(rows(18))) as pairs,
    ):
        await anext(pairs)
    assert 3 <= len(emulator.submits) < 18
    async with client_of(emulator, queue=3) as client, Batch.open(path, client=client) as batch:
        assert 18 == len(await results_of(batch, rows(18)))
    assert 18 == len(emulator.submits)
    assert all(each.ticket for each in emulator.submits), "the queue was full"
