"""Every family of the registry, from its ticket to the bytes of its files."""

import pytest

from modelslab_async._registry.families import FAMILIES
from modelslab_async.emulator import Emulator, Jobs
from modelslab_async.emulator.family_reply_formats import format_of
from modelslab_async.emulator.served_endpoints import SERVED_ENDPOINTS, family_name_of

MAGIC = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpg": b"\xff\xd8\xff",
    "gif": b"GIF89a",
    "mp4": b"\x00\x00\x00\x1cftyp",
    "wav": b"RIFF",
    "txt": b"This is the transcript",
    "obj": b"# ",
    "glb": b"glTF",
}
GENERATIONS = [name for name, family in FAMILIES.items() if family.status == "generation"]
ENDPOINTS = [
    endpoint
    for endpoint in SERVED_ENDPOINTS.values()
    if endpoint.resolved_by and FAMILIES[endpoint.resolved_by].status == "generation"
]


def links(body):
    results = body.get("output") or body.get("links")
    if isinstance(results, dict):
        results = results["output"]
    return [results] if isinstance(results, str) else results


async def check_files(visitor, body):
    found = links(body)
    assert found
    for link in found:
        reply = await visitor.http.get(link)
        assert reply.status_code == 200
        assert reply.content.startswith(MAGIC[link.rpartition(".")[2]])


@pytest.mark.parametrize("name", GENERATIONS)
async def test_added_job_runs_and_then_gives_its_files(name, emulator, visitor, clock):
    """Before its end a job is processing. After it the reply has links to valid files."""
    ticket = emulator.add_job((name, 77), duration=5)

    clock.now += 4.9
    running = (await visitor.fetch(ticket)).json()
    clock.now += 0.1
    done = (await visitor.fetch(ticket)).json()

    assert running["status"] == "processing"
    assert running.get("message", running.get("messege")) == "try again later."
    assert "id" not in running
    assert "eta" not in running
    assert done["status"] == "success"
    await check_files(visitor, done)
    assert emulator.polls[ticket] == 2


@pytest.mark.parametrize("name", GENERATIONS)
async def test_failing_job_is_processing_and_then_failed(name, emulator, visitor, clock):
    """The reply about a failed job has the service's wording, and an empty id."""
    ticket = emulator.add_job((name, 77), duration=5, fails=True)

    running = (await visitor.fetch(ticket)).json()
    clock.now += 5
    failed = (await visitor.fetch(ticket)).json()

    assert running["status"] == "processing"
    assert failed == {"status": "failed", "id": "", "message": "Failed, Try Again", "output": ""}


def test_every_family_has_an_endpoint():
    """Each family has an endpoint, apart from one that deploy_type selects."""
    reached = {family_name_of(endpoint) for endpoint in SERVED_ENDPOINTS.values()}

    assert {"enterprise_flux_2_dev"} == FAMILIES.keys() - reached


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_submitted_job_is_found_by_its_family_and_by_fetch_result(
    endpoint, emulator, visitor, clock
):
    """The id of a submit is known to its own family, and at the reply's fetch_result."""
    queued = (await visitor.start(endpoint, samples="2")).json()
    future = queued.get("future_links") or queued["links"]
    (submitted,) = emulator.submits

    assert (await visitor.http.get(future[0])).status_code == 404
    clock.now += 4
    assert (await visitor.http.get(future[0])).status_code == 200
    await check_files(visitor, (await visitor.fetch(submitted.ticket)).json())
    if "fetch_result" in queued:
        assert queued["id"] == type(queued["id"])(submitted.ticket.id)
        followed = await visitor.http.post(
            queued["fetch_result"], params={"key": "k"}, json={"key": "k"}
        )
        if FAMILIES[submitted.ticket.family].method == "POST":
            assert followed.json()["status"] == "success"
            assert set(links(followed.json())) <= set(future)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_submit_reply_of_instant_job_has_the_files(endpoint, visit, clock):
    """The submit reply of an instant job has the links, and a poll finds the job too."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(0.0, 0.0)))
    visitor = visit(emulator)

    reply = (await visitor.start(endpoint)).json()

    assert reply.get("status", "success") == "success"
    await check_files(visitor, reply)
    await check_files(visitor, (await visitor.fetch(emulator.submits[0].ticket)).json())


@pytest.mark.parametrize(
    "name", ["images/text2img", "controlnet_v5/controlnet", "voice/voice_cover"]
)
async def test_submit_reply_of_failed_instant_job_is_failed(name, visit, clock):
    """A submit reply can already report a failure."""
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(0.0, 0.0), failure_rate=1.0))

    reply = (await visit(emulator).start(SERVED_ENDPOINTS[name])).json()

    assert reply["status"] == "failed"


@pytest.mark.parametrize(
    ("name", "fetched_at"),
    [
        ("controlnet_v5/controlnet", "v6/images/fetch"),
        ("voice/speech_to_text", "v6/whisper/fetch"),
        ("enterprise_voice/speech_to_text", "v6/whisper/fetch"),
        ("enterprise_image_to_video_ultra/img2video", "v6/video/fetch"),
        ("legacy_v4_dreambooth/dreambooth", "v3/dreambooth/fetch"),
        ("legacy_v3/text2video", "v3/fetch"),
        ("images/text2img", "v6/images/fetch"),
    ],
)
async def test_fetch_result_may_name_another_family(name, fetched_at, visitor):
    """The fetch_result has the path that the service used, on the host of the request."""
    queued = (await visitor.start(SERVED_ENDPOINTS[name])).json()

    expected = f"http://emulator.test/api/{fetched_at}/{queued['id']}"
    assert expected == queued["fetch_result"]


@pytest.mark.parametrize("added", ["enterprise_flux:5", "enterprise_flux_2_dev:5"])
@pytest.mark.parametrize("asked", ["enterprise_flux:5", "enterprise_flux_2_dev:5"])
async def test_families_that_share_a_url_find_each_others_jobs(added, asked, emulator, visitor):
    """One URL has one job for an id, and the poll counts for the ticket of that job."""
    ticket = emulator.add_job(added, duration=5)

    assert (await visitor.fetch(asked)).json()["status"] == "processing"
    assert {ticket: 1} == emulator.polls


async def test_deploy_type_selects_the_family_of_a_shared_path(emulator, visitor):
    """The enterprise_flux path starts flux_2_dev jobs if deploy_type says so."""
    path = "v1/enterprise/flux/text2img"
    await visitor.submit(path, prompt="a cat", deploy_type="flux_2_dev")
    await visitor.submit(path, prompt="a cat", deploy_type="flux")

    assert [submitted.family for submitted in emulator.submits] == [
        "enterprise_flux_2_dev",
        "enterprise_flux",
    ]


async def test_strict_families_do_not_find_jobs_of_others(clock, visit):
    """With this setting, an id of one family is unknown to another one."""
    emulator = Emulator(clock=clock, strict_families=True)
    emulator.add_job("video:5", duration=0)

    found = await visit(emulator).fetch("images:5")

    assert found.json()["message"] == "Request not found"


async def test_job_is_found_by_families_with_the_same_kind_of_status(emulator, visitor):
    """A training or a workflow run is no generation, and its own family finds its own job."""
    emulator.add_job("video:5", duration=0)
    emulator.add_job("images:5", duration=9)
    emulator.add_job("training:abc", duration=0)

    found = [(await visitor.fetch(f"{name}:5")).json()["status"] for name in ("video", "images")]
    training = (await visitor.fetch("images:abc")).json()

    assert ["success", "processing"] == found
    assert "Request not found" == training["message"]


async def test_given_output_is_in_the_reply(emulator, visitor):
    """The output that was given to add_job is in the reply, unchanged."""
    emulator.add_job("realtime:1", duration=0, output=["https://cdn.test/a.png"])
    emulator.add_job("realtime:2", duration=0, output="")

    first = (await visitor.fetch("realtime:1")).json()
    second = (await visitor.fetch("realtime:2")).json()

    assert first["output"] == ["https://cdn.test/a.png"]
    assert (second["output"], second["proxy_links"]) == ("", [])


def test_unknown_family_has_the_default_format():
    """A custom family has the most common format."""
    assert format_of("v9_images") is format_of("interior")
