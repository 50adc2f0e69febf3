"""What a refusal ends: a ticket, a family, or all tickets of a key."""

import asyncio
import json

import pytest

from modelslab_async import (
    AuthenticationError,
    InvalidRequest,
    PaymentRequired,
    PermissionDenied,
    Success,
)
from modelslab_async.emulator import ScriptedReply


def scripted_reply(status_code=200, headers=None, **body):
    return ScriptedReply(status_code, json.dumps(body).encode(), headers or {})


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (scripted_reply(401, status="error", message="Invalid API key"), AuthenticationError),
        (scripted_reply(402, status="error", message="Insufficient credits."), PaymentRequired),
        (scripted_reply(200, status="error", message="Invalid API key"), AuthenticationError),
    ],
)
def test_refused_key_costs_one_request(virtually, world, reply, error):
    """A wrong key ends all waits at once with one request, however many there are."""

    async def main():
        async with world(latency=0.1) as here:
            tickets = here.emulator.add_jobs(500, ["images", "video", "realtime"])
            for ticket in tickets:
                here.emulator.script(ticket, [reply])
            waits = (here.client.wait(ticket) for ticket in tickets)
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
            assert {error} == {type(outcome) for outcome in outcomes}
            assert tickets == [outcome.ticket for outcome in outcomes]
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_refused_key_leaves_other_key_alone(virtually, world):
    """A refusal of the standard key does not outcome the tickets of the enterprise key."""

    async def main():
        async with world(enterprise_key="another-key-5678") as here:
            here.emulator.add_job("enterprise_video:1", duration=60.0)
            here.emulator.add_job("video:1", duration=60.0)
            here.emulator.script(
                "video:1", [None, scripted_reply(401, status="error", message="no")]
            )
            good, bad = await here.client.gather(["enterprise_video:1", "video:1"])
            assert isinstance(good, Success)
            assert isinstance(bad.cause, AuthenticationError)

    virtually(main)


def test_permission_denied_ends_its_family_alone(virtually, world):
    """A plan without a family ends the tickets of that family and no others."""
    denied = scripted_reply(
        403, status="error", message="This feature requires a premium subscription"
    )

    async def main():
        async with world() as here:
            for ticket in ("video:1", "video:2", "images:1"):
                here.emulator.add_job(ticket, duration=60.0)
            here.emulator.script("video:1", [None, denied])
            outcomes = await here.client.gather(["video:1", "video:2", "images:1"])
            assert [PermissionDenied, PermissionDenied] == [
                type(outcome.cause) for outcome in outcomes[:2]
            ]
            assert isinstance(outcomes[2], Success)

    virtually(main)


def test_invalid_request_ends_its_ticket_alone(virtually, world):
    """A request that the server calls invalid ends its own ticket."""

    async def main():
        async with world() as here:
            for ticket in ("video:1", "video:2"):
                here.emulator.add_job(ticket, duration=60.0)
            here.emulator.script("video:1", [scripted_reply(400, status="error", message="no")])
            bad, good = await here.client.gather(["video:1", "video:2"])
            assert isinstance(bad.cause, InvalidRequest)
            assert isinstance(good, Success)

    virtually(main)


@pytest.mark.parametrize("window", [10, 300])
def test_refused_key_costs_one_request_a_stream(virtually, world, window):
    """The rest of a long source gets the refusal without a request."""
    refused = scripted_reply(401, status="error", message="Invalid API key")

    async def main():
        async with world() as here:
            tickets = here.emulator.add_jobs(1000, ["images", "video"])
            for ticket in tickets:
                here.emulator.script(ticket, [refused])
            outcomes = [each async for each in here.client.stream(tickets, window=window)]
            assert set(tickets) == {each.ticket for each in outcomes}
            assert {AuthenticationError} == {type(each.cause) for each in outcomes}
            assert {each.ticket for each in outcomes} == {each.cause.ticket for each in outcomes}
            assert 1 == len(here.wire.requests)

    virtually(main)


def test_missing_key_refuses_its_family_alone(virtually, world):
    """A family without a key raises for its own callers; other tickets go on."""

    async def main():
        async with world(api_key=None, enterprise_key="e-key-1234567") as here:
            here.emulator.add_job("enterprise_video:1", duration=30.0)
            waiting = asyncio.create_task(here.client.wait("enterprise_video:1"))
            await asyncio.sleep(1.0)
            for ask in (here.client.wait, here.client.fetch):
                with pytest.raises(ValueError, match="standard key"):
                    await ask("images:1")
            assert isinstance(await waiting, Success)

    virtually(main)


def test_tiers_with_one_key_share_refusals_and_pauses(virtually, world):
    """Without an enterprise key, the standard key is refused and paused for both."""
    refused = scripted_reply(401, status="error", message="no")

    async def main():
        async with world() as here:
            here.emulator.add_job("enterprise_interior:1", duration=60.0)
            here.emulator.add_job("interior:1", duration=60.0)
            here.emulator.script("interior:1", [None, refused])
            outcomes = await here.client.gather(["enterprise_interior:1", "interior:1"])
            assert {AuthenticationError} == {type(outcome.cause) for outcome in outcomes}

    virtually(main)
