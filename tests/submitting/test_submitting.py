"""What a caller of `submit` and `generate` gets, on virtual time."""

import asyncio
import json
import math
from pathlib import Path
from uuid import UUID

import pytest

from modelslab_async import (
    ENDPOINTS,
    AuthenticationError,
    ClientClosed,
    GenerationFailed,
    InvalidRequest,
    Pace,
    PaymentRequired,
    Processing,
    RateLimited,
    Submission,
    SubmitUncertain,
    Success,
    Ticket,
    TransportError,
    WaitTimeout,
)
from modelslab_async.emulator import Jobs

from .conftest import (
    KEY,
    REALTIME,
    accept,
    connection_lost,
    finish_at_once,
    json_response,
    lost_after_start,
    never_left,
    queue_full,
)

WORKFLOW = "workflows/run"


def now():
    return asyncio.get_running_loop().time()


def test_submit_returns_a_ticket(virtually, world):
    """Queued work has a ticket of the family that resolves it, and can be waited for."""

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(5.0, 5.0))}) as here:
            begun = await here.client.submit(REALTIME, prompt="a fox")
            assert isinstance(begun, Processing)
            assert "realtime" == begun.ticket.family
            assert 5.0 == begun.eta
            success = await here.client.wait(begun.ticket)
            assert begun.ticket == success.ticket
            assert 1 == len(success.output)

    virtually(main)


def test_submission_stands_for_name_and_keywords(virtually, world):
    """`submit`, `generate` and `generate_many` send what a submission holds, without its key."""

    async def main():
        async with world() as here:
            submission = Submission(REALTIME, {"prompt": "a fox", "track_id": 1}, key="row 1")
            await here.client.submit(submission)
            await here.client.generate(submission)
            async for given, outcome in here.client.generate_many([submission]):
                assert submission is given
                assert isinstance(outcome, Success)
            sent = [json.loads(each.content) for each in here.wire.requests]
            submits = [body for body in sent if "prompt" in body]
            assert 3 * [{"prompt": "a fox", "track_id": 1}] == [
                {name: body[name] for name in ("prompt", "track_id")} for body in submits
            ]
            assert "row 1" not in str(sent)

    virtually(main)


def test_submission_beside_keywords_is_a_type_error(virtually, world):
    """A submission has all parameters itself. Nothing is sent."""

    async def main():
        async with world() as here:
            with pytest.raises(TypeError, match="got seed beside it"):
                await here.client.submit(Submission(REALTIME, {"prompt": "a fox"}), seed=1)
            assert [] == here.wire.requests

    virtually(main)


def test_immediate_result_needs_no_poll(virtually, world):
    """A reply that holds the result is the result: `generate` polls nothing."""

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(0.0, 0.0))}) as here:
            success = await here.client.generate(REALTIME, prompt="a fox")
            assert isinstance(success, Success)
            assert success.output
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_parameters_are_sent_as_they_are(virtually, service):
    """Values are not changed, None is left out, and the key and a track_id are added."""

    async def main():
        here = service()
        async with here.client() as client:
            await client.submit(REALTIME, prompt="a fox", width="512", samples=2, seed=None)
        (fields,) = here.submits
        assert {"prompt": "a fox", "width": "512", "samples": 2} == {
            name: value for name, value in fields.items() if name not in ("key", "track_id")
        }
        assert 0 <= fields["track_id"] < 2**53

    virtually(main)


def test_track_id_of_caller_is_kept(virtually, service):
    """A track_id that was given is sent as it is."""

    async def main():
        here = service()
        async with here.client() as client:
            await client.submit(REALTIME, prompt="a fox", track_id="mine-1")
        assert ["mine-1"] == [fields["track_id"] for fields in here.submits]

    virtually(main)


@pytest.mark.parametrize(
    ("endpoint", "params", "words"),
    [
        ("realtime/text2imgs", {"prompt": "x"}, "did you mean 'realtime/text2img'"),
        (REALTIME, {}, "needs prompt"),
        (REALTIME, {KEY: 1}, r"needs prompt, got \[key\]"),
        (REALTIME, {"prompt": "x", "witdh": 5}, "expects 'width', got 'witdh'"),
        (REALTIME, {"prompt": "x", "key": "k"}, "without `key`"),
        (REALTIME, {"prompt": "x", "track_id": f"cat {KEY}"}, "the track_id .* give another"),
        (REALTIME, {"prompt": "x", "seed": {1, 2}}, "what JSON can carry"),
        (REALTIME, {"prompt": "x", "seed": math.nan}, "'seed' is .* such as finite numbers"),
        (REALTIME, {"prompt": "x", "track_id": math.inf}, "'track_id' is .* finite numbers"),
        (REALTIME, {"prompt": "x", "track_id": UUID(int=5)}, "a text .* type UUID; give str"),
        (REALTIME, {"prompt": "x", "track_id": True}, "track_id is a text .* type bool; give"),
        (REALTIME, {"prompt": "x", "track_id": "a\0b"}, "without NUL .* got 'a.x00b'; shorten"),
        (REALTIME, {"prompt": "x", "track_id": "\ud800"}, "half of a surrogate pair, .* '.ud800'"),
        (REALTIME, {"prompt": "x", "track_id": "ü" * 1001}, "of at most 2,000 bytes .*; shorten"),
        (WORKFLOW, {"workflow_id": ""}, "as one segment, .* got ''; give"),
        (WORKFLOW, {"workflow_id": ".."}, "as one segment, .* got '..'; give"),
        (WORKFLOW, {"workflow_id": "\ud800"}, "as one segment, .* got '.ud800'; give"),
        (REALTIME, {"prompt": "x", "more": [{"deep": -math.inf}]}, "'more' is .* finite numbers"),
        ("general/wallet_balance", {}, "client.ask"),
    ],
)
def test_mistake_is_refused_before_anything_is_sent(virtually, service, endpoint, params, words):
    """A mistake is an error that says what to do, and nothing leaves."""

    async def main():
        here = service()
        async with here.client() as client:
            with pytest.raises(ValueError, match=words) as caught:
                await client.submit(endpoint, **params)
        assert [] == here.submits
        assert KEY not in str(caught.value)

    virtually(main)


def test_submit_that_never_left_is_sent_again(virtually, service):
    """A connection that was never made is tried again, later each time."""

    async def main():
        here = service(never_left, never_left, accept)
        async with here.client() as client:
            assert isinstance(await client.submit(REALTIME, prompt="a fox"), Processing)
        assert [1] == list(here.starts.values())
        assert 3 == len(here.submits)
        assert 1 == len({fields["track_id"] for fields in here.submits})
        assert here.moments[2] - here.moments[1] > here.moments[1] - here.moments[0] > 0.4

    virtually(main)


def test_submit_that_never_leaves_is_given_up(virtually, service):
    """After the pace's budget the error says that nothing was started."""

    async def main():
        here = service(*[never_left] * 9)
        async with here.client(pace=Pace(max_failures=3)) as client:
            with pytest.raises(TransportError) as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert not caught.value.may_have_been_sent
        assert 3 == len(here.submits)

    virtually(main)


def after_the_start(error):
    """Start the work, and then raise something."""

    def step(service, fields):
        service.start(fields)
        raise error

    return step


DOUBTS = {
    "foreign": after_the_start(RuntimeError("a transport of the caller")),
    "the system's": after_the_start(OSError("broken pipe")),
    "timeout": after_the_start(TimeoutError()),
    "cancelled within": after_the_start(asyncio.CancelledError("within")),
    "several": after_the_start(
        ExceptionGroup("several", [TransportError(may_have_been_sent=False)])
    ),
    "lost": connection_lost,
    "lost after the start": lost_after_start,
    "500": lambda *_: json_response(500, status="error", message="Internal server error."),
    "503": lambda *_: json_response(
        503, status="error", message="Service temporarily unavailable."
    ),
    "408": lambda *_: json_response(408, status="error", message="timeout"),
    "307": lambda *_: json_response(307, {"location": "https://x.example/"}),
    "no status": lambda *_: json_response(200, hello="world"),
    "no id": lambda *_: json_response(200, status="processing", eta=5, output=[]),
    "an id that is none": lambda *_: json_response(200, status="processing", id="../up", output=[]),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_submit_that_may_have_started_is_not_sent_again(virtually, service, name):
    """The caller gets the track_id and the hash to look for, and one submit was sent."""

    async def main():
        here = service(DOUBTS[name])
        async with here.client() as client:
            with pytest.raises(SubmitUncertain, match="before you submit") as caught:
                await client.submit(REALTIME, prompt="a fox")
        error = caught.value
        (fields,) = here.submits
        assert (REALTIME, str(fields["track_id"])) == (error.endpoint, error.track_id)
        assert 64 == len(error.payload_hash)
        assert error.track_id in str(error)
        assert "look for it in what the service shows" in str(error)
        assert "or in a webhook with that track_id before you submit" in str(error)
        assert error.__cause__ is not None

    virtually(main)


QUEUED = {"status": "processing", "message": "queued"}
REFUSED = {"status": "error", "message": "no"}
# Replies that look like a refusal, and name a job.
NAMES_JOB = {
    "429": (429, QUEUED),
    "401": (401, QUEUED),
    "402": (402, QUEUED),
    "403": (403, QUEUED),
    "400": (400, REFUSED),
    "500": (500, QUEUED),
    "message of a limit": (200, {"status": "error", "message": "Too many requests"}),
    "message of a key": (200, {"status": "error", "message": "Invalid API key"}),
    "message of no credits": (200, {"status": "error", "message": "Insufficient credits"}),
    "message of a plan": (200, {"status": "error", "message": "Upgrade your plan"}),
}


@pytest.mark.parametrize("name", NAMES_JOB)
def test_refusal_that_names_a_job_is_not_sent_again(virtually, service, name):
    """The work may have begun, so the error names its ticket, and one submit was sent."""
    status_code, body = NAMES_JOB[name]

    async def main():
        here = service(lambda *_: json_response(status_code, id=111, **body))
        async with here.client() as client:
            with pytest.raises(SubmitUncertain, match="before you submit") as caught:
                await client.submit(REALTIME, prompt="a fox")
            assert Ticket("realtime", 111) == caught.value.ticket
            assert "the reply names realtime:111, so wait for it first" in str(caught.value)
        assert 1 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize(
    "fields", [{"request_id": 111}, {"id": ""}, {"id": None}, {"id": 0}, {"id": "../up"}]
)
def test_refusal_that_names_no_job_started_nothing(virtually, service, fields):
    """A gateway puts a `request_id` into each reply, and an empty id names no job."""

    async def main():
        replies = [(429, QUEUED), (401, REFUSED)]
        here = service(
            *(lambda *_, each=each: json_response(each[0], **each[1], **fields) for each in replies)
        )
        async with here.client() as client:
            with pytest.raises(AuthenticationError) as caught:
                await client.submit(REALTIME, prompt="a fox")
            assert caught.value.ticket is None
        assert 2 == len(here.submits)

    virtually(main)


def test_hash_tells_payloads_apart(virtually, service):
    """The same payload has one hash, whatever its track_id and webhook; another has another."""

    async def main():
        here, hashes = service(connection_lost, connection_lost, connection_lost), []
        async with here.client() as client:
            for prompt, more in (
                ("a fox", {}),
                ("a fox", {"track_id": 5, "webhook": client.webhook_url("http://me.example")}),
                ("a dog", {}),
            ):
                with pytest.raises(SubmitUncertain) as caught:
                    await client.submit(REALTIME, prompt=prompt, **more)
                hashes.append(caught.value.payload_hash)
        assert hashes[0] == hashes[1] != hashes[2]

    virtually(main)


UNMARKED = [
    endpoint
    for endpoint in ENDPOINTS.values()
    if endpoint.resolved_by and "track_id" not in endpoint.parameters
]
PAGE = Path(__file__).parents[2] / "docs/how-to/submit.md"


@pytest.mark.parametrize("endpoint", UNMARKED, ids=lambda endpoint: endpoint.name)
def test_endpoint_without_track_id_gets_none(virtually, service, endpoint):
    """The error says to look for the work by its time; a track_id of the caller is sent."""

    async def main():
        here = service(connection_lost, connection_lost)
        async with here.client() as client:
            params = {**dict.fromkeys(endpoint.required, "x"), "webhook": "https://me.example"}
            with pytest.raises(SubmitUncertain, match=r"no track_id.* by its time") as caught:
                await client.submit(endpoint.name, **params)
            assert "" == caught.value.track_id
            with pytest.raises(SubmitUncertain, match="track_id mine-1"):
                await client.submit(endpoint.name, **params, track_id="mine-1")
        assert [None, "mine-1"] == [fields.get("track_id") for fields in here.submits]
        assert f"`{endpoint.name}`" in PAGE.read_text()

    virtually(main)


REFUSALS = {
    "bad key": (json_response(401, status="error", message="Invalid API key"), AuthenticationError),
    "no credits": (json_response(status="error", message="Insufficient credits."), PaymentRequired),
    "bad request": (
        json_response(400, status="error", message="prompt is required"),
        InvalidRequest,
    ),
    "no such model": (
        json_response(404, status="error", message="Model not found: x"),
        InvalidRequest,
    ),
    "refused in a 200": (
        json_response(status="error", message="Unable to fetch image"),
        InvalidRequest,
    ),
    "failed at once": (
        json_response(status="failed", id="", message="Failed, Try Again"),
        GenerationFailed,
    ),
    "failed with an id": (json_response(status="failed", id=7, message="Failed"), GenerationFailed),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_raised_at_once(virtually, service, name):
    """What the server refuses was not started, and is not sent again."""
    response, kind = REFUSALS[name]

    async def main():
        here = service(lambda *_: response)
        async with here.client() as client:
            with pytest.raises(kind) as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert 1 == len(here.submits)
        ticket = Ticket("realtime", 7) if name == "failed with an id" else None
        assert ticket == caught.value.ticket
        message = json.loads(response.body)["message"]
        assert message in caught.value.server_message
        if kind is InvalidRequest:
            assert f"{REALTIME}: {message}" == str(caught.value) == caught.value.args[0]

    virtually(main)


def test_failure_at_once_has_a_note_on_its_submit(virtually, service):
    """The server's words alone do not say which request failed."""
    response, _ = REFUSALS["failed at once"]

    async def main():
        async with service(lambda *_: response).client() as client:
            with pytest.raises(GenerationFailed) as caught:
                await client.submit(REALTIME, prompt="a fox", track_id="order-7")
        assert ["the submit was to realtime/text2img, with track_id order-7"] == (
            caught.value.__notes__
        )
        assert "Failed, Try Again" == str(caught.value)

    virtually(main)


def test_submit_waits_while_queue_is_full(virtually, service):
    """A submit that found the queue full is sent again after the time that the server names."""

    async def main():
        here = service(queue_full, accept)
        async with here.client() as client:
            await client.submit(REALTIME, prompt="a fox")
        assert 30.0 <= here.moments[1] - here.moments[0] < 31.0
        assert 1 == here.starts.total()

    virtually(main)


def test_queue_that_stays_full_is_given_up(virtually, service):
    """After the pace's budget the rate limit is raised; nothing was started."""

    async def main():
        here = service(*[queue_full] * 9)
        async with here.client(pace=Pace(max_failures=3)) as client:
            with pytest.raises(RateLimited):
                await client.submit(REALTIME, prompt="a fox")
        assert 3 == len(here.submits)

    virtually(main)


@pytest.mark.parametrize(("eta", "first"), [("none", 2.5), ("honest", 20.0)])
def test_new_ticket_is_not_polled_at_once(virtually, world, eta, first):
    """The first poll is a step of the pace after the submit, or when the server says."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0), eta=eta)}
        async with world(pace=Pace(jitter=0.0), emulated=emulated) as here:
            await here.client.generate(REALTIME, prompt="a fox")
        assert [0.0, first] == here.wire.moments[:2]

    virtually(main)


def test_eta_counts_from_submit(virtually, world):
    """A later wait waits for the rest of the eta, and polls at once when it is over."""

    async def main():
        emulated = {"jobs": Jobs(duration=(20.0, 20.0), eta="honest")}
        async with world(pace=Pace(jitter=0.0), emulated=emulated) as here:
            early, late = [
                (await here.client.submit(REALTIME, prompt=prompt)).ticket for prompt in ("a", "b")
            ]
            await asyncio.sleep(5.0)
            await here.client.wait(early)
            assert 20.0 == now()
            await asyncio.sleep(5.0)
            await here.client.wait(late)
            assert 25.0 == now()
        assert [0.0, 0.0, 20.0, 25.0] == here.wire.moments

    virtually(main)


def test_on_submitted_ends_before_submit_returns(virtually, service):
    """The hook is done with the ticket before the caller gets it."""
    heard = []

    async def store(news):
        await asyncio.sleep(1.0)
        heard.append(news)

    async def main():
        here = service(accept, finish_at_once)
        async with here.client(on_submitted=store) as client:
            begun = await client.submit(REALTIME, prompt="a fox", track_id="mine-1")
            assert [begun.ticket] == [news.ticket for news in heard]
            await client.submit(REALTIME, prompt="a dog")
        assert begun == heard[0].reply
        assert (REALTIME, "mine-1") == (heard[0].endpoint, heard[0].track_id)
        assert isinstance(heard[1].reply, Success)

    virtually(main)


def test_error_of_hook_names_ticket(virtually, service):
    """If storing the ticket fails, the error says which work was started."""

    async def store(_):
        raise OSError("the disk is full")

    async def main():
        here = service()
        async with here.client(on_submitted=store) as client:
            with pytest.raises(OSError, match="full") as caught:
                await client.submit(REALTIME, prompt="a fox")
        assert any("realtime:1" in note for note in caught.value.__notes__)

    virtually(main)


@pytest.mark.parametrize("moment", [0.001, 0.005, 0.011])
def test_cancelled_caller_loses_no_ticket(virtually, service, caplog, moment):
    """A submit in flight is read to its end though its caller was cancelled."""
    heard = []

    async def store(news):
        await asyncio.sleep(0.005)
        heard.append(news.ticket)

    async def main():
        here = service()
        async with here.client(on_submitted=store) as client:
            submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
            await asyncio.sleep(moment)
            submitting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await submitting
        assert [Ticket("realtime", 1)] == heard
        assert 1 == here.starts.total()

    virtually(main)
    assert "its caller has gone: realtime:1" in caplog.text


def test_generate_times_out(virtually, world):
    """Work that was started goes on, and its ticket can be waited for again."""

    async def main():
        async with world(emulated={"jobs": Jobs(duration=(50.0, 50.0))}) as here:
            with pytest.raises(WaitTimeout) as caught:
                await here.client.generate(REALTIME, timeout=10.0, prompt="a fox")
            assert 10.0 == now()
            assert (await here.client.wait(caught.value.ticket)).output

    virtually(main)


def test_close_rejects_waiting_submits(virtually, world):
    """A submit that waits for a slot ends with a `ClientClosed`: nothing was started for it."""

    async def main():
        async with world(queue=1, emulated={"jobs": Jobs(duration=(50.0, 50.0))}) as here:
            await here.client.submit(REALTIME, prompt="a fox")
            waiting = asyncio.create_task(here.client.submit(REALTIME, prompt="a dog"))
            await asyncio.sleep(1.0)
            await here.client.aclose()
            with pytest.raises(ClientClosed, match="nothing was started"):
                await waiting
            with pytest.raises(ClientClosed):
                await here.client.submit(REALTIME, prompt="a cat")

    virtually(main)


def test_close_waits_for_submit_in_flight(virtually, service):
    """A submit that was sent is read before the client has closed: it may be paid for."""

    async def main():
        here = service()
        client = here.client()
        submitting = asyncio.create_task(client.submit(REALTIME, prompt="a fox"))
        await asyncio.sleep(0.005)
        await client.aclose()
        assert Ticket("realtime", 1) == (await submitting).ticket

    virtually(main)


def test_ask_returns_body(virtually, world):
    """An endpoint that starts no work returns the body of its reply."""

    async def main():
        async with world() as here:
            await here.client.submit(REALTIME, prompt="a fox")
            body = await here.client.ask("general/request_count")
            assert 1 == body["processing_count"]
            with pytest.raises(ValueError, match=r"client\.submit"):
                await here.client.ask(REALTIME, prompt="x")
            with pytest.raises(ValueError, match=r"'id' is .* such as finite numbers"):
                await here.client.ask("general/request_count", id=math.nan)

    virtually(main)


def test_ask_may_be_refused(virtually, service):
    """A refusal of `ask` is the same error as everywhere."""

    async def main():
        here = service(
            lambda *_: json_response(401, status="error", message="Invalid API key"),
            lambda *_: json_response(200, status="error", message="no such thing"),
        )
        async with here.client() as client:
            with pytest.raises(AuthenticationError):
                await client.ask("general/wallet_balance")
            with pytest.raises(InvalidRequest, match=r"^general/wallet_balance: no such thing$"):
                await client.ask("general/wallet_balance")

    virtually(main)


@pytest.mark.parametrize(
    "fetch_result",
    [
        "https://modelslab.com/api/v7/video-fusion/fetch/155262350",
        "https://proxy.example/api/v7/video-fusion/fetch/155262350",
    ],
)
def test_id_of_default_host_is_read_behind_another_base_url(virtually, service, fetch_result):
    """An id that only `fetch_result` names makes the ticket, which is polled at `base_url`."""

    async def main():
        here = service(lambda *_: json_response(status="processing", fetch_result=fetch_result))
        async with here.client(base_url="https://proxy.example/api") as client:
            begun = await client.submit(
                "v7_video_fusion/text-to-video", model_id="wan", prompt="a fox"
            )
            assert Ticket("v7_video_fusion", 155262350) == begun.ticket
            await client.wait(begun.ticket)
        assert {"https://proxy.example/api/v7/video-fusion/fetch/155262350"} == here.polled_urls

    virtually(main)


def test_id_of_any_other_host_is_not_read(virtually, service):
    """A host that is neither the service's nor the client's names no ticket."""

    async def main():
        url = "https://other.example/api/v7/video-fusion/fetch/155262350"
        here = service(lambda *_: json_response(status="processing", fetch_result=url))
        async with here.client(base_url="https://proxy.example/api") as client:
            with pytest.raises(SubmitUncertain):
                await client.submit("v7_video_fusion/text-to-video", model_id="wan", prompt="a fox")

    virtually(main)
