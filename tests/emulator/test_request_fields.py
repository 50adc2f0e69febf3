"""How the emulator may be asked: keys, forms of the id, bodies, and what it refuses."""

import pytest

from modelslab_async.emulator import Emulator, Jobs

FETCH = "v6/images/fetch"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def planted(emulator):
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
async def test_the_key_may_stand_anywhere(how, planted, visitor):
    """Each place where clients put the key is looked at."""
    reply = await visitor.http.post(f"{FETCH}/{planted.id}", **how)

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
@pytest.mark.usefixtures("planted")
async def test_the_id_may_stand_in_the_path_or_in_the_body(path, fields, visitor):
    """Both forms of a fetch find the job, below /api and without it."""
    assert (await visitor.submit(path, **fields)).json()["id"] == 5


@pytest.mark.parametrize("fields", [{"request_id": "5"}, {}])
@pytest.mark.usefixtures("planted")
async def test_multipart_fields_are_fields(fields, visitor):
    """Old clients post the whole fetch as a multipart form."""
    form = {name: (None, value) for name, value in {"key": "k", **fields}.items()}

    reply = await visitor.http.post(FETCH, files=form)

    assert (200 if fields else 400) == reply.status_code


async def test_an_unknown_id_is_a_failed_body_under_200(emulator, visitor):
    """Nobody knows this id: the service says failed, with an empty id."""
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
    """Without a key, with a wrong one and with a right one."""
    emulator = Emulator(clock=clock, keys={"right"}, keys_without_credits={"broke"})
    emulator.add_job("images:5", duration=0)
    visitor = visit(emulator)

    missing, wrong, right, keys_without_credits = [
        await visitor.fetch("images:5", key=key) for key in ("", "wrong", "right", "broke")
    ]

    assert (missing.status_code, missing.json()["message"]) == (401, "API key required")
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")
    assert [right.status_code, keys_without_credits.status_code] == [200, 200]


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        ("v6/images/text2img", "message"),
        ("v3/text2img", "messege"),
        ("v3/fetch/5", "messege"),
        ("v6/processing/request_count", "message"),
    ],
)
async def test_old_families_misspell_their_refusals(path, spelled, visitor):
    """The refusals of the oldest paths have a messege."""
    reply = await visitor.submit(path, key="")

    assert {"status": "error", spelled: "API key required"} == reply.json()


async def test_a_key_without_credits_submits_nothing(visit, clock):
    """402, and the submit is on record as refused."""
    emulator = Emulator(clock=clock, keys_without_credits={"broke"})

    reply = await visit(emulator).submit("v6/realtime/text2img", key="broke", prompt="a cat")

    assert reply.status_code == 402
    assert reply.json()["message"].startswith("Insufficient credits.")
    assert emulator.submits[0].ticket is None


async def test_the_queue_of_a_key_is_limited(visit, clock):
    """The limit counts unfinished jobs of one key over all families, and says when to come back."""
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


async def test_what_is_required_is_asked_for(emulator, visitor):
    """400 in the service's words, the first missing parameter named; nothing is started."""
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
async def test_a_body_that_cannot_be_read_is_an_error_under_200(body, visitor):
    """The service was seen to answer 200 to it."""
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
async def test_wrong_methods_and_routes_are_refused_in_json(method, path, status_code, visitor):
    """405 for what exists otherwise, 404 for what does not."""
    reply = await visitor.http.request(method, path)

    assert (status_code, "error") == (reply.status_code, reply.json()["status"])


async def test_a_submit_echoes_its_parameters_and_never_the_key(emulator, visitor):
    """`meta` holds the parameters under the server's names; the record has them as they came."""
    reply = await visitor.submit(
        "v6/realtime/text2img", key="sesame", prompt="a cat", width="512", samples=2, track_id="t1"
    )

    meta = reply.json()["meta"]
    assert tuple(meta[name] for name in ("prompt", "W", "n_samples", "track_id")) == (
        "a cat",
        "512",
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
async def test_the_eta_is_as_honest_as_asked_for(eta, path, expected, visit, clock):
    """Etas may be true, wild, a share of the truth, or missing."""
    visitor = visit(Emulator(clock=clock, jobs=Jobs(duration=(4.0, 4.0), eta=eta)))

    said = (await visitor.submit(path, prompt="a cat")).json().get("eta")

    assert (expected, type(expected)) == (said, type(said))
