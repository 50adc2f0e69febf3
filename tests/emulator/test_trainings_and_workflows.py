"""Trainings and workflows, whose replies have formats of their own."""

import pytest

from modelslab_async._registry.endpoints import ENDPOINTS
from modelslab_async.emulator import Emulator, Jobs

STAGES = [
    "deploying_gpu",
    "training_started",
    "training_success",
    "trained_model_compressing",
    "trained_model_uploading",
    "trained_model_uploaded",
    "deploying_model",
    "model_ready",
]


@pytest.fixture
def emulator(clock):
    return Emulator(clock=clock, jobs=Jobs(duration=(70.0, 70.0)))


async def test_training_goes_through_its_stages(visitor, clock):
    """The status is success throughout. The stage is in the field messege."""
    started = (await visitor.start(ENDPOINTS["training/lora_fine_tune"])).json()
    ticket = f"training:{started['training_id']}"

    seen = []
    for _ in STAGES:
        seen.append((await visitor.fetch(ticket)).json())
        clock.now += 10

    assert (started["status"], started["messege"]) == ("success", "deploying_gpu")
    assert len(started["training_id"]) == 10
    assert {"success"} == {body["status"] for body in seen}
    assert [body["messege"] for body in seen] == STAGES
    assert "Step:8 model_ready" in seen[-1]["data"]


async def test_failed_training_is_an_error(emulator, visitor, clock):
    """The service documents no failure, so the emulator sends an error with a message."""
    ticket = emulator.add_job("training:F5jvdzGnYi", duration=70, fails=True)

    clock.now += 69
    running = (await visitor.fetch(ticket)).json()
    clock.now += 1
    failed = (await visitor.fetch(ticket)).json()

    assert running["messege"] == "deploying_model"
    assert failed == {"status": "error", "messege": "Training failed"}


async def test_workflow_goes_from_pending_to_its_output(visitor, clock):
    """The submit gives 202. The outer status is always success, and the run has its own."""
    started = await visitor.http.post("v1/workflows/wf_1/run", headers={"key": "k"})
    url = started.json()["status_url"]

    seen = []
    for _ in range(3):
        seen.append((await visitor.http.get(url, headers={"key": "k"})).json())
        clock.now += 35

    assert started.status_code == 202
    assert "webhook_url" not in started.json()
    assert (
        f"http://emulator.test/api/v1/workflows/wf_1/runs/{started.json()['execution_id']}" == url
    )
    assert [body["execution"]["status"] for body in seen] == ["pending", "running", "completed"]
    assert {"success"} == {body["status"] for body in seen}
    assert seen[2]["execution"]["execution_time"] == 70.0
    files = [await visitor.http.get(link) for link in seen[2]["output"]["output"]]
    assert [file.headers["content-type"] for file in files] == ["image/png"]


async def test_workflow_reply_repeats_its_webhook(visitor):
    """The reply to a run names its webhook URL."""
    reply = await visitor.submit("v1/workflows/wf_1/run", webhook_url="https://example.com/hook")

    assert reply.json()["webhook_url"] == "https://example.com/hook"


async def test_failed_workflow_has_an_error(emulator, visitor, clock):
    """The reason is beside the execution."""
    ticket = emulator.add_job("workflows:wf_1/5", duration=1, fails=True)

    clock.now += 1
    body = (await visitor.fetch(ticket)).json()

    assert (body["status"], body["execution"]["status"]) == ("success", "failed")
    assert "error" in body
    assert "output" not in body


@pytest.mark.parametrize("ticket", ["workflows:wf_1/5", "training:unknown"])
async def test_unknown_runs_and_trainings_are_404(ticket, visitor):
    """Workflows and trainings document 404 for an unknown id."""
    reply = await visitor.fetch(ticket)

    assert (reply.status_code, reply.json()["status"]) == (404, "error")
