"""The system clock jumps by hours, both ways: no deadline moves, and nothing is lost."""

import asyncio
import random
import time
from collections import Counter
from contextlib import aclosing

import httpx
import pytest

from modelslab_async import (
    Batch,
    Client,
    GenerationFailed,
    ModelsLabError,
    Pace,
    Response,
    ServerError,
    Success,
    Ticket,
    TransportError,
    WaitTimeout,
)
from modelslab_async._transport.httpx_adapter import HttpxTransportAdapter
from modelslab_async.emulator import Emulator, Jobs, ScriptedReply

KEY = "a-key-for-tests"
HOUR = 3600.0
NOON = 1.8e9
BUSY = b'{"status": "error", "message": "Busy."}'
LIMIT = b'{"status": "error", "message": "Too many requests."}'
JUMPS = ((3.0, 5.0), (9.0, -9.0), (14.0, 2.0), (26.0, -30.0), (40.0, 100.0))


class SystemClock:
    """A system clock that can be set."""

    def __init__(self, clock):
        self.clock = clock
        self.ahead = 0.0

    def __call__(self):
        return NOON + self.clock() + self.ahead


class RecordingTransport:
    """A transport to the emulator that records what is sent when, and can hang."""

    def __init__(self, emulator, leave):
        self.inner = HttpxTransportAdapter(httpx.ASGITransport(app=emulator))
        self.leave = leave
        self.sent = []

    async def exchange(self, request):
        self.sent.append((asyncio.get_running_loop().time(), request.url))
        if self.leave in request.body:
            await asyncio.sleep(1e6)
        return await self.inner.exchange(request)


async def wait_after_a_jump(client):
    """Wait for many tickets after the clock was set."""
    await asyncio.sleep(5.0)
    return await client.gather([("images", n) for n in range(6, 11)], timeout=30.0)


async def client_history(monkeypatch, jumps):
    """Record what a client sends and reports, and when."""
    loop = asyncio.get_running_loop()
    wall, ends = SystemClock(loop.time), []
    monkeypatch.setattr(time, "time", wall)
    random.seed(1)
    for when, hours in jumps:
        loop.call_at(when, setattr, wall, "ahead", hours * HOUR)
    emulator = Emulator(jobs=Jobs(duration=(5.0, 30.0), seed=1), clock=loop.time)
    for number in range(1, 10):
        emulator.add_job(("images", number), duration=4.0 * number, fails=number % 3 == 0)
    emulator.add_job("images:10", duration=1e6)
    emulator.script("images:3", [ScriptedReply(502, BUSY)] * 3 + [None])
    emulator.script("images:4", [ScriptedReply(503, BUSY, {"retry-after": "12"}), None])
    emulator.script("images:5", [None, ScriptedReply(429, LIMIT, {"retry-after": "6"}), None])
    # A hint that is a time of day is converted once, when it comes.
    reset = {"x-ratelimit-reset": f"{NOON + 2.0:.0f}"}
    emulator.script("images:6", [ScriptedReply(429, LIMIT, reset), None])
    trail = RecordingTransport(emulator, b'"7"')

    async def noted(work):
        try:
            result = await work
        except ModelsLabError as error:
            result = error
        kinds = [type(each) for each in (result if isinstance(result, list) else [result])]
        ends.append((loop.time(), kinds))

    pace = Pace(max_failures=3)
    async with Client(KEY, http=trail, pace=pace, timeout=8.0, queue=2) as client:
        waits = [client.wait(("images", n), timeout=60.0) for n in range(1, 11)]
        prompts = [client.generate("realtime/text2img", prompt=f"{n}") for n in range(5)]
        await asyncio.gather(*map(noted, [*waits, *prompts, wait_after_a_jump(client)]))
    assert {Success, GenerationFailed, WaitTimeout, TransportError, ServerError} <= {
        kind for _, kinds in ends for kind in kinds
    }
    return trail.sent, ends


def test_no_deadline_of_a_client_moves(monkeypatch, virtually):
    """Everything is sent and reported at the same moments, however often the clock is set."""
    quiet = virtually(lambda: client_history(monkeypatch, ()))
    assert quiet == virtually(lambda: client_history(monkeypatch, JUMPS))


class Service:
    """Replies "processing" until told that all is done, and counts the polls."""

    def __init__(self):
        self.asked = Counter()
        self.done = False

    def of(self, name):
        return _Line(self, name)


class _Line:
    def __init__(self, service, name):
        self.service = service
        self.name = name

    async def exchange(self, _request):
        self.service.asked[self.name] += 1
        await asyncio.sleep(0.001)
        if self.service.done:
            return Response(
                status_code=200, body=b'{"status": "success", "output": ["http://x/1"]}'
            )
        return Response(status_code=200, body=b'{"status": "processing"}')


async def until(condition):
    """Wait for a condition that comes true soon on an idle machine."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
def batch(tmp_path, monkeypatch):
    """Runs on one journal that uses the system clock, each with a client of its own."""
    wall, service = SystemClock(time.monotonic), Service()
    monkeypatch.setattr(time, "time", wall)
    path = tmp_path / "batch.journal"
    tickets = [Ticket("images", str(number)) for number in range(1, 21)]

    async def run(name):
        async with (
            Client(KEY, http=service.of(name), pace=Pace.fixed(0.05)) as client,
            Batch.open(path, client=client, lease=1.0, clock=wall) as batch,
        ):
            await batch.add(tickets)
            async with aclosing(batch.run()) as outcomes:
                return [outcome async for outcome in outcomes]

    return wall, service, tickets, run


def each_once(tickets, *reports):
    """Return whether each outcome was reported once, by one run, unchanged."""
    outcomes = [outcome for each in reports for outcome in each]
    assert Counter(tickets) == Counter(outcome.ticket for outcome in outcomes)
    assert {Success} == {type(outcome) for outcome in outcomes}


async def test_single_run_loses_and_repeats_nothing(batch):
    """The clock jumps back and forth while it runs."""
    wall, service, tickets, run = batch
    running = asyncio.create_task(run("one"))
    for hours in (1.0, -1.0, 48.0, -48.0):
        before = service.asked["one"]
        await until(lambda before=before: service.asked["one"] > before + len(tickets))
        wall.ahead = hours * HOUR
    service.done = True
    each_once(tickets, await running)


async def jumped_ahead(wall, asked, tickets, run):
    """Two runs: the first holds all tickets; after a jump of the clock the other holds some."""
    first = asyncio.create_task(run("one"))
    await until(lambda: asked["one"] > len(tickets))
    second = asyncio.create_task(run("two"))
    jumped = 0.0

    def taken_over():
        # A run that renews its lease right after the jump keeps it, so another jump follows.
        nonlocal jumped
        if time.monotonic() > jumped + 1.0:
            jumped = time.monotonic()
            wall.ahead += HOUR
        return asked["two"]

    await until(taken_over)
    return first, second


async def test_outcome_is_reported_by_one_of_two_runs_that_poll_a_ticket(batch):
    """A jump ends the leases of a living run; the run that holds the ticket reports the outcome."""
    wall, service, tickets, run = batch
    first, second = await jumped_ahead(wall, service.asked, tickets, run)
    service.done = True
    each_once(tickets, await first, await second)


async def test_run_whose_tickets_were_taken_polls_no_more(batch):
    """It notices at its next renewal. Then each ticket is one run's, also after a jump back."""
    wall, service, tickets, run = batch
    asked = service.asked
    first, second = await jumped_ahead(wall, asked, tickets, run)
    asked.clear()

    def alone():
        # A run that polls no more has begun at most one poll for each ticket.
        names = [name for name in asked if asked[name] > len(tickets)]
        if len(names) > 1:
            asked.clear()
        return len(names) == 1 and asked[names[0]] > 4 * len(tickets)

    await until(alone)
    wall.ahead -= 24 * HOUR
    before = asked.total()
    await until(lambda: asked.total() > before + 4 * len(tickets))
    service.done = True
    each_once(tickets, await first, await second)
