"""
The emulator's replies have the shape of recorded ones.

`samples/recorded.json` holds one normalised reply a line: links, ids and hints are shortened,
`meta` is empty, and `abridged` marks bodies that their page shows only in part.
"""

import json
from pathlib import Path

import pytest

from modelslab_async._registry.families import FAMILIES
from modelslab_async.emulator import Emulator, Jobs
from modelslab_async.emulator.routes import Routes, SubmitRoute
from modelslab_async.emulator.served_endpoints import SERVED_ENDPOINTS

RECORDED = json.loads(Path(__file__).parents[1].joinpath("samples", "recorded.json").read_text())
# The service leaves these out at times; the emulator always sends them where a family has them.
SOMETIMES = {"tip", "id", "proxy_links", "future_links", "webhook_url", "eta"}
ROUTES = Routes(FAMILIES, SERVED_ENDPOINTS)


def recordings(request):
    """Return the complete samples of one kind of request."""
    return [
        pytest.param(sample, id=name)
        for name, sample in RECORDED.items()
        if sample["request"] == request and not sample.get("abridged")
    ]


def check_same_shape(recorded, actual, *, optional=SOMETIMES):
    """Check that both have the same fields, apart from optional ones, and the same JSON types."""
    assert recorded.keys() - optional <= actual.keys()
    assert actual.keys() - optional <= recorded.keys()
    for name in recorded.keys() & actual.keys():
        if recorded[name] is None or actual[name] is None or name in ("id", "eta", "proxy_links"):
            continue
        assert type(recorded[name]) is type(actual[name]), name


@pytest.mark.parametrize("recording", recordings("submit"))
async def test_submit_reply_has_recorded_fields(recording, visit, clock):
    """Queued and instant replies have the fields that were recorded for their endpoint."""
    path, body = recording["path"].replace("{workflow_id}", "wf"), recording["body"]
    route = ROUTES.find(path)
    assert isinstance(route, SubmitRoute)
    seconds = 0.0 if body.get("status", "success") == "success" else 3.0
    emulator = Emulator(clock=clock, jobs=Jobs(duration=(seconds, seconds)))

    actual = await visit(emulator).start(route.endpoint, webhook_url="https://example.com")

    check_same_shape(body, actual.json())
    assert actual.status_code == recording["status_code"]


@pytest.mark.parametrize("recording", recordings("fetch"))
async def test_fetch_reply_has_recorded_fields(recording, emulator, visitor, clock):
    """Fetch replies have exactly the fields that were recorded for their family."""
    path, body = recording["path"].replace("{workflow_id}", "wf"), recording["body"]
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

    actual = (await visitor.fetch(ticket)).json()

    check_same_shape(body, actual, optional=set())
    if "execution" in body:
        check_same_shape(body["execution"], actual["execution"], optional=set())
