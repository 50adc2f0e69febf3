"""The requests that the emulator accepts and refuses: keys, ids, bodies and parameters."""

import pytest

from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async.emulator import Emulator, Jobs

FETCH = "v6/images/fetch"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def job(emulator):
    return emulator.add_job("images:5", duration=0)


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"key": "k"}},
        {"headers": {"key": "k"}},
        {"headers": {"Authorization": "Bearer k"}},
        {"headers": {"X-API-Key": "k"}},
        {"params": {"key": "k"}},
        {"data": {"key": "k"}},
        {"files": {"key": (None, "k")}},
        {"content": b'{"key": "k"}', "headers": FORM},
    ],
    ids=["json", "header", "bearer", "x-api-key", "query", "form", "multipart", "mislabelled"],
)
async def test_key_is_found_wherever_clients_send_it(how, job, visitor):
    """The emulator reads the key from each place that clients use."""
    reply = await visitor.http.post(f"{FETCH}/{job.id}", **how)

    assert reply.json()["status"] == "success"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (f"{FETCH}/5", {}),
        (FETCH, {"request_id": "5"}),
        (FETCH, {"request_id": 5}),
        (FETCH, {"id": "5"}),
        ("v6/images//fetch/5", {}),
        ("v6/images/fetch/5/", {}),
        ("http://emulator.test/v6/images/fetch/5", {}),
    ],
)
@pytest.mark.usefixtures("job")
async def test_id_is_found_in_the_path_or_the_body(path, fields, visitor):
    """Both forms of a poll find the job, below /api and without it."""
    assert (await visitor.submit(path, **fields)).json()["id"] == 5


@pytest.mark.parametrize("fields", [{"request_id": "5"}, {}])
@pytest.mark.usefixtures("job")
async def test_multipart_form_is_read(fields, visitor):
    """Old clients post the whole poll as a multipart form."""
    form = {name: (None, value) for name, value in {"key": "k", **fields}.items()}

    reply = await visitor.http.post(FETCH, files=form)

    assert (200 if fields else 400) == reply.status_code


async def test_unknown_id_gives_200_with_a_failed_body(emulator, visitor):
    """The service answers an unknown id with the status failed and an empty id."""
    reply = await visitor.fetch("images:404")

    body = reply.json()
    assert reply.status_code == 200
    assert tuple(body[name] for name in ("status", "id", "message", "output")) == (
        "failed",
        "",
        "Request not found",
        "",
    )
    assert emulator.polls.total() == 1


async def test_keys_are_checked(visit, clock):
    """A missing or wrong key gives 401. A key without credits may poll."""
    emulator = Emulator(clock=clock, keys={"right"}, keys_without_credits={"broke"})
    emulator.add_job("images:5", duration=0)
    visitor = visit(emulator)

    missing, wrong, right, without_credits = [
        await visitor.fetch("images:5", key=key) for key in ("", "wrong", "right", "broke")
    ]

    assert (missing.status_code, missing.json()["message"]) == (401, "API key required")
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")
    assert [right.status_code, without_credits.status_code] == [200, 200]


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("v6/images/text2img", "message"),
        ("v3/text2img", "messege"),
        ("v3/fetch/5", "messege"),
        ("v6/processing/request_count", "message"),
    ],
)
async def test_refusals_of_old_families_have_a_messege(path, spelled, visitor):
    """The refusals of the oldest paths spell the field messege."""
    reply = await visitor.submit(path, key="")

    assert {"status": "error", spelled: "API key required"} == reply.json()


async def test_every_refused_submit_is_counted(visit, clock):
    """A wrong key, an unreadable body and a refusal of the request count; polls do not."""
    emulator = Emulator(clock=clock, keys={"good"})
    visitor = visit(emulator)
    path = "v6/realtime/text2img"
    await visitor.submit(path, key="bad", prompt="a cat")
    await visitor.submit(path, key="good")
    await visitor.submit(path, key="good", prompt="a cat")
    await visitor.submit("v6/realtime/fetch/1", key="bad")
    assert 2 == emulator.refused_submits
    assert 1 == sum(submit.ticket is not None for submit in emulator.submits)


async def test_submit_without_credits_gives_402(visit, clock):
    """The submit is recorded as refused."""
    emulator = Emulator(clock=clock, keys_without_credits={"broke"})

    reply = await visit(emulator).submit("v6/realtime/text2img", key="broke", prompt="a cat")

    assert reply.status_code == 402
    assert reply.json()["message"].startswith("Insufficient credits.")
    assert emulator.submits[0].ticket is None


async def test_full_queue_gives_429(visit, clock):
    """The limit counts the unfinished jobs of a key in all families. The reply names the wait."""
    jobs = Jobs(duration=(5.0, 5.0))
    visitor = visit(Emulator(clock=clock, jobs=jobs, queue_limit=2))
    paths = ["v6/realtime/text2img", "v6/voice/sfx", "v6/3d/text_to_3d"]

    replies = [await visitor.submit(path, prompt="a cat") for path in paths]
    others = await visitor.submit(paths[2], key="other", prompt="a cat")
    count = await visitor.submit("v6/processing/request_count")
    clock.now += 5
    again = await visitor.submit(paths[2], prompt="a cat")

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].json() == {
        "status": "error",
        "message": "Rate limit exceeded. Maximum 2 queued requests allowed.",
        "retry_after": 30,
    }
    assert count.json() == {"status": "success", "processing_count": 2}
    assert [others.status_code, again.status_code] == [200, 200]


async def test_missing_parameter_gives_400(emulator, visitor):
    """The reply names the first missing parameter, and no job starts."""
    bare = await visitor.submit("v6/images/text2img")
    promptless = await visitor.submit("v6/images/text2img", prompt="", model_id="flux")
    modelless = await visitor.submit("v6/images/text2img", prompt="a cat", model_id=None)
    neither = await visitor.submit("v6/voice/vocal_isolator")
    upload = await visitor.submit("v6/base64_to_url")

    said = [reply.json()["message"] for reply in (bare, promptless, modelless, neither, upload)]
    assert said == [
        "prompt is required",
        "prompt is required",
        "model_id is required",
        "init_video is required",
        "base64_string is required",
    ]
    assert bare.status_code == 400
    assert {None} == {submitted.ticket for submitted in emulator.submits}


@pytest.mark.parametrize("body", [b"{not json", b"[1]", b"just text", b"[" * 100_000])
async def test_unreadable_body_gives_200_with_an_error(body, visitor):
    """The service answers such a body with 200."""
    reply = await visitor.http.post(FETCH, content=body)

    assert (reply.status_code, reply.json()["message"]) == (200, "Invalid API Request")


@pytest.mark.parametrize(
    ("method", "path", "status_code"),
    [
        ("GET", "v6/images/fetch/5", 405),
        ("POST", "v5/images/fetch/5", 405),
        ("GET", "v6/images/text2img", 405),
        ("POST", "v6/nowhere", 404),
        ("POST", "v1/workflows/wf/nowhere", 404),
        ("GET", "", 404),
    ],
)
async def test_wrong_method_or_route_gives_json(method, path, status_code, visitor):
    """405 for a known route with another method, 404 for an unknown route."""
    reply = await visitor.http.request(method, path)

    assert (status_code, "error") == (reply.status_code, reply.json()["status"])


async def test_huge_number_of_samples_gives_as_many_files_as_any_job(visitor):
    """A job has four files at most."""
    reply = await visitor.start(ENDPOINTS["realtime/text2img"], samples="9" * 5000)

    assert 200 == reply.status_code
    assert 4 == len(reply.json()["future_links"])


async def test_submit_reply_repeats_parameters_without_the_key(emulator, visitor):
    """`meta` has the parameters under the models' names. The record has them unchanged."""
    reply = await visitor.submit(
        "v6/realtime/text2img", key="sesame", prompt="a cat", width="512", samples=2, track_id="t1"
    )

    meta = reply.json()["meta"]
    assert tuple(meta[name] for name in ("prompt", "W", "n_samples", "track_id")) == (
        "a cat",
        512,
        2,
        "t1",
    )
    assert len(reply.json()["future_links"]) == 2
    assert "sesame" not in reply.text
    assert "sesame" not in repr(emulator.submits)
    assert dict(emulator.submits[0].fields) == {
        "prompt": "a cat",
        "width": "512",
        "samples": 2,
        "track_id": "t1",
    }


@pytest.mark.parametrize(
    ("eta", "path", "expected"),
    [
        ("honest", "v6/realtime/text2img", 4),
        ("honest", "v5/controlnet", 4.0),
        ("none", "v6/realtime/text2img", None),
        ("pessimistic", "v6/realtime/text2img", 400),
        (0.5, "v6/realtime/text2img", 2),
    ],
)
async def test_eta_follows_the_setting(eta, path, expected, visit, clock):
    """ETAs can be true, far too long, a factor of the truth, or missing."""
    visitor = visit(Emulator(clock=clock, jobs=Jobs(duration=(4.0, 4.0), eta=eta)))

    said = (await visitor.submit(path, prompt="a cat")).json().get("eta")

    assert (expected, type(expected)) == (said, type(said))
