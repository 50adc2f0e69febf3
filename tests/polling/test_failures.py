"""What failed polls, outages and rate limits do to waits."""

import asyncio
import json
import operator
from itertools import pairwise

import pytest

from modelslab_async import (
    Pace,
    ServerError,
    Success,
    TransportError,
    WaitTimeout,
)
from modelslab_async.emulator import ScriptedReply


def scripted_reply(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


@pytest.mark.parametrize("hint", ["body", "header", "reset"])
def test_rate_limit_pauses_key_for_retry_after(virtually, world, hint):
    """No ticket of the key is polled for as long as the server asks, and none ends."""
    body = {"status": "error", "message": "Rate limit exceeded."}
    limited = {
        "body": scripted_reply(429, **body, retry_after=40),
        "header": scripted_reply(429, {"retry-after": "40"}, **body),
        "reset": scripted_reply(
            429,
            {"date": "Fri, 20 Nov 2026 10:00:00 GMT", "x-ratelimit-reset": "1795168840"},
            **body,
        ),
    }[hint]

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(20, ["images", "video", "legacy_v3"])
            here.emulator.script(tickets[0], [limited, None])
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            moments = here.wire.moments
            pauses = [late - early for early, late in pairwise(moments)]
            assert 40.0 == pytest.approx(max(pauses))

    virtually(main)


def test_few_failed_polls_end_no_wait(virtually, world):
    """Server errors, HTML, cut JSON and rate limits delay the result and do not lose it."""
    failures = [
        scripted_reply(500, status="error", message="Internal server error. Please try again."),
        ScriptedReply(502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
        ScriptedReply(200, b'{"status": "suc'),
        ScriptedReply(200, b""),
        scripted_reply(200, message="Server Error"),
        scripted_reply(429, status="error", message="Rate limit exceeded."),
        None,
    ]

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=5.0)
            here.emulator.script("images:1", failures)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_too_many_failed_polls_end_wait(virtually, world):
    """After `max_failures` in a row the wait ends with the last error, and can be resumed."""

    async def main():
        async with world(pace=Pace(max_failures=4)) as here:
            here.emulator.add_job("images:1", duration=5.0)
            here.emulator.script("images:1", [scripted_reply(500, message="down")] * 4 + [None])
            with pytest.raises(ServerError, match="down"):
                await here.client.wait("images:1")
            assert 4 == len(here.wire.requests)
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_outage_costs_few_polls_and_no_ticket(virtually, world):
    """While the server is down, the client polls seldom and loses no ticket."""

    async def main():
        async with world(latency=0.05) as here:
            tickets = here.emulator.add_jobs(1000)
            loop = asyncio.get_running_loop()
            here.wire.down = True
            loop.call_later(1800.0, operator.setitem, vars(here.wire), "down", 0)
            outcomes = await here.client.gather(tickets)
            assert all(isinstance(each, Success) for each in outcomes)
            # Without the pause, 1000 tickets at this age would be polled about 10,000 times.
            assert 200 > len([moment for moment in here.wire.moments if moment < 1800.0])
            # A pause of at most a minute, and then ten polls a second.
            assert loop.time() < 1800.0 + 60.0 + 100.0 + 1.0

    virtually(main)


def test_silent_host_ends_every_wait_after_outage(virtually, world):
    """After `outage` seconds without an answer all waits end with the last error."""

    async def main():
        async with world(pace=Pace(outage=600.0)) as here:
            tickets = here.emulator.add_jobs(1000, ["images", "video"])
            here.wire.down = True
            outcomes = await here.client.gather(tickets)
            assert {TransportError} == {type(each.cause) for each in outcomes}
            assert 600.0 <= asyncio.get_running_loop().time() <= 700.0
            here.wire.down = False
            assert isinstance(await here.client.wait(tickets[0]), Success)

    virtually(main)


def test_reply_resets_failure_count(virtually, world):
    """After a reply about the job, failures count from zero again."""
    failure = scripted_reply(500, message="down")

    async def main():
        async with world(pace=Pace(max_failures=3)) as here:
            here.emulator.add_job("images:1", duration=1.0)
            running = scripted_reply(status="processing")
            here.emulator.script(
                "images:1", [failure, failure, running] * 4 + [failure, failure, None]
            )
            assert isinstance(await here.client.wait("images:1"), Success)

    virtually(main)


def test_transport_that_raises_cancelled_error_is_retried(virtually, world):
    """A transport that awaits a cancelled task fails one poll and ends no worker."""

    async def main():
        async with world() as here:
            here.emulator.add_job("images:1", duration=0.0)
            sender = here.client.engine.status_client._sender
            whole, calls = sender._transport, []

            class Odd:
                async def exchange(self, request):
                    calls.append(request)
                    if len(calls) == 1:
                        raise asyncio.CancelledError
                    return await whole.exchange(request)

            sender._transport = Odd()
            assert isinstance(await here.client.wait("images:1"), Success)
            assert 2 == len(calls)
            sender._transport = whole

    virtually(main)


def test_idle_time_does_not_count_as_silence(virtually, world):
    """Two failures with idle hours or rate limits between them are no outage."""
    blip = scripted_reply(503, message="down")

    async def main():
        async with world(pace=Pace(outage=600.0)) as here:
            here.emulator.add_job("images:1", duration=0.0)
            here.emulator.script("images:1", [blip, None])
            with pytest.raises(WaitTimeout):
                await here.client.wait("images:1", timeout=0.5)
            await asyncio.sleep(7200.0)
            tickets = [here.emulator.add_job(("images", n), duration=0.0) for n in range(2, 50)]
            here.emulator.script(
                tickets[0], [blip, scripted_reply(429, retry_after=300)] * 8 + [None]
            )
            outcomes = await here.client.gather(tickets)
            assert {Success} == {type(each) for each in outcomes}

    virtually(main)


def test_longest_retry_after_counts(virtually, world):
    """Of several replies with a Retry-After, the longest counts."""

    async def main():
        async with world(latency=0.1) as here:
            tickets = [here.emulator.add_job(("images", n), duration=60.0) for n in range(10)]
            for number, ticket in enumerate(tickets):
                hint = 1 if number == 1 else 60
                here.emulator.script(ticket, [None, scripted_reply(429, retry_after=hint), None])
            await here.client.gather(tickets)
            moments = here.wire.moments
            assert max(late - early for early, late in pairwise(moments)) >= 59.0

    virtually(main)
