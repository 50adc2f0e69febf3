"""The emulator against what was recorded, where the recordings are at hand."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelslab_async._registry.families import FAMILIES
from modelslab_async.emulator import Emulator, Jobs
from modelslab_async.emulator.routes import Routes, SubmitRoute
from modelslab_async.emulator.served_endpoints import SERVED_ENDPOINTS

FOLDER = Path(__file__).parents[3] / "shared" / "facts" / "samples"
RECORDED = sorted(FOLDER.glob("*.json"))
# Abridged examples, one without fields, an older form with a single hint, and two that spell
# `message` where the other copies of the same page spell `messege`.
ODD = {"148", "161", "207", "155", "158", "159"}
# The emulator never leaves the hint out, nor ids where its family has them.
SOMETIMES = {"tip", "id", "proxy_links", "future_links", "webhook_url", "eta"}
ROUTES = Routes(FAMILIES, SERVED_ENDPOINTS)


def recordings(kind):
    found = [(path.stem, json.loads(path.read_text())) for path in RECORDED]
    return [
        pytest.param(recording, id=name)
        for name, recording in found
        if recording["kind"] == kind and name[:3] not in ODD
    ]


def path_of(recording):
    return urlsplit(recording["endpoint"]).path.removeprefix("/api/").replace("{workflow_id}", "wf")


def check_like(recorded, said, *, optional=SOMETIMES):
    """The same fields, but for the optional ones, with values of the same JSON types."""
    assert recorded.keys() - optional <= said.keys()
    assert said.keys() - optional <= recorded.keys()
    for name in recorded.keys() & said.keys():
        if recorded[name] is None or said[name] is None or name in ("id", "eta", "proxy_links"):
            continue
        assert type(recorded[name]) is type(said[name]), name


pytestmark = pytest.mark.skipif(not RECORDED, reason="the recorded replies are not at hand")


@pytest.mark.parametrize("recording", recordings("submit"))
async def test_submit_replies_look_like_the_recorded_ones(recording, visit, clock):
    """Queued and instant replies have the fields that were recorded for their endpoint."""
    path, body = path_of(recording), recording["body"]
    route = ROUTES.find(path)
    if not isinstance(route, SubmitRoute):
        pytest.skip(f"the emulator has no endpoint {path}")
    seconds = 0.0 if body.get("status", "success") == "success" else 3.0
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(seconds, seconds)))

    said = await visit(emulator).start(route.endpoint, webhook_url="https://example.com")

    check_like(body, said.json())
    assert said.status_code == (recording["http_status"] or 200)


@pytest.mark.parametrize("recording", recordings("fetch"))
async def test_fetch_replies_look_like_the_recorded_ones(recording, emulator, visitor, clock):
    """Fetch replies have exactly the fields that were recorded for their family."""
    path, body = path_of(recording), recording["body"]
    name = next(
        name
        for name, family in FAMILIES.items()
        if family.url.split("/", 1)[1].split("/{")[0] == path.split("/{")[0]
        or (name == "workflows" and path.startswith("v1/workflows"))
    )
    failed = "error" in body
    ticket = (name, "wf/5" if name == "workflows" else 5)
    emulator.add_job(ticket, duration=3, fails=failed)
    clock.now += 0 if body["status"] == "processing" else 3

    said = (await visitor.fetch(ticket)).json()

    check_like(body, said, optional=set())
    if "execution" in body:
        check_like(body["execution"], said["execution"], optional=set())
