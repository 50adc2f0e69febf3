"""The web app of the documentation, in situations that are rare in a browser."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from modelslab_async import Client
from modelslab_async.emulator import Emulator, Jobs

WISH = {"prompt": "a lighthouse"}


@pytest.fixture
def visiting(program_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch):
    """Open a visitor of the program of the page, which has this client."""
    monkeypatch.setenv("APP_SECRET", "a-secret")

    @asynccontextmanager
    async def visit(client: Client) -> AsyncIterator[httpx.AsyncClient]:
        program: dict[str, Any] = {"__name__": "app"}
        exec(program_of("how-to/web-app.md"), program)
        app = program["app"]
        async with (
            client,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://app"
            ) as visitor,
        ):
            app.state.client = client
            yield visitor

    return visit


async def test_number_of_waiting_visitors_is_bounded(visiting):
    """Five are started and twenty wait; the next is refused at once, and nothing is lost."""
    emulator = Emulator(jobs=Jobs(duration=(4.0, 4.0)), clock=lambda: 0.0)
    transport = httpx.ASGITransport(app=emulator)
    async with visiting(Client("a-key", http=transport)) as visitor:
        for _ in range(5):
            assert 202 == (await visitor.post("/pictures", json=WISH)).status_code
        more = {asyncio.create_task(visitor.post("/pictures", json=WISH)) for _ in range(21)}
        done, in_line = await asyncio.wait(more, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        [refused] = [await each for each in done]
        for task in in_line:
            task.cancel()
        await asyncio.wait(in_line)
    assert 20 == len(in_line)
    assert 503 == refused.status_code
    assert {"detail": "Too many are waiting. Try again in a minute."} == refused.json()
    assert 5 == len(emulator.submits)


async def test_uncertain_submit_does_not_invite_retry(visiting):
    """The connection breaks after the request: the app says so, and does not say: try again."""
    sent = []

    async def breaks(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise httpx.ReadError("the connection broke")

    async with visiting(Client("a-key", http=httpx.MockTransport(breaks))) as visitor:
        answer = await visitor.post("/pictures", json=WISH)
    assert 502 == answer.status_code
    assert {"detail": "We cannot tell whether your picture was begun."} == answer.json()
    assert 1 == len(sent)


async def test_immediate_failure_shows_servers_words(visiting):
    """The service takes the request and fails it in one reply; the visitor reads its words."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.0), failure_rate=1.0))
    transport = httpx.ASGITransport(app=emulator)
    async with visiting(Client("a-key", http=transport)) as visitor:
        answer = await visitor.post("/pictures", json=WISH)
    assert 422 == answer.status_code
    assert answer.json()["detail"].startswith("It failed. ")
