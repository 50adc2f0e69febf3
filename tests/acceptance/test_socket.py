"""The client against the emulator over a real socket, as users run it."""

import asyncio
import gc
import os
import threading
import time
import warnings
from pathlib import Path

import httpx
import pytest

from modelslab_async import FAMILIES, Client, Failed, GenerationFailed, Pace, Success
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply, run_server

QUICK = Pace(floor=0.05)
OPEN_FILES = Path("/proc/self/fd")
SEEDS = [
    "images",
    "image_editing",
    "realtime",
    "interior",
    "enterprise_interior",
    "legacy_v4_dreambooth",
]
RUNNING = ScriptedReply(body=b'{"status": "processing", "id": 1, "output": []}')


@pytest.fixture
async def emulator():
    """An emulator whose jobs take a fifth of a second."""
    return Emulator(jobs=Jobs(duration=(0.1, 0.3), seed=1))


@pytest.fixture
async def base_url(emulator):
    async with run_server(emulator) as url:
        yield url


@pytest.fixture
async def client(base_url):
    """A client that is opened in one task and closed in another, as in pytest-asyncio and bots."""
    async with Client("any-key", base_url=base_url, legacy_base_url=base_url, pace=QUICK) as client:
        yield client


@pytest.mark.parametrize("family", SEEDS)
async def test_seed_family_ends_with_success_and_failure(client, emulator, family):
    """Each family of the first documents is awaited to success and to failure."""
    good, bad = (
        emulator.add_job((family, 1), fails=False),
        emulator.add_job((family, 2), fails=True),
    )
    reply = await client.wait(good)
    async with httpx.AsyncClient(timeout=60.0) as browser:
        file = await browser.get(reply.output[0])
    assert 200 == file.status_code
    assert file.content.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8"))
    with pytest.raises(GenerationFailed):
        await client.wait(bad)


async def test_gather_awaits_every_family(client, emulator):
    """One ticket of each family ends in one gather."""
    outcomes = await client.gather(emulator.add_jobs(len(FAMILIES)))
    assert set(FAMILIES) == {each.ticket.family for each in outcomes if isinstance(each, Success)}


async def test_many_waiters_share_polls(client, emulator):
    """200 tasks that wait for 50 tickets poll no more often than 50 would."""
    tickets = emulator.add_jobs(50, ["images", "video"])
    replies = await asyncio.gather(*(client.wait(tickets[n % 50]) for n in range(200)))
    assert 200 == len(replies)
    # A job of 0.3 s is polled every 0.05 s, a tenth sooner at most.
    assert max(emulator.polls.values()) <= 9


async def test_cancelled_waiters_leak_nothing(emulator, base_url):
    """Waiters that come, go and are cancelled leave no task and no socket behind."""

    def sockets():
        gc.collect()
        return len(list(OPEN_FILES.iterdir())) if OPEN_FILES.is_dir() else 0

    before = sockets()
    tasks = asyncio.all_tasks()
    async with Client("any-key", base_url=base_url, pace=QUICK, workers=8) as client:
        tickets = emulator.add_jobs(50, ["images", "video", "realtime"])
        for ticket in tickets:
            emulator.script(ticket, [RUNNING])
        waits = [asyncio.create_task(client.wait(tickets[n % 50])) for n in range(200)]
        while not emulator.polls:  # noqa: ASYNC110 -- no event tells it.
            await asyncio.sleep(0.005)
        for wait in waits[::3]:
            wait.cancel()
        for ticket in tickets:
            emulator.script(ticket, [None])
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert 67 == sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert 133 == sum(isinstance(outcome, Success) for outcome in outcomes)
    await asyncio.sleep(0.1)
    # The server closes its side of the connections a moment later.
    deadline = time.monotonic() + 60
    for moment in iter(time.monotonic, None):
        if moment > deadline or (sockets() <= before and asyncio.all_tasks() <= tasks):
            break
        await asyncio.sleep(0.01)
    assert sockets() <= before
    assert asyncio.all_tasks() <= tasks


async def test_plain_httpx_can_use_emulator(base_url):
    """A hand-written loop on plain httpx submits, fetches and downloads."""
    async with httpx.AsyncClient(timeout=60.0) as plain:
        body = {"key": "k", "prompt": "a cat", "model_id": "flux"}
        submitted = (await plain.post(f"{base_url}/v6/images/text2img", json=body)).json()
        assert "processing" == submitted["status"]
        while True:
            reply = (await plain.post(submitted["fetch_result"], json={"key": "k"})).json()
            if reply["status"] == "success":
                break
            await asyncio.sleep(0.05)
        assert 200 == (await plain.get(reply["output"][0])).status_code
    async with Client("k", base_url=base_url, pace=QUICK) as client:
        assert isinstance(await client.wait(("images", submitted["id"])), Success)


async def test_stream_yields_failures_and_successes_once(client, emulator):
    """Failures and successes come as they end, each once."""
    tickets = [emulator.add_job(("video", n), fails=n % 3 == 0) for n in range(30)]
    outcomes = [each async for each in client.stream(tickets)]
    assert set(tickets) == {each.ticket for each in outcomes}
    assert 30 == len(outcomes)
    assert 10 == sum(isinstance(each, Failed) for each in outcomes)


def test_second_event_loop_is_refused():
    """A client belongs to the loop of its first use; use from another one is a clear error."""
    client = Client("k", http=httpx.ASGITransport(app=Emulator()))
    asyncio.run(client.fetch("images:1"))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(client.fetch("images:1"))


def test_clients_of_threads_do_not_disturb_each_other():
    """Threads that each have a loop and a client of their own do not disturb each other."""
    emulator = Emulator(jobs=Jobs(duration=(0.0, 0.1)))
    outcomes = []

    async def work(number):
        async with Client("k", http=httpx.ASGITransport(app=emulator), pace=QUICK) as client:
            outcomes.append(await client.wait(emulator.add_job(("images", number))))

    threads = [threading.Thread(target=asyncio.run, args=(work(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert 4 == len(outcomes)


async def test_client_opens_and_closes_in_different_tasks(emulator, base_url):
    """A bot's startup hook opens the client, and its shutdown hook closes it."""
    client = Client("k", base_url=base_url, pace=QUICK)
    ticket = emulator.add_job("images:1")
    await asyncio.create_task(client.__aenter__())
    assert isinstance(await asyncio.create_task(client.wait(ticket)), Success)
    await asyncio.create_task(client.__aexit__(None, None, None))


def test_unclosed_client_ends_with_its_loop():
    """A client that was never closed does not keep the program from ending."""
    emulator = Emulator(jobs=Jobs(duration=(1000.0, 1000.0)))
    began = time.monotonic()

    async def main():
        client = Client("k", http=httpx.ASGITransport(app=emulator))
        waiting = asyncio.create_task(client.wait(emulator.add_job("images:1")))
        await asyncio.sleep(0.1)
        return waiting

    assert asyncio.run(main()).cancelled()
    assert time.monotonic() - began < 100


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_fork_cannot_use_client():
    """The child of a fork shares the parent's sockets, so it may not use the parent's client."""

    async def main():
        client = Client("k", http=httpx.ASGITransport(app=Emulator()))
        await client.fetch("images:1")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child:
            return child
        try:
            await client.fetch("images:1")
        except RuntimeError:
            os._exit(7)
        os._exit(1)

    child = asyncio.run(main())
    assert 7 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
