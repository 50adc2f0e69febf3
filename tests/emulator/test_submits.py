"""Submits at every endpoint, from the call to the end of the job, and refused submits."""

from base64 import b64decode

import pytest

from modelslab_async._models.ticket import Ticket
from modelslab_async._registry.endpoint import Endpoint
from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async._registry.families import FAMILIES
from modelslab_async._registry.family import Family
from modelslab_async.emulator import Emulator, Jobs

BASE = "http://emulator.test/api"
QUEUED = [name for name, endpoint in ENDPOINTS.items() if endpoint.resolved_by]
SPAM = "you are sending same request multiple times"


def ticket_of(endpoint, body):
    """Return the ticket of a submit reply, without the client's parser."""
    if "execution_id" in body:
        return Ticket(endpoint.resolved_by, f"{body['workflow_id']}/{body['execution_id']}")
    id_ = body.get("training_id") or body.get("taskId") or body["id"]
    return Ticket(endpoint.resolved_by, str(id_))


def is_done(family, body):
    if family.status == "training":
        return body["messege"] == "model_ready"
    if family.status == "workflow":
        return body["execution"]["status"] == "completed"
    return body["status"] == "success"


@pytest.mark.parametrize("name", QUEUED)
async def test_submitted_job_is_polled_by_the_family_of_its_endpoint(
    name, emulator, visitor, clock
):
    """The endpoint's call is accepted, and its ticket has the family that the registry names."""
    endpoint = ENDPOINTS[name].with_hosts(base=BASE, legacy=BASE)
    needed = (*endpoint.required, *(group[-1] for group in endpoint.any_of))
    call = endpoint.build_submit(dict.fromkeys(needed, "x"))
    place = {"json": {**call.fields, "key": "k"}}
    if call.key_in == "header":
        place = {"json": dict(call.fields), "headers": {"key": "k"}}

    reply = await visitor.http.request(call.method, call.url, **place)
    ticket = ticket_of(endpoint, reply.json())
    family = FAMILIES[ticket.family]
    running = (await visitor.fetch(ticket)).json()
    clock.now += 4
    done = (await visitor.fetch(ticket)).json()

    assert reply.is_success
    assert not is_done(family, running)
    assert is_done(family, done)
    (submitted,) = emulator.submits
    assert (name, ticket) == (submitted.endpoint, submitted.ticket)
    assert dict(call.fields) == submitted.fields
    assert {ticket: 2} == emulator.polls


async def test_job_is_also_found_by_the_family_of_its_endpoint(visitor, clock):
    """Tickets of controlnet_v5 are in the family images, and its own polls find them too."""
    id_ = (await visitor.start(ENDPOINTS["controlnet_v5/controlnet"])).json()["id"]
    clock.now += 4

    found = [(await visitor.fetch((name, id_))).json() for name in ("images", "controlnet_v5")]

    assert ["success", "success"] == [body["status"] for body in found]


async def test_repeated_submit_is_spam_within_the_window(visit, clock):
    """A repeat gets the spam message. Another key, other parameters or a later time do not."""
    emulator = Emulator(clock=clock, spam_window=30.0)
    visitor = visit(emulator)
    path = "v6/realtime/text2img"

    first = await visitor.submit(path, prompt="a cat", seed=1)
    again = await visitor.submit(path, seed=1, prompt="a cat")
    others = [
        await visitor.submit(path, prompt="a cat", seed=2),
        await visitor.submit(path, prompt="a cat", seed=1, key="another"),
        await visitor.submit("v6/realtime/img2img", prompt="a cat", seed=1, init_image="x"),
    ]
    clock.now += 29.9
    early = await visitor.submit(path, prompt="a cat", seed=1)
    clock.now += 0.1
    late = await visitor.submit(path, prompt="a cat", seed=1)

    assert (200, "error", "Rate limit exceeded") == (
        again.status_code,
        again.json()["status"],
        again.json()["message"],
    )
    assert again.json()["tips"].startswith(SPAM)
    assert "tips" in early.json()
    assert {"processing"} == {reply.json()["status"] for reply in (first, late, *others)}
    assert 2 == sum(submitted.ticket is None for submitted in emulator.submits)


async def test_track_id_and_webhook_do_not_make_a_new_submit(visit, clock):
    """Submits that differ in these fields only are repeats."""
    visitor = visit(Emulator(clock=clock, spam_window=30.0))
    path = "v6/realtime/text2img"

    first = await visitor.submit(path, prompt="a cat", track_id=1, webhook="https://me.example/1")
    again = [
        await visitor.submit(path, prompt="a cat", track_id=2),
        await visitor.submit(path, prompt="a cat", webhook="https://me.example/2"),
    ]

    assert "processing" == first.json()["status"]
    assert all(reply.json()["tips"].startswith(SPAM) for reply in again)


async def test_repeated_workflow_run_is_spam(visit, clock):
    """Parameters in the path count like all others."""
    visitor = visit(Emulator(clock=clock, spam_window=30.0))
    paths = ["v1/workflows/a/run", "v1/workflows/b/run", "v1/workflows/a/run"]

    replies = [(await visitor.submit(path, inputs={})).json() for path in paths]

    assert [False, False, True] == ["tips" in reply for reply in replies]


async def test_without_a_window_no_submit_is_spam(visitor):
    """The spam filter is off by default."""
    replies = [await visitor.submit("v3/text2img", prompt="a cat") for _ in range(2)]

    assert ["processing"] * 2 == [reply.json()["status"] for reply in replies]


async def test_refused_submit_can_be_repeated(visit, clock):
    """A submit that found the queue full may be sent again."""
    emulator = Emulator(clock=clock, spam_window=30.0, queue_limit=0)

    replies = [await visit(emulator).submit("v3/text2img", prompt="a cat") for _ in range(2)]

    assert [429, 429] == [reply.status_code for reply in replies]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_share_of_submit_replies_is_the_result(share, visit, clock):
    """The share `immediate` of the submit replies is the result."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(4.0, 4.0), immediate=share, seed=3))
    visitor = visit(emulator)

    said = [
        (await visitor.submit("v6/realtime/text2img", prompt="a cat")).json()["status"]
        for _ in range(40)
    ]

    expected = {0.0: {"processing"}, 0.5: {"processing", "success"}, 1.0: {"success"}}
    assert expected[share] == set(said)


@pytest.mark.parametrize(("asked", "expected"), [(True, "processing"), ("no", "success")])
async def test_instant_response_is_never_the_result(asked, expected, visit, clock):
    """A submit that asks for an instant response gets a processing reply."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(0.0, 0.0)))

    reply = await visit(emulator).submit(
        "v6/realtime/text2img", prompt="a cat", instant_response=asked
    )

    assert expected == reply.json()["status"]


@pytest.mark.parametrize("name", [name for name in ENDPOINTS if "base64_to_url" in name])
async def test_upload_gives_a_link_to_a_file(name, visitor):
    """The reply has a link that works at once."""
    body = (await visitor.start(ENDPOINTS[name])).json()

    assert ("success", int) == (body["status"], type(body["id"]))
    assert (await visitor.http.get(body["output"][0])).status_code == 200


@pytest.mark.parametrize(
    ("name", "field", "kind"),
    [
        ("general/wallet_balance", "data", dict),
        ("general/base64_crop", "link", str),
        ("general/nsfw_image_check", "has_nsfw_concept", list),
        ("general/clear_queue", "message", str),
        ("voice/voice_list", "voices", list),
        ("voice/voice_upload", "voice_id", str),
    ],
)
async def test_utility_reply_has_the_documented_format(name, field, kind, visitor):
    """The reply has the status and the field that the documentation shows."""
    body = (await visitor.start(ENDPOINTS[name])).json()

    assert ("success", kind) == (body["status"], type(body[field]))


async def test_list_of_models_is_an_array(visitor):
    """The service sends this list without an object around it."""
    body = (await visitor.start(ENDPOINTS["general/model_list"])).json()

    assert [{"model_id", "status", "model_name"}] * 2 == [model.keys() for model in body]


async def test_custom_endpoints_are_served(visit, clock):
    """The table of endpoints can be extended."""
    v9 = Family(name="v9_images", url="{base}/v9/images/fetch/{id}")
    rows = [
        Endpoint(name="v9_images/paint", url="{base}/v9/images/paint", resolved_by="v9_images"),
        Endpoint(name="v9_images/price", url="{base}/v9/images/price", resolved_by=None),
        Endpoint(name="v9_images/base64_to_url", url="{base}/v9/images/upload", resolved_by=None),
    ]
    emulator = Emulator(
        clock=clock, families={"v9_images": v9}, endpoints={row.name: row for row in rows}
    )
    visitor = visit(emulator)

    started, price, upload = [(await visitor.start(row)).json() for row in rows]
    clock.now += 9

    fetched = await visitor.submit(f"v9/images/fetch/{started['id']}")
    assert "success" == fetched.json()["status"]
    assert {"status": "success"} == price
    assert (await visitor.http.get(upload["output"][0])).status_code == 200


async def test_share_of_immediate_results_may_differ_by_family(visit, clock):
    """A family that is not named gives no result at once."""
    jobs = Jobs(duration=(4.0, 4.0), immediate={"realtime": 1.0})
    visitor = visit(Emulator(clock=clock, jobs=jobs))

    replies = [
        (await visitor.submit(path, prompt="a cat", model_id="flux")).json()["status"]
        for path in ("v6/realtime/text2img", "v6/images/text2img")
    ]

    assert ["success", "processing"] == replies


@pytest.mark.parametrize(
    ("submit_path", "fetch_path"),
    [
        ("v6/voice/speech_to_text", "v6/voice/fetch"),
        ("v1/enterprise/ultra_video/text2video", "v1/enterprise/video/fetch"),
        ("v1/enterprise/qwen/text2img", "v1/enterprise/images/fetch"),
        ("v3/dreambooth", "v3/fetch"),
        ("v6/realtime/text2img", "v6/image_editing/fetch"),
    ],
)
async def test_job_is_found_where_other_clients_poll_it(submit_path, fetch_path, visitor, clock):
    """Official clients poll some jobs by another family than that of the submit."""
    submitted = await visitor.submit(submit_path, prompt="a cat", init_audio="x")
    clock.now += 4

    found = await visitor.submit(f"{fetch_path}/{submitted.json()['id']}")

    assert "success" == found.json()["status"]


async def test_meta_repeats_numbers_as_integers(visitor):
    """The service answers integers, whatever types the submit had, and it draws a seed."""
    submit = {"width": "768", "height": 512.0, "samples": "2", "num_inference_steps": "20"}
    path = "v6/realtime/text2img"

    drawn = (await visitor.submit(path, prompt="a cat", seed=None, **submit)).json()["meta"]
    given = (await visitor.submit(path, prompt="a cat", seed="7", **submit)).json()["meta"]
    odd = (await visitor.submit(path, prompt="a cat", seed="odd", width=True)).json()["meta"]

    numbers = [drawn[name] for name in ("W", "H", "n_samples", "steps")]
    assert [768, 512, 2, 20] == numbers
    assert {int} == {type(number) for number in (*numbers, drawn["seed"])}
    assert 7 == given["seed"]
    assert ("odd", True) == (odd["seed"], odd["W"])


@pytest.mark.parametrize(
    ("path", "asked", "suffix"),
    [
        ("v6/video/text2video", {"output_type": "mp4"}, "mp4"),
        ("v6/video/text2video", {"output_type": "gif"}, "gif"),
        ("v6/voice/text_to_speech", {"output_format": "mp3"}, "mp3"),
        ("v6/voice/sfx", {"output_format": "WAV"}, "wav"),
        ("v6/voice/sfx", {"output_format": "flac"}, "flac"),
        ("v6/3d/text_to_3d", {"output_format": "obj"}, "obj"),
        ("v6/3d/text_to_3d", {"output_format": "stl"}, "stl"),
        ("v6/3d/image_to_3d", {"output_format": "fbx"}, "fbx"),
        ("v6/3d/image_to_3d", {"output_format": "glb"}, "glb"),
        ("v3/txt_to_3d", {"output_type": "ply"}, "ply"),
        ("v6/voice/sfx", {"output_format": "mp4"}, "wav"),
        ("v6/images/text2img", {"output_format": "jpeg"}, "jpg"),
        ("v6/images/text2img", {"output_format": "webp"}, "webp"),
    ],
)
async def test_submit_chooses_the_type_of_its_files(path, asked, suffix, visitor, clock):
    """A type that the endpoint cannot make is ignored."""
    needed = dict.fromkeys(("prompt", "model_id", "voice_id", "init_image"), "x")
    submitted = (await visitor.submit(path, **needed, **asked)).json()
    clock.now += 4

    (link,) = submitted["future_links"]
    assert suffix == link.rpartition(".")[2]
    assert (await visitor.http.get(link)).status_code == 200


@pytest.mark.parametrize("asked", [True, "yes", "true"])
async def test_base64_links_lead_to_base64_text(asked, visitor, clock):
    """The text decodes to the file that the job would have without base64."""
    submitted = (await visitor.submit("v6/realtime/text2img", prompt="a cat", base64=asked)).json()
    clock.now += 4

    (link,) = submitted["future_links"]
    text = await visitor.http.get(link)
    assert "text/plain; charset=utf-8" == text.headers["content-type"]
    assert b64decode(text.text, validate=True).startswith(b"\xff\xd8\xff")


async def test_query_parameters_count_and_the_body_replaces_them(emulator, visitor):
    """A client may send parameters in the query; the key there is no parameter."""
    await visitor.http.post(
        "v6/realtime/text2img?prompt=a+dog&seed=1&key=k", json={"prompt": "a cat"}
    )

    assert {"prompt": "a cat", "seed": "1"} == emulator.submits[0].fields


async def test_doubled_prefix_is_accepted(visitor):
    """Some clients add `api/` to a base URL that has it."""
    assert (await visitor.submit("api/v6/realtime/text2img", prompt="a cat")).status_code == 200
