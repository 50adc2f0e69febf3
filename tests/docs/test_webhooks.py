"""The program of the page on webhooks, with an emulator whose webhooks arrive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from modelslab_async.emulator import Emulator, Jobs, Webhooks, run_server

PATIENCE = 300.0


class PublicAddress:
    """What the service reaches at the public address: the program that runs now."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture
def serving_program(program_of: Callable[[str], str], monkeypatch, tmp_path):
    """Starts the program as a new process would, and returns a visitor of it."""
    monkeypatch.setenv("MODELSLAB_API_KEY", "a-key")
    monkeypatch.setenv("WEBHOOK_SECRET", "of the settings")
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def serve(door: PublicAddress, base_url: str) -> AsyncIterator[httpx.AsyncClient]:
        monkeypatch.setenv("MODELSLAB_BASE_URL", base_url)
        program: dict[str, Any] = {"__name__": "pictures"}
        exec(program_of("how-to/webhooks.md"), program)
        app = door.app = program["app"]
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://app") as visitor,
        ):
            yield visitor

    return serve


def emulated(door: PublicAddress, duration: float, *, failure_rate: float = 0.0) -> Emulator:
    return Emulator(
        jobs=Jobs(duration=(duration, duration), failure_rate=failure_rate),
        webhooks=Webhooks(transport=httpx.ASGITransport(app=door), allow_remote=True),
    )


async def begun(visitor: httpx.AsyncClient) -> str:
    answer = await visitor.post("/pictures", json={"prompt": "a lighthouse"})
    assert 202 == answer.status_code
    return answer.json()["id"]


async def ended(visitor: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE):
        while True:
            told = (await visitor.get(f"/status/{id_}")).json()
            if told["status"] != "processing":
                return told
            await asyncio.sleep(0.02)


async def delivered(emulator: Emulator) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if emulator.webhook_deliveries:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("failure_rate", "status"), [(0.0, "done"), (1.0, "failed")])
async def test_picture_is_started_and_webhook_received(serving_program, failure_rate, status):
    """The visitor has an id, the webhook reaches the receiver, and the status shows the result."""
    door = PublicAddress()
    emulator = emulated(door, 0.3, failure_rate=failure_rate)
    async with run_server(emulator) as url, serving_program(door, url) as visitor:
        told = await ended(visitor, id_ := await begun(visitor))
        await delivered(emulator)
        assert 404 == (await visitor.get("/status/another")).status_code
    assert status == told["status"]
    assert [200] == [delivery.status_code for delivery in emulator.webhook_deliveries]
    assert [id_] == [submit.fields["track_id"] for submit in emulator.submits]


async def test_restart_loses_no_picture(serving_program):
    """A picture from before it is waited for again, even if its webhook came in between."""
    door = PublicAddress()
    emulator = emulated(door, 0.5)
    async with run_server(emulator) as url:
        async with serving_program(door, url) as visitor:
            id_ = await begun(visitor)
        await delivered(emulator)
        async with serving_program(door, url) as visitor:
            told = await ended(visitor, id_)
    assert "done" == told["status"]
    assert told["links"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1]", b"\xff", b'{"prompt": null}', b'{"prompt": ""}']
)
async def test_request_without_a_prompt_starts_nothing(serving_program, body):
    """The visitor is told what to send, and the program does not fail."""
    door = PublicAddress()
    emulator = Emulator()
    async with run_server(emulator) as url, serving_program(door, url) as visitor:
        answer = await visitor.post("/pictures", content=body)
    assert 400 == answer.status_code
    assert "prompt" in answer.json()["status"]
    assert [] == emulator.submits


async def test_wrong_key_starts_nothing(serving_program):
    """The visitor gets an error and no id."""
    door = PublicAddress()
    emulator = Emulator(keys=["another key"])
    async with run_server(emulator) as url, serving_program(door, url) as visitor:
        answer = await visitor.post("/pictures", json={"prompt": "a lighthouse"})
    assert 502 == answer.status_code
    assert {"status"} == set(answer.json())
